"""What registration networks answer."""
from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from . import fields


@dataclass(frozen=True, eq=False)
class Prediction:
    """A deformation as a stationary velocity.

    Parameters
    ----------
    velocity : (B, D, *lattice) in voxels of its own lattice, which has ceil(shape / stride) voxels; the first covers the first ``stride``
        voxels of the images.
    shape : of the images.
    stride : voxels of the images to one of the velocity.
    levels : coarser predictions on the way to this one, coarse to fine, for deep supervision; without this one.
    features : by what the images were compared, if the network tells: of the fixed images, then of the moving ones, (2B, C, *S / 2^(k+1)),
        of length 1, finest level first.
    """

    velocity: Tensor
    shape: tuple[int, ...]
    stride: int = 1
    levels: tuple[Prediction, ...] = ()
    features: tuple[Tensor, ...] = ()

    def displacement(self, squarings: int = fields.SQUARINGS) -> Tensor:
        """Fixed voxel to moving voxel, (B, D, *shape) in voxels of the images."""
        u, stride = fields.integrate(self.velocity, squarings), self.stride
        while stride > 1:
            u, stride = 2 * fields.double(u), stride // 2
        return fields.cut(u, self.shape)

    def inverse(self) -> Prediction:
        """Moving to fixed: the flow backwards."""
        return replace(self, velocity=-self.velocity, levels=tuple(level.inverse() for level in self.levels), features=())


@dataclass(frozen=True, eq=False)
class AffinePrediction:
    """An affine map of fixed indices to moving indices.

    Parameters
    ----------
    matrix : (B, D+1, D+1), homogeneous, voxels of the images.
    shape : of the images.
    """

    matrix: Tensor
    shape: tuple[int, ...]

    def displacement(self) -> Tensor:
        """Fixed voxel to moving voxel, (B, D, *shape) in voxels of the images."""
        return fields.affine_displacement(self.matrix, self.shape)

    def inverse(self) -> AffinePrediction:
        """Moving to fixed."""
        return replace(self, matrix=torch.linalg.inv(self.matrix))
