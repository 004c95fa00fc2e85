"""Generated bodies, sampled on any grid: they are functions of the world, so no resolution is theirs."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import Grid, Image, Transform
from .head import head_anatomy
from .labels import HeadLabel, ShapeLabel
from .layers import Anatomy
from .limb import limb_anatomy
from .motion import Bend, breathing
from .noise import smooth_noise
from .solids import box, ellipsoid
from .thorax import thorax_anatomy

Seed = int | np.random.Generator
Body = Callable[[NDArray], NDArray]

_EDGE = 48  # voxels along a block that is painted at once: most layers miss most blocks


def evaluate(function: Body, grid: Grid, place: Transform | None = None, height: float = 0.0) -> NDArray:
    """A function of a body on a grid, (*grid.shape).

    Parameters
    ----------
    function : points of the body (N, 3) mm -> values (N,); an `Anatomy` for one.
    place : takes the grid's points to the body's own; None for no motion.
    height : z in mm of the slice that a 2-D grid shows.
    """
    return evaluate_all((function,), grid, place, height)[0]


def evaluate_all(functions: Sequence[Body], grid: Grid, place: Transform | None = None, height: float = 0.0) -> list[NDArray]:
    """`evaluate` of several functions, which costs the motion only once."""
    blocks = []
    for start in product(*(range(0, n, _EDGE) for n in grid.shape)):
        stop = tuple(min(a + _EDGE, n) for a, n in zip(start, grid.shape, strict=True))
        block = grid.crop(start, stop)
        points = _body_points(block, place, height)
        blocks.append((tuple(map(slice, start, stop)), [f(points).reshape(block.shape) for f in functions]))
    out = [np.empty(grid.shape, values.dtype) for values in blocks[0][1]]
    for where, values in blocks:
        for whole, part in zip(out, values, strict=True):
            whole[where] = part
    return out


def paint(anatomy: Anatomy, grid: Grid, place: Transform | None = None, height: float = 0.0) -> Image:
    """Labels of an anatomy on a grid; see `evaluate`."""
    return Image(evaluate(anatomy, grid, place, height), grid, is_label=True)


def _body_points(grid: Grid, place: Transform | None, height: float) -> NDArray[np.float64]:
    points = grid.points().reshape(-1, grid.dim)
    points = points if place is None else place(points)
    return points if grid.dim == 3 else np.column_stack([points, np.full(len(points), height)])


def head(grid: Grid, seed: Seed = 0, height: float = 15.0) -> Image:
    """Labels of a person's head (`HeadLabel`); the seed is the person.

    The head's origin lies between the thalami. ``height`` is that of the axial slice a 2-D grid shows, mm.
    """
    return paint(head_anatomy(np.random.default_rng(seed)), grid, None, height)


def thorax(grid: Grid, seed: Seed = 0, phase: float = 0.0, height: float = 0.0) -> Image:
    """Labels of a person's chest (`ThoraxLabel`) at a ``phase`` of breathing: 0 and 1 exhaled, 0.5 inhaled.

    The chest's origin lies amid the ribcage at the height of the lung roots.
    """
    place = breathing(grid, phase).inverse() if phase % 1 else None
    return paint(thorax_anatomy(np.random.default_rng(seed)), grid, place, height)


def limb(grid: Grid, seed: Seed = 0, joint_angle: float = 0.0, height: float = 60.0) -> Image:
    """Labels of a right leg about the knee (`LimbLabel`), bent by ``joint_angle`` radians.

    The leg's origin is the joint; the thigh is above.
    """
    place = None if joint_angle == 0 or grid.dim == 2 else Bend(joint_angle).inverse()
    return paint(limb_anatomy(np.random.default_rng(seed)), grid, place, height)


def shapes(grid: Grid, place: Transform | None = None) -> Image:
    """Solids of exactly known size (`ShapeLabel`) in an oval body, as physicists test with; see `evaluate`.

    A sphere of radius 25 mm at (-45, 0, 0), a cube of edge 40 mm at (45, 0, 0), and a cone of radius 25 mm with its
    base at z = -60 and its tip at (0, 0, -15). In 2-D: the slice through the middle of sphere and cube.
    """
    return Image(evaluate(solid_labels, grid, place), grid, is_label=True)


def solid_labels(points: NDArray) -> NDArray[np.uint8]:
    """The body of `shapes` as a function for `evaluate`: points (N, 3) mm -> `ShapeLabel` (N,)."""
    p = np.asarray(points, np.float64).T
    labels = np.where(ellipsoid(p, (0, 0, -10), (130, 90, 110)) > 0, ShapeLabel.BODY, ShapeLabel.BACKGROUND).astype(np.uint8)
    labels[ellipsoid(p, (-45, 0, 0), (25, 25, 25)) > 0] = ShapeLabel.SPHERE
    labels[box(p, (45, 0, 0), (20, 20, 20)) > 0] = ShapeLabel.CUBE
    labels[(p[2] > -60) & (np.hypot(p[0], p[1]) < 25 * (-15 - p[2]) / 45)] = ShapeLabel.CONE
    return labels


def lesion(labels: Image, centre: ArrayLike, radius: float, seed: Seed = 0) -> Image:
    """Labels with an irregular lesion painted in: about a ball of ``radius`` mm, with exactly its volume as voxels allow.

    Parameters
    ----------
    labels : of any phantom, 2-D or 3-D.
    centre : (D,) mm.
    """
    grid = labels.grid
    noise = smooth_noise(np.random.default_rng(seed), 1.2 * radius)
    offset = np.pad(grid.points() - np.asarray(centre, np.float64), [(0, 0)] * grid.dim + [(0, 3 - grid.dim)])
    depth = radius - np.linalg.norm(offset, axis=-1) + 0.3 * radius * noise(np.moveaxis(offset, -1, 0).astype(np.float32))[0]
    volume = 4 / 3 * np.pi * radius**3 if grid.dim == 3 else np.pi * radius**2
    count = min(max(round(volume / grid.voxel_volume), 1), grid.size)
    level = np.partition(depth.ravel(), -count)[-count]
    return labels.with_data(np.where(depth >= level, HeadLabel.LESION, labels.array).astype(np.uint8))
