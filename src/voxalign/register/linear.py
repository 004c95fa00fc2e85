"""Linear registration: any optimiser on any losses, coarse to fine, in the Lie algebra of the model."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, arrays, kernels
from ..losses import Loss, Terms
from ..optim import LBFGS, Adam, GaussNewton, GradientDescent, Momentum, Newton, Objective, Solver, first_rate, with_differences
from ..transforms import Affine, Rigid, Similarity, generators
from ..transforms.linear import Linear
from .prepare import Scaled

MODELS: dict[str, type[Linear]] = {"rigid": Rigid, "similarity": Similarity, "affine": Affine}
_LEAST_OVERLAP = 0.05  # of the fixed voxels that count; below it a position counts as lost
_FIRST = 1.0  # voxels, root mean square over the image, that the first step of a descent moves
_DIFFERENCE = 0.25  # voxels, likewise: wide enough to see past the kinks of linear interpolation
_FARTHEST = 1e3  # voxels, likewise, that one step may move
_MORE_STEPS = 4  # times more for optimisers that know no curvature


@dataclass(frozen=True, eq=False)
class Level:
    """Two images at one resolution, compared by one loss; ``weight`` is for where there are several."""

    fixed: Scaled
    moving: Scaled
    loss: Loss
    weight: float = 1.0

    def moved(self, transform: Linear) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Moving image on the fixed grid, and the voxels that count in both."""
        matrix = self.moving.grid.inverse_affine @ transform.matrix @ self.fixed.grid.affine
        shape, fixed_mask = self.fixed.grid.shape, self.fixed.mask
        if self.moving.mask is None:
            moved = kernels.pull(self.moving.data[None], shape, matrix, outside=-1.0)[0]
            mask, moved = moved >= 0, moved.clip(0)
        else:  # the mean of what counts: it changes smoothly with the position, however little of a voxel counts
            moved = kernels.pull(arrays.keep(self.moving.data, self.moving.mask)[None], shape, matrix)[0]
            weight = kernels.pull(arrays.as_floats(self.moving.mask)[None], shape, matrix)[0]
            mask, moved = weight > 0.5, moved / weight.clip(0.5)
        return moved, mask if fixed_mask is None else mask & fixed_mask

    def terms(self, transform: Linear) -> tuple[Terms, NDArray[np.float32], int]:
        """The loss there, the moved image, and the number of voxels that take part."""
        moved, mask = self.moved(transform)
        return self.loss.bind(self.fixed.data, mask).terms(moved), arrays.keep(moved, mask), arrays.count(mask)


