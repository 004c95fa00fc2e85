"""Generated bodies, sampled on any grid: they are functions of the world, so no resolution is theirs."""
from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Image, Transform
from .head import head_anatomy
from .layers import Anatomy

Seed = int | np.random.Generator

_EDGE = 48  # voxels along a block that is painted at once: most layers miss most blocks


def paint(anatomy: Anatomy, grid: Grid, place: Transform | None = None, height: float = 0.0) -> Image:
    """Labels of an anatomy on a grid.

    Parameters
    ----------
    place : takes the grid's points to the anatomy's own; None for no motion.
    height : z in mm of the slice that a 2-D grid shows.
    """
    labels = np.empty(grid.shape, np.uint8)
    for start in product(*(range(0, n, _EDGE) for n in grid.shape)):
        stop = tuple(min(a + _EDGE, n) for a, n in zip(start, grid.shape, strict=True))
        block = grid.crop(start, stop)
        labels[tuple(map(slice, start, stop))] = anatomy(body_points(block, place, height)).reshape(block.shape)
    return Image(labels, grid, is_label=True)


def body_points(grid: Grid, place: Transform | None = None, height: float = 0.0) -> NDArray[np.float64]:
    """Where in the anatomy each voxel of a grid lies, (N, 3) mm; see `paint`."""
    points = grid.points().reshape(-1, grid.dim)
    points = points if place is None else place(points)
    return points if grid.dim == 3 else np.column_stack([points, np.full(len(points), height)])


def head(grid: Grid, seed: Seed = 0, place: Transform | None = None, height: float = 15.0) -> Image:
    """Labels of a person's head (`HeadLabel`); the seed is the person. See `paint`."""
    return paint(head_anatomy(np.random.default_rng(seed)), grid, place, height)
