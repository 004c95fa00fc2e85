"""Linear registration: Levenberg-Marquardt on any loss, coarse to fine, in the Lie algebra of the model."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import arrays, kernels
from ..losses import Loss, Terms
from ..transforms import Affine, Rigid, Similarity, generators
from ..transforms.linear import Linear
from .prepare import Scaled

MODELS: dict[str, type[Linear]] = {"rigid": Rigid, "similarity": Similarity, "affine": Affine}
_LEAST_OVERLAP = 0.05  # of the fixed voxels; below it a position counts as lost


@dataclass(frozen=True, eq=False)
class Level:
    """Two images at one resolution, compared by one loss."""

    fixed: Scaled
    moving: Scaled
    loss: Loss

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

    def terms(self, transform: Linear) -> tuple[Terms, NDArray[np.float32], float]:
        """The loss there, the moved image, and the part of the fixed grid that takes part."""
        moved, mask = self.moved(transform)
        return self.loss.bind(self.fixed.data, mask).terms(moved), arrays.keep(moved, mask), arrays.count(mask) / self.fixed.grid.size

    def equations(self, transform: Linear, terms: Terms, moved: NDArray) -> tuple[NDArray, NDArray]:
        """Normal equations (P, P) and (P,) of a small update of ``transform``."""
        h, b = kernels.normal_equations(moved, terms.residual, terms.curvature)
        basis = self._basis(transform)
        hessian = np.einsum("pak,klab,qbl->pq", basis, h, basis, optimize=True)
        return hessian, np.einsum("pak,ka->p", basis, b)

    def _basis(self, transform: Linear) -> NDArray[np.float64]:
        """Generators as displacements in voxels of the fixed grid, (P, D, D+1), of the index about the grid's centre."""
        grid = self.fixed.grid
        matrix = grid.affine[:-1, :-1]
        shift = np.eye(grid.dim + 1)
        shift[:-1, :-1], shift[:-1, -1] = matrix, grid.centre - transform.centre
        return np.linalg.inv(matrix) @ generators(type(transform), grid.dim) @ shift


def optimise(level: Level, start: Linear, iterations: int, tolerance: float = 0.01) -> Iterator[tuple[Linear, float]]:
    """Improve ``start`` step by step; yields (transform, loss) after each accepted step, the start first.

    A step is taken if the loss falls, else the damping grows tenfold (Levenberg 1944, Marquardt 1963, doi:10.1137/0111030).
    Ends when steps move no corner by more than ``tolerance`` voxels.
    """
    first = start
    terms, moved, overlap = level.terms(start)
    yield start, terms.value
    if overlap < _LEAST_OVERLAP:
        return
    damping, corners = 1e-3, level.fixed.grid.corners()
    for _ in range(iterations):
        hessian, gradient = level.equations(start, terms, moved)
        for _ in range(6):
            trial = _stepped(start, hessian, gradient, damping)
            if trial is not None and _sensible(trial, first):
                new = level.terms(trial)
                if new[2] >= max(_LEAST_OVERLAP, 0.5 * overlap) and new[0].value < terms.value:
                    break
            damping *= 10
        else:
            return
        change = np.abs(trial(corners) - start(corners)).max() / level.fixed.grid.spacing.min()
        start, (terms, moved, overlap) = trial, new
        damping = max(damping / 10, 1e-7)
        yield start, terms.value
        if change < tolerance:
            return


def _stepped(start: Linear, hessian: NDArray, gradient: NDArray, damping: float) -> Linear | None:
    """``start`` after one damped step; None where there is no such step."""
    scale = np.maximum(np.diag(hessian), 1e-12 * max(float(np.trace(hessian)), 1e-30))
    try:
        update = np.linalg.solve(hessian + damping * np.diag(scale), gradient)
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(update).all() or np.abs(update[: start.dim]).max() > 1e3:
        return None
    return start.retract(update)


def _sensible(trial: Linear, first: Linear) -> bool:
    """Whether no direction shrank to half or grew to twice its length at this level."""
    singular = np.linalg.svd(trial.matrix[:-1, :-1] @ np.linalg.inv(first.matrix[:-1, :-1]), compute_uv=False)
    return 0.5 < singular.min() and singular.max() < 2


def promote(transform: Linear, model: type[Linear]) -> Linear:
    """The same map as a member of a larger family, about the same centre."""
    return model(transform.matrix, transform.centre)