class _Fit:
    """A linear map as something to minimise over; what was computed at the last position is kept.

    A step's unit along each generator of the model is what moves the voxels by one voxel, root mean square: rotations, shifts and shears
    then have slopes of one size.
    """

    def __init__(self, levels: Sequence[Level], start: Linear) -> None:
        self.levels, self.first, self.grid = levels, start, levels[0].fixed.grid
        mask = levels[0].fixed.mask
        self.most = self.grid.size if mask is None else max(arrays.count(mask), 1)
        ways = _displacements(start, self.grid)
        self.basis = np.linalg.inv(self.grid.affine[:-1, :-1]) @ ways
        self.units = self.grid.spacing.min() / _root_mean_square(ways, self.grid)
        self.at: Linear | None = None
        self.look(start)
        self.least = max(_LEAST_OVERLAP, 0.5 * self.overlap)

    @property
    def overlap(self) -> float:
        """Part of the fixed voxels that count which takes part at the last position."""
        return self.seen[0][2] / self.most

    def objective(self) -> Objective:
        """For `optim`."""
        return Objective(self.value, self.gradient, self.hessian, self.move)

    def look(self, x: Linear) -> None:
        """Compare the images at ``x``, unless that was done last."""
        if x is not self.at:
            self.at, self.seen, self._sums = x, [level.terms(x) for level in self.levels], None

    @property
    def total(self) -> float:
        """The loss at the last position."""
        return sum(level.weight * terms.value for level, (terms, *_) in zip(self.levels, self.seen, strict=True))

    def value(self, x: Linear | None) -> float:
        """The loss; infinite where the images hardly overlap, or the map is absurd (None)."""
        if x is None:
            return math.inf
        self.look(x)
        return self.total if self.overlap >= self.least else math.inf

    def gradient(self, x: Linear) -> NDArray[np.float64]:
        """Of the loss in a step, (P,)."""
        self.look(x)
        return self.sums[1]

    def hessian(self, x: Linear) -> NDArray[np.float64]:
        """Its Gauss-Newton model, (P, P)."""
        self.look(x)
        return self.sums[0]

    @property
    def sums(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Hessian and gradient at the last position."""
        if self._sums is None:
            parts = [self._summed(level, *seen) for level, seen in zip(self.levels, self.seen, strict=True)]
            self._sums = tuple(map(sum, zip(*parts, strict=True)))
        return self._sums

    def _summed(self, level: Level, terms: Terms, moved: NDArray, count: int) -> tuple[NDArray, NDArray]:
        h, b = kernels.normal_equations(moved, terms.residual, terms.curvature)
        share = level.weight * 2 / max(count, 1)  # k = -(N/2) dL/dmoved
        hessian = np.einsum("pak,klab,qbl->pq", self.basis, h, self.basis, optimize=True)
        return share * np.outer(self.units, self.units) * hessian, -share * self.units * np.einsum("pak,ka->p", self.basis, b)

    def move(self, x: Linear, step: NDArray) -> Linear | None:
        """``x`` after a step; None where that is absurd."""
        if x is None or not np.linalg.norm(step) < _FARTHEST:
            return None
        moved = x.retract(step * self.units)
        return moved if _sensible(moved, self.first) else None


def _displacements(transform: Linear, grid: Grid) -> NDArray[np.float64]:
    """Generators as displacements in mm, (P, D, D+1), of the index about the grid's centre."""
    shift = np.eye(grid.dim + 1)
    shift[:-1, :-1], shift[:-1, -1] = grid.affine[:-1, :-1], grid.centre - transform.centre
    return generators(type(transform), grid.dim) @ shift


def _root_mean_square(displacements: NDArray, grid: Grid) -> NDArray[np.float64]:
    """Of each over the grid, mm, (P,); one that moves nothing counts as moving a voxel."""
    squares = np.append((np.array(grid.shape) ** 2 - 1) / 12, 1.0)  # mean of the squared index about the centre
    found = np.sqrt((displacements**2 @ squares).sum(1))
    return np.where(found > 0, found, grid.spacing.min())


SOLVERS: dict[str, Callable[[Objective, Linear], Solver]] = {
    "gauss-newton": lambda objective, start: GaussNewton(),
    "newton": lambda objective, start: Newton(),
    "lbfgs": lambda objective, start: LBFGS(first=_FIRST),
    "gradient-descent": lambda objective, start: GradientDescent(first_rate(objective, start, _FIRST)),
    "momentum": lambda objective, start: Momentum(first_rate(objective, start, _FIRST)),
    "adam": lambda objective, start: Adam(0.2 * _FIRST),
}
"""Optimisers by name, set up for a fit in voxels."""


def optimise(levels: Sequence[Level], start: Linear, iterations: int, optimiser: str = "gauss-newton",
             tolerance: float = 0.01) -> Iterator[tuple[Linear, float]]:
    """Improve ``start`` step by step; yields (transform, loss) after each step, the start first; the loss never rises.

    Ends when a step moves no corner by more than ``tolerance`` voxels; optimisers that know no curvature have four times the iterations.
    """
    fit = _Fit(levels, start)
    if fit.overlap < _LEAST_OVERLAP:
        yield start, fit.total
        return
    objective = fit.objective()
    objective = with_differences(objective, len(fit.units), _DIFFERENCE) if optimiser == "newton" else objective
    most = iterations * (1 if optimiser in ("gauss-newton", "newton") else _MORE_STEPS)
    corners, last = fit.grid.corners(), start
    for here in SOLVERS[optimiser](objective, start).steps(objective, start):
        yield here.x, here.value
        change = np.abs(here.x(corners) - last(corners)).max() / fit.grid.spacing.min()
        if here.number and (here.number >= most or change < tolerance):
            return
        last = here.x


def _sensible(trial: Linear, first: Linear) -> bool:
    """Whether no direction shrank to half or grew to twice its length at this level."""
    singular = np.linalg.svd(trial.matrix[:-1, :-1] @ np.linalg.inv(first.matrix[:-1, :-1]), compute_uv=False)
    return 0.5 < singular.min() and singular.max() < 2


def promote(transform: Linear, model: type[Linear]) -> Linear:
    """The same map as a member of a larger family, about the same centre."""
    return model(transform.matrix, transform.centre)

