"""Deformable registration: a diffeomorphism built of small smooth steps, Gauss-Newton forces of any loss, coarse to fine.

Each step solves, at every voxel, the Gauss-Newton equation of the loss averaged over a Gaussian neighbourhood, shortens it to less than
a voxel and composes it with the map so far (greedy, compositive: Vercauteren et al. 2009, doi:10.1016/j.neuroimage.2008.10.040).
Displacements are in voxels of the level's grid while they are worked on.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import Field, Grid, Identity, Transform, kernels
from ..core.sample import pull
from ..losses import Loss
from ..transforms import Displacement
from .prepare import Scaled, foreground

_MARGIN = 12  # voxels of the finest level kept around the foreground; the map is the identity at their outer end
_RAMP = 4  # voxels over which it becomes so
_WINDOW = 4  # steps over which progress is judged


@dataclass(frozen=True)
class Regularity:
    """How smooth a deformation is kept; the defaults are `smoothness` 1.

    Parameters
    ----------
    fluid, elastic : sigma in voxels of the Gaussian on each step's equation and on the whole map after it.
    volume : how far each step evens out changes of volume, 0 to 0.16; shear is left alone.
    damping : information (a voxel's Gauss-Newton weight) that a step is damped by: large against noise.
    demons : weight of the squared residual in the equation; bounds steps where the images disagree.
    step, longest : length of a step as a multiple of the Gauss-Newton one, and its largest in voxels (< 1: invertible).
    """

    fluid: float = 1.2
    elastic: float = 0.6
    volume: float = 0.0
    damping: float = 0.3
    demons: float = 1.0
    step: float = 1.4
    longest: float = 0.7

    @classmethod
    def of(cls, smoothness: float) -> Regularity:
        """Stiffer for more than 1, softer for less."""
        root = smoothness**0.5
        return cls(fluid=1.2 * root, elastic=0.6 * root, damping=0.3 * smoothness)


@dataclass(frozen=True, eq=False)
class Progress:
    """State after a step: level and iteration from 0, the loss before the step, and the map so far (voxels of ``grid``)."""

    level: int
    iteration: int
    loss: float
    displacement: NDArray[np.float32]
    grid: Grid


def working_grid(fixed: Scaled, spacing: float | None) -> Grid:
    """The part of the fixed grid that holds the foreground and a margin, at ``spacing`` mm or the fixed image's own."""
    level = fixed if spacing is None else fixed.at(spacing)
    index = np.argwhere(foreground(level))
    if not len(index):
        return level.grid
    start = np.maximum(index.min(0) - _MARGIN, 0)
    stop = np.minimum(index.max(0) + 1 + _MARGIN, level.grid.shape)
    return level.grid.crop(start, stop)


def levels(grid: Grid, count: int) -> list[float]:
    """Spacings coarse to fine, halving down to the grid's finest; none so coarse that the largest side has under 16 voxels."""
    finest = float(grid.spacing.min())
    most = max(int(np.log2(max(float(grid.extent.max()) / finest, 16) / 16)), 0) + 1
    return [finest * 2**k for k in reversed(range(min(count, most)))]


def optimise(fixed: Scaled, moving: Scaled, losses: Sequence[Loss], iterations: Sequence[int],
             regularity: Regularity) -> Iterator[Progress]:
    """Deform ``moving`` onto ``fixed``; both on one grid, linearly aligned. One loss and one number of steps a level, coarse to fine."""
    spacings = levels(fixed.grid, len(losses))
    losses, iterations = list(losses)[-len(spacings):], list(iterations)[-len(spacings):]
    u, grid = None, None
    for number, (spacing, loss, steps) in enumerate(zip(spacings, losses, iterations, strict=True)):
        level = fixed.at(spacing)
        u = np.zeros((level.grid.dim, *level.grid.shape), np.float32) if u is None else refine(u, grid, level.grid)
        grid = level.grid
        for iteration, (value, new) in enumerate(_descend(level, moving.at(spacing), loss, u, steps, regularity)):
            u = new
            yield Progress(number, iteration, value, u, grid)


def _descend(fixed: Scaled, moving: Scaled, loss: Loss, u: NDArray, steps: int, regularity: Regularity) -> Iterator[tuple[float, NDArray]]:
    """Steps at one level, until ``steps`` or until the loss no longer falls."""
    weights = (fixed.grid.spacing.min() / fixed.grid.spacing) ** 2
    fluid, elastic = (s * np.sqrt(weights) for s in (regularity.fluid, regularity.elastic))
    mask = _both(fixed, moving, u)
    bound = loss.bind(fixed.data, mask)
    values: list[float] = []
    moved, equation, room = (np.empty((n, *fixed.grid.shape), np.float32) for n in (1, len(u) + 1, len(u) + 1))
    moved, spare = moved[0], np.empty_like(u)
    for _ in range(steps):
        kernels.warp(moving.data, u, moved)
        terms = bound.terms(moved)
        values.append(terms.value)
        equation = kernels.force(moved, terms.residual, terms.curvature, weights, regularity.demons, equation)
        room = kernels.smooth(equation, fluid, room)
        update = kernels.step(room, weights, regularity.step, regularity.damping, regularity.longest, equation[: len(u)])
        spare = kernels.compose_near(update, u, spare)
        u = kernels.smooth(spare, elastic, u)
        if regularity.volume:
            u = kernels.relax_volume(u, weights, regularity.volume, u)
        _hold_faces(u)
        yield terms.value, u
        if len(values) > _WINDOW and values[-1 - _WINDOW] - values[-1] < 3e-3 * _WINDOW * abs(1 - values[-1]):
            return


def _both(fixed: Scaled, moving: Scaled, u: NDArray) -> NDArray[np.bool_] | None:
    """Voxels that count in both images under the map so far."""
    if moving.mask is None:
        return fixed.mask
    mask = kernels.warp(moving.mask.astype(np.float32), u) > 0.99
    return mask if fixed.mask is None else mask & fixed.mask


def _hold_faces(u: NDArray[np.float32]) -> None:
    """Take the map to the identity at the faces of its grid, in place, so that nothing jumps where it ends."""
    for axis, n in enumerate(u.shape[1:], 1):
        width = min(_RAMP, n // 8)
        for i in range(width):
            face = np.moveaxis(u, axis, 0)
            face[i] *= np.float32(i / width)
            face[n - 1 - i] *= np.float32(i / width)


def refine(u: NDArray, grid: Grid, onto: Grid) -> NDArray[np.float32]:
    """A displacement in voxels of ``grid`` as one in voxels of ``onto``, which covers the same box."""
    ratio = (grid.spacing / onto.spacing).astype(np.float32).reshape(-1, *(1,) * grid.dim)
    return pull(u, grid, onto, Identity(grid.dim)) * ratio


def as_transform(u: NDArray, grid: Grid) -> Transform:
    """The displacement in voxels as a `Displacement` in mm."""
    millimetres = np.tensordot(grid.affine[:-1, :-1].astype(np.float32), u, 1)
    return Displacement(Field(millimetres, grid))
