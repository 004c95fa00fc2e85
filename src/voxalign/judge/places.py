"""What tells, in every place of the body, how far off a registration may be there."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..core import Transform, kernels
from .matching import Matching
from .views import View

CLUES = ("offset_near", "offset_middle", "drift_near", "drift_middle", "misfit_near", "misfit_middle", "blur_near", "blur_middle",
         "blank_near", "blank_middle", "unseen", "changed", "bent")
_POINTS = 2000
_LEVELS = 3

Look = Sequence[tuple[View, Matching]]


def look(view: View) -> Look:
    """The images and how they match, as they are in the view and at twice and four times its spacing."""
    views = [view]
    while len(views) < _LEVELS:
        views.append(views[-1].coarser())
    return [(level, Matching.of(level)) for level in views]


def clues(levels: Look, transform: Transform, limit: float, index: NDArray) -> NDArray[np.float32]:
    """What tells about the error at voxels of the view, ``index`` (N, D): (len(CLUES), N), the larger, the worse; lengths in limits."""
    view, points = levels[0][0], levels[0][0].grid.world(index)
    by_level = [_of_level(level, match, limit, _nearest(level, points)) for level, match in levels[:2]]
    affine, _ = affine_part(transform, view.points(_POINTS))
    apart = transform(points) - points @ affine[:-1, :-1].T - affine[:-1, -1]
    volume = _determinants(transform, points, view.grid.affine[:-1, :-1]) / max(abs(np.linalg.det(affine[:-1, :-1])), 1e-9)
    return np.stack([*(clue for pair in zip(*by_level, strict=True) for clue in pair), 1.0 - view.counts[tuple(index.T)],
                     np.abs(np.log(np.clip(volume, 0.05, 20))), np.linalg.norm(apart, axis=1) / limit]).astype(np.float32)


def _of_level(view: View, match: Matching, limit: float, index: NDArray) -> NDArray[np.float32]:
    """Offset, drift, misfit, blur (how flat the fit is in its flattest direction) and blankness of every place, (5, N)."""
    seen = kernels.smooth(match.weight[None], (2.0,) * view.grid.dim)[0][tuple(index.T)]
    here, part = match.at(index), float(view.grid.spacing.max()) / limit
    drift = match.drift[(slice(None), *index.T)]
    return np.stack([np.sqrt((here.offset**2).sum(0)) * part, np.sqrt((drift**2).sum(0)) * part, 1 - here.fit,
                     -np.log(np.maximum(here.sharpness, 1e-3)), -np.log(np.maximum(seen, 1e-2))])


def _nearest(view: View, points: NDArray) -> NDArray[np.int_]:
    """The voxel nearest to each point, (N, D)."""
    return np.clip(np.rint(view.grid.index(points)), 0, np.array(view.grid.shape) - 1).astype(int)


def _determinants(transform: Transform, points: NDArray, steps: NDArray) -> NDArray[np.float64]:
    """Volume change at points (N, D), by differences over a step forth and back along every column of ``steps``, mm."""
    columns = [(transform(points + step) - transform(points - step)) / 2 for step in steps.T]
    return np.linalg.det(np.stack(columns, -1)) / np.linalg.det(steps)


def affine_part(transform: Transform, points: NDArray) -> tuple[NDArray[np.float64], float]:
    """The affine map most like a transform at points (N, D) mm, (D+1, D+1), and how far they differ, rms in mm."""
    ones = np.column_stack([points, np.ones(len(points))])
    to = transform(points)
    solution = np.linalg.lstsq(ones, to - points, rcond=None)[0]  # of the displacement: across a single slice nothing is stretched
    matrix = np.eye(points.shape[1] + 1)
    matrix[:-1] += solution.T
    return matrix, float(np.sqrt(np.mean(np.sum((points + ones @ solution - to) ** 2, 1))))
