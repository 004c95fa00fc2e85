"""Are two images of one modality? From how they correlate where they lie on each other, and from their intensities wherever they lie."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core import Transform, arrays
from .initialise import TRUSTED, searched
from .prepare import Scaled, foreground, onto

ONE = 0.47
"""Likeness above which two images are taken for one modality: of phantom and real pairs of one modality the least alike came to 0.53 at
the position of the search, the most alike of two modalities to 0.40."""

_SHARES = np.linspace(0.02, 0.98, 49)
_LEAST = 10  # voxels


def likeness(fixed: Scaled, moving: Scaled, start: Transform, spacing: float) -> float:
    """How much two images look like one modality where ``start`` puts them, compared at ``spacing`` mm; at most 1."""
    values = fixed.at(spacing), moving.at(spacing)
    return agreement(*values, start) - _unlike(*values)


def likeness_anywhere(fixed: Scaled, moving: Scaled, start: Transform, spacing: float) -> float:
    """The same, and where it is low also where a search is sure to put them: images that lie apart correlate with nothing.

    The search takes a CPU second or two.
    """
    here = likeness(fixed, moving, start, spacing)
    if here > ONE:
        return here
    pose, found = searched(fixed, moving, sizes=False)
    return here if found.confidence < TRUSTED else max(here, likeness(fixed, moving, pose, spacing))


def agreement(fixed: Scaled, moving: Scaled, transform: Transform) -> float:
    """Correlation where either shows something, or where both do, whichever is more: with other fields of view, or with a joint bent,
    the first is low, and without what surrounds a brain in one of them the second."""
    moved = onto(moving, fixed.grid, transform)
    shown = foreground(fixed), foreground(moved)
    defined = True if moved.mask is None else moved.mask
    return max(_correlation(fixed, moved, inside & defined) for inside in (shown[0] | shown[1], shown[0] & shown[1]))


def _unlike(fixed: Scaled, moving: Scaled) -> float:
    """Mean difference of the quantiles of what the two show, 0 to 1, which no position changes."""
    shown = [arrays.as_numpy(image.data[foreground(image)]) for image in (fixed, moving)]
    return float(np.abs(np.subtract(*(np.quantile(values, _SHARES) for values in shown))).mean()) if min(map(len, shown)) else 1.0


def _correlation(fixed: Scaled, moved: Scaled, inside: NDArray[np.bool_]) -> float:
    values = [arrays.as_numpy(image.data[inside]) for image in (fixed, moved)]
    if len(values[0]) <= _LEAST or min(v.std() for v in values) == 0:
        return 0.0
    return float(np.corrcoef(*values)[0, 1])
