"""A displacement at every voxel of a grid."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import Field, Grid, Transform, displacement, kernels


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
        """Numeric inverse on the same grid, widened by as much as the faces of the box move.

        The residual is below 0.01 voxel wherever the map can be inverted; where it folds it is the nearest found.
        """
        voxels, grid = in_voxels(self.field), self.field.grid
        margin = _margin(voxels)
        padded = np.pad(voxels, [(0, 0), *((m, m) for m in margin)], mode="edge")
        return in_mm(kernels.invert(padded), grid.crop(-margin, grid.shape + margin))

    def __repr__(self) -> str:
        return f"Displacement(up to {np.sqrt((self.field.data**2).sum(0).max(initial=0)):.3g} mm on {self.field.grid})"


def in_voxels(field: Field) -> NDArray[np.float32]:
    """The displacement along the array axes, in voxels of its own grid, (D, *shape)."""
    return np.tensordot(field.grid.inverse_affine[:-1, :-1].astype(np.float32), field.data, 1)


def in_mm(voxels: NDArray, grid: Grid) -> Displacement:
    """`in_voxels` undone: (D, *grid.shape) voxels along the array axes."""
    return Displacement(Field(np.tensordot(grid.affine[:-1, :-1].astype(np.float32), voxels, 1), grid))


def _margin(voxels: NDArray) -> NDArray[np.int_]:
    """Voxels, along each axis, by which the faces of the box move at most; 0 below half a voxel, half the box at most."""
    faces = [np.take(voxels, end, axis + 1) for axis in range(len(voxels)) for end in (0, -1)]
    moved = np.max([np.abs(face).reshape(len(voxels), -1).max(1) for face in faces], 0)
    margin = np.where(moved < 0.5, 0, np.ceil(moved)).astype(int)
    return np.minimum(margin, (np.array(voxels.shape[1:]) + 1) // 2)
