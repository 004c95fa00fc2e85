"""What tells, in every place of the body, how far off a registration may be there."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..core import Transform, displacement, kernels
from ..metrics import jacobian_determinant
from .matching import Matching
from .views import View

CLUES = ("offset_near", "offset_middle", "misfit_near", "misfit_middle", "blur_near", "blur_middle", "blank_near", "blank_middle",
         "unseen", "changed", "bent")
_POINTS = 2000
_LEVELS = 3

Look = Sequence[tuple[View, Matching]]


def look(view: View) -> Look:
    """The images and how they match, as they are in the view and at twice and four times its spacing."""
    views = [view]
    while len(views) < _LEVELS:
        views.append(views[-1].coarser())
    return [(level, Matching.of(level)) for level in views]


def clues(levels: Look, transform: Transform, limit: float) -> NDArray[np.float32]:
    """What tells about the error at every voxel, (len(CLUES), *grid.shape), the larger, the worse; lengths in limits."""
    (view, _), (coarse, _) = levels[:2]
    near, middle = (_of_level(*level, limit) for level in levels[:2])
    middle = kernels.pull(middle, view.grid.shape, coarse.grid.inverse_affine @ view.grid.affine, interpolation="nearest")
    affine, _ = affine_part(transform, view.points(_POINTS))
    linear = np.moveaxis(view.grid.points() @ (affine[:-1, :-1] - np.eye(view.grid.dim)).T + affine[:-1, -1], -1, 0)
    volume = jacobian_determinant(transform, view.grid) / max(abs(np.linalg.det(affine[:-1, :-1])), 1e-9)
    return np.stack([*(layer for pair in zip(near, middle, strict=True) for layer in pair), 1.0 - view.counts,
                     np.abs(np.log(np.clip(volume, 0.05, 20))),
                     np.linalg.norm(displacement(transform, view.grid) - linear, axis=0) / limit]).astype(np.float32)


def _of_level(view: View, match: Matching, limit: float) -> NDArray[np.float32]:
    """Offset, misfit, blur (how flat the fit is in its flattest direction) and blankness of every place."""
    seen = kernels.smooth(match.weight[None], (2.0,) * view.grid.dim)[0]
    return np.stack([np.sqrt((match.offset**2).sum(0)) * float(view.grid.spacing.max()) / limit, 1 - match.fit,
                     -np.log(np.maximum(match.sharpness, 1e-3)), -np.log(np.maximum(seen, 1e-2))])


def affine_part(transform: Transform, points: NDArray) -> tuple[NDArray[np.float64], float]:
    """The affine map most like a transform at points (N, D) mm, (D+1, D+1), and how far they differ, rms in mm."""
    ones = np.column_stack([points, np.ones(len(points))])
    to = transform(points)
    solution = np.linalg.lstsq(ones, to, rcond=None)[0]
    matrix = np.eye(points.shape[1] + 1)
    matrix[:-1] = solution.T
    return matrix, float(np.sqrt(np.mean(np.sum((ones @ solution - to) ** 2, 1))))
