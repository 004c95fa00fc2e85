"""How far a registration moves on from where it ended, by losses that need not have been its own.

Where the images agree it stays; a mistake within its reach is undone, and what undid it tells the size of the mistake.
"""
from __future__ import annotations

import numpy as np

from ..core import Transform
from ..losses import loss
from ..register import deformable, linear
from ..register.prepare import Scaled, onto
from ..transforms import Affine
from .views import View

_COARSE = 2  # voxels of a view are one here
_STEPS = 8, 12  # of the affine fit, and of each level of the deformation
_STIFF = 2.0  # smoothness: a mistake is looked for, not the last detail
_POINTS = 2000


def pull(view: View) -> float:
    """The mean distance, mm, by which the body moves on: along an affine map by mutual information and a deformation by MIND.

    Both losses tell the same of images of one contrast and of two.
    """
    fixed, moved = _pair(view)
    points = view.points(_POINTS)
    affine = _affine(fixed, moved)
    end = affine(_deformation(fixed, onto(moved, fixed.grid, affine))(points))
    return float(np.linalg.norm(end - points, axis=1).mean())


def _pair(view: View) -> tuple[Scaled, Scaled]:
    """The two images of a view, and what counts of the moved one."""
    moved = Scaled(np.where(view.counts, view.moved, np.float32(0)), view.grid, None if view.counts.all() else view.counts)
    return Scaled(view.fixed, view.grid), moved


def _spacing(image: Scaled) -> float:
    return _COARSE * float(image.grid.spacing.min())


def _affine(fixed: Scaled, moved: Scaled) -> Affine:
    """What an affine fit adds."""
    level = linear.Level(fixed.at(_spacing(fixed)), moved.at(_spacing(fixed)), loss("mi"))
    start = Affine(np.eye(fixed.grid.dim + 1), fixed.grid.centre)
    *_, (found, _) = linear.optimise([level], start, _STEPS[0])
    return found


def _deformation(fixed: Scaled, moved: Scaled) -> Transform:
    """What a deformation adds."""
    fixed, moved = (image.at(_spacing(fixed)) for image in (fixed, moved))
    spacings = deformable.levels(fixed.grid)
    channel = deformable.Channel(fixed, moved, [loss("mind", radius=1, dilation=2)] * len(spacings))
    *_, last = deformable.optimise([channel], [_STEPS[1]] * len(spacings), deformable.Regularity.of(_STIFF))
    return deformable.as_transform(last.displacement, last.grid)
