"""Where in the body a registration may be off, by how much, and what it stands on."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import Image
from ..register import Registration
from ..register.prepare import scale
from .lines import shipped
from .places import CLUES, clues, look
from .signals import limit_of
from .verdict import Verdict
from .views import View

_CLEAR = 0.1  # curvature of the fit, per voxel squared, at which there is half as much evidence as there can be


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Images on a coarse grid around the fixed body; 0 outside the body, which is their mask.

    Parameters
    ----------
    expected : mean error to be expected, mm.
    bound : mm, which nine errors in ten stay below.
    evidence : 0 to 1, how clearly the images say where a place belongs, in the direction in which they say least: what drives the
        alignment where it is high; where it is low, smoothness alone decides.
    """

    expected: Image
    bound: Image
    evidence: Image


def uncertainty(registration: Registration, verdict: Verdict, fixed: Image, moving: Image) -> Uncertainty:
    """How far off a registration may be in every place, given the verdict on it; meant for results whose verdict is not FAIL.

    Fitted by ``benchmarks/verdict.py`` to registrations with known error. Fixed and moving with the masks that the method knew.
    """
    pair, model = (scale(fixed), scale(moving)), shipped("uncertainty")
    limit = limit_of(pair[0])
    view = View.of(pair, registration.transform, limit)
    index = view.voxels()
    values = dict(zip(CLUES, clues(look(view), registration.transform, limit, index), strict=True))
    p = float(np.clip(verdict.probability, 1e-6, 1 - 1e-6))
    typical = limit * np.exp(model(values | {"log_odds": np.log(p / (1 - p))}))
    clear = np.exp(-values["blur_near"])
    maps = (typical * model.constants["mean_over_median"], typical * model.constants["bound_over_median"], clear / (clear + _CLEAR))
    return Uncertainty(*(_image(values, index, view) for values in maps))


def _image(values: NDArray, index: NDArray, view: View) -> Image:
    data = np.zeros(view.grid.shape, np.float32)
    data[tuple(index.T)] = values
    return Image(data, view.grid, view.body)
