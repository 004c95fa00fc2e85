"""A displacement at every voxel of a grid."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import Field, Grid, Transform, displacement, kernels

_STEPS, _TOLERANCE = 30, 1e-3  # of Newton's method for points, voxels
_FLAT = 0.02  # a Jacobian below this is taken for a fold


@dataclass(frozen=True, eq=False)
class Displacement(Transform):
    """x -> x + u(x); u in mm, linear between the voxels of its grid, zero outside.

    Parameters
    ----------
    field : the displacement and where it is given.
    """

    field: Field

    @classmethod
    def from_array(cls, data: ArrayLike, grid: Grid) -> Displacement:
        """Of world components in mm (RAS+), (D, *grid.shape)."""
        return cls(Field(np.asarray(data, np.float32), grid))

    @classmethod
    def of(cls, transform: Transform, grid: Grid) -> Displacement:
        """Any transform, sampled at the voxels of ``grid``; beyond the grid it is lost."""
        return cls(Field(displacement(transform, grid), grid))

    @property
    def dim(self) -> int:
        """2 or 3."""
        return self.field.grid.dim

    def parts(self) -> tuple[Field]:
        """The field."""
        return (self.field,)

    def inverse(self) -> Displacement:
        """Numeric inverse, `Inverse`; where the map folds it is the nearest found."""
        voxels, grid = in_voxels(self.field), self.field.grid
        margin = _margin(voxels)
        padded = np.pad(voxels, [(0, 0), *((m, m) for m in margin)], mode="edge")
        return Inverse(in_mm(kernels.invert(padded), grid.crop(-margin, grid.shape + margin)).field, self)

    def __repr__(self) -> str:
        return f"Displacement(up to {np.sqrt((self.field.data**2).sum(0).max(initial=0)):.3g} mm on {self.field.grid})"


@dataclass(frozen=True, eq=False)
class Inverse(Displacement):
    """The inverse of a displacement: within 0.001 voxel of it everywhere for points, and at the voxels of a grid for files and resampling.

    A file holds the inverse at voxels and is read linearly between them, which errs by a tenth of a voxel where a map is rough. Points are
    brought to the true place by Newton's method.

    Parameters
    ----------
    field : on the grid of ``forward``, widened by as much as the faces of the box move.
    forward : what it is the inverse of.
    """

    forward: Displacement

    def inverse(self) -> Displacement:
        """``forward`` itself."""
        return self.forward

    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """Where ``forward`` takes them from, (..., D) mm -> (..., D) mm."""
        points, near, grid = np.asarray(points, np.float64), super().__call__(points), self.forward.field.grid
        start, wanted = (grid.index(x.reshape(-1, self.dim)) for x in (near, points))
        return grid.world(_solved(in_voxels(self.forward.field), start, wanted)).reshape(points.shape)


def in_voxels(field: Field) -> NDArray[np.float32]:
    """The displacement along the array axes, in voxels of its own grid, (D, *shape)."""
    return np.tensordot(field.grid.inverse_affine[:-1, :-1].astype(np.float32), field.data, 1)


def in_mm(voxels: NDArray, grid: Grid) -> Displacement:
    """`in_voxels` undone: (D, *grid.shape) voxels along the array axes."""
    return Displacement(Field(np.tensordot(grid.affine[:-1, :-1].astype(np.float32), voxels, 1), grid))


def _solved(u: NDArray, start: NDArray, wanted: NDArray) -> NDArray[np.float64]:
    """Indices x (N, D) with x + u(x) = ``wanted``, u in voxels, by damped Newton steps from ``start``; else the best found."""
    best, left = start.copy(), np.full(len(start), np.inf)
    todo, trial = np.arange(len(start)), start
    for _ in range(_STEPS):
        error = trial + kernels.sample(u, trial).T - wanted[todo]
        size = np.linalg.norm(error, axis=1)
        better = size < left[todo]
        best[todo[better]], left[todo[better]] = trial[better], size[better]
        longer = size > _TOLERANCE
        todo, trial, error, better = todo[longer], trial[longer], error[longer], better[longer]
        if not len(todo):
            break
        newton = trial - np.linalg.solve(_jacobian(u, trial), error[..., None])[..., 0]
        trial = np.where(better[:, None], newton, (best[todo] + trial) / 2)  # too far: half of it
    return best


def _jacobian(u: NDArray, index: NDArray) -> NDArray[np.float64]:
    """Of x + u(x) at fractional indices (N, D), (N, D, D), kept away from what cannot be inverted."""
    steps = np.eye(len(u)) / 4
    columns = [2 * (kernels.sample(u, index + step) - kernels.sample(u, index - step)).T for step in steps]
    jacobian = np.eye(len(u)) + np.stack(columns, -1)
    return np.where((np.linalg.det(jacobian) > _FLAT)[:, None, None], jacobian, np.eye(len(u)))


def _margin(voxels: NDArray) -> NDArray[np.int_]:
    """Voxels, along each axis, by which the faces of the box move at most; 0 below half a voxel, half the box at most."""
    faces = [np.take(voxels, end, axis + 1) for axis in range(len(voxels)) for end in (0, -1)]
    moved = np.max([np.abs(face).reshape(len(voxels), -1).max(1) for face in faces], 0)
    margin = np.where(moved < 0.5, 0, np.ceil(moved)).astype(int)
    return np.minimum(margin, (np.array(voxels.shape[1:]) + 1) // 2)
