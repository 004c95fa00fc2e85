"""What a deformation keeps to beside the images: landmarks that pull, regions that stay rigid, regions that slide along each other.

All work on the displacement in voxels of a level's grid, as `deformable` does, and are made anew for every level.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Image, InputError, Points, Transform, kernels, resample
from ..transforms import Rigid

_PULL = 300.0  # information of one landmark of weight 1, in that of a voxel of a clear edge
_BLEND = 4  # voxels over which a rigid region passes into what surrounds it


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Pairs of points that are the same place.

    Parameters
    ----------
    fixed : (N, D) mm in fixed space.
    moving : (N, D) mm in the space that is deformed (moving points taken back through the linear start).
    weight : how strongly they pull; 1 outweighs the images near a point.
    """

    fixed: NDArray[np.float64]
    moving: NDArray[np.float64]
    weight: float = 1.0

    @classmethod
    def of(cls, fixed: Points, moving: Points, start: Transform, weight: float) -> Landmarks:
        """Landmarks for a deformation that is followed by ``start``.

        Raises
        ------
        InputError : another number of points in the two.
        """
        if len(fixed) != len(moving):
            raise InputError(f"{len(fixed)} fixed and {len(moving)} moving points: expected pairs")
        return cls(fixed.coordinates, start.inverse()(moving.coordinates), weight)

    def pull(self, equation: NDArray[np.float32], u: NDArray[np.float32], grid: Grid) -> None:
        """Add to ``equation`` (D + 1, *shape), in place, what each pair asks of the voxels around its fixed point."""
        index = grid.index(self.fixed)
        inside = ((index >= 0) & (index <= np.array(grid.shape) - 1)).all(1)
        index = index[inside]
        left = grid.index(self.moving[inside]) - index - kernels.sample(u, index).T
        low = np.clip(np.floor(index).astype(int), 0, np.maximum(np.array(grid.shape) - 2, 0))
        for corner in np.ndindex(*(2,) * grid.dim):
            at = tuple(np.minimum(low + corner, np.array(grid.shape) - 1).T)
            share = np.prod(np.where(corner, index - low, 1 - (index - low)), 1) * _PULL * self.weight
            for axis in range(grid.dim):
                np.add.at(equation[axis], at, (share * left[:, axis]).astype(np.float32))
            np.add.at(equation[-1], at, share.astype(np.float32))


@dataclass(frozen=True, eq=False)
class RigidRegions:
    """Regions of the fixed image that move as wholes: bones, implants, a tumour that must keep its shape.

    Parameters
    ----------
    labels : label map on any grid of fixed space; every label above 0 is one region.
    start : the linear map that follows the deformation; the regions are rigid under both together.
    """

    labels: Image
    start: Transform

    def on(self, grid: Grid) -> RigidRegionsOnGrid:
        """The regions at one level."""
        return RigidRegionsOnGrid(resample(self.labels, grid, interpolation="nearest").array, self.start, grid)


@dataclass(frozen=True, eq=False)
class RigidRegionsOnGrid:
    """`RigidRegions` at one level; see there."""

    labels: NDArray
    start: Transform
    grid: Grid

    @cached_property
    def _parts(self) -> Sequence[tuple[NDArray, NDArray, NDArray]]:
        """For each region: the indices of its voxels (N, D), those of its surroundings (M, D), and how much these follow it (M,)."""
        from scipy import ndimage  # the distance of voxels around a region

        parts = []
        for label in np.unique(self.labels[self.labels > 0]):
            inside = self.labels == label
            distance = ndimage.distance_transform_edt(~inside)
            around = (distance > 0) & (distance < _BLEND + 1) & (self.labels == 0)
            follow = 1 - distance[around] / (_BLEND + 1)
            parts.append((np.argwhere(inside), np.argwhere(around), follow))
        return parts

    def project(self, u: NDArray[np.float32]) -> None:
        """Replace ``u`` in each region, in place, by the rigid motion nearest to it; the surroundings follow."""
        for inside, around, follow in self._parts:
            if len(inside) <= self.grid.dim:
                continue
            fixed = self.grid.world(inside)
            moved = self.start(self.grid.world(inside + u[(slice(None), *inside.T)].T))
            motion = nearest_rigid(fixed, moved)
            for index, share in ((inside, 1.0), (around, follow[:, None])):
                wanted = self.grid.index(self.start.inverse()(motion(self.grid.world(index)))) - index
                own = u[(slice(None), *index.T)].T
                u[(slice(None), *index.T)] = (own + share * (wanted - own)).T.astype(np.float32)


def nearest_rigid(fixed: NDArray, moved: NDArray) -> Rigid:
    """The rigid motion that takes points (N, D) mm nearest to others, in least squares (Kabsch 1976, doi:10.1107/S0567739476001873)."""
    a, b = fixed.mean(0), moved.mean(0)
    u, _, v = np.linalg.svd((moved - b).T @ (fixed - a))
    sign = np.ones(len(a))
    sign[-1] = np.sign(np.linalg.det(u @ v))
    rotation = u @ np.diag(sign) @ v
    matrix = np.eye(len(a) + 1)
    matrix[:-1, :-1], matrix[:-1, -1] = rotation, b - rotation @ a
    return Rigid(matrix, a)


@dataclass(frozen=True, eq=False)
class Sliding:
    """Regions of the fixed image whose motions are smoothed apart from each other, so that they may slide (lung along the chest wall).

    Parameters
    ----------
    labels : label map on any grid of fixed space; every label, 0 included, is one region.
    """

    labels: Image

    def on(self, grid: Grid) -> SlidingOnGrid:
        """The regions at one level."""
        labels = resample(self.labels, grid, interpolation="nearest").array
        return SlidingOnGrid([labels == label for label in np.unique(labels)])


@dataclass(frozen=True, eq=False)
class SlidingOnGrid:
    """`Sliding` at one level; see there."""

    regions: Sequence[NDArray[np.bool_]]

    def smooth(self, data: NDArray, sigma: Sequence[float], out: NDArray | None = None, within: None = None) -> NDArray:
        """`kernels.smooth`, of everything, that takes no value across an interface (normalised convolution, Knutsson & Westin 1993)."""
        out = np.zeros_like(data) if out is None else out
        for region in self.regions:
            weight = kernels.smooth(region[None].astype(np.float32), sigma)
            part = kernels.smooth(np.where(region, data, np.float32(0)), sigma)
            out[:, region] = part[:, region] / weight[:, region]
        return out
