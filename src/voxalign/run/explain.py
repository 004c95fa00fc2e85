"""How sure an answer is, by asking again; and what moved it, where a network gave it."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core import Image, Transform, UsageError, compose
from ..judge.explain import Explanation, saliency, spread_mm
from ..judge.places import affine_part
from ..register.device import chosen
from ..register.learned import opened
from ..register.prepare import foreground, scale
from .api import Pair, align
from .config import Configuration

if TYPE_CHECKING:
    from .api import Result

_BY_NETWORK = "learned"  # the method all of whose deformation a network predicts
_POINTS = 4000
_REACH = 32  # voxels of the network's grid: farther off, what moves a point is too little to be seen, and gradients take minutes


def explain(result: Result, trials: int = 4) -> Explanation:
    """Ask the same question ``trials`` times in other words, and a network what made it move the point that it moved most.

    Labels and landmarks take no part. Takes as long as so many registrations.

    Raises
    ------
    UsageError : see `check_trials`.
    """
    check_trials(trials, result.configuration)
    spread = spread_mm(lambda fixed, moving: align(Pair(fixed, moving, (fixed, moving)), result.configuration).transform,
                       *(result.masked or (result.fixed, result.moving)), trials)
    if result.configuration.method != _BY_NETWORK or result.configuration.settings.transform != "deformable":
        return Explanation(spread, trials)
    point = _moved_most(result)
    return Explanation(spread, trials, point, _shares(result, point))


def check_trials(trials: int, configuration: Configuration) -> None:
    """Before anything is computed.

    Raises
    ------
    UsageError : fewer than two answers, or a start from a file, which says nothing of the other questions.
    """
    if trials < 2:
        raise UsageError(f"{trials} trials: expected at least 2 answers to compare")
    if configuration.initial_file:
        raise UsageError("a registration that starts from a transform's file cannot be asked in other words: leave out trials, or the file")


def _shares(result: Result, point: NDArray) -> tuple[Image, Image]:
    settings = result.configuration.settings
    network = opened(settings.weights, result.fixed.dim, chosen(settings.device))
    return saliency(network, result.fixed, result.moving, point, _linear(result.transform), reach=_REACH)


def _linear(transform: Transform) -> Transform | None:
    """What came before the prediction; None if nothing did."""
    parts = getattr(transform, "transforms", ())
    return compose(parts[1:]) if len(parts) > 1 else None


def _moved_most(result: Result) -> NDArray[np.float64]:
    """The point of the fixed body, (D,) mm, that lies farthest from where an affine map would have taken it."""
    body = scale(result.fixed)
    index = np.argwhere(foreground(body))
    points = body.grid.world(index[:: max(len(index) // _POINTS, 1)])
    matrix, _ = affine_part(result.transform, points)
    away = result.transform(points) - (points @ matrix[:-1, :-1].T + matrix[:-1, -1])
    return points[np.argmax(np.linalg.norm(away, axis=1))]
