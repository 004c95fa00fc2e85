"""Stationary velocity fields: smooth maps that cannot fold, and whose inverse costs a sign."""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ..core import Field, Grid, Transform, kernels
from .displacement import Displacement, in_mm, in_voxels


@dataclass(frozen=True, eq=False)
class Velocity(Transform):
    """x -> exp(v)(x), the position after flowing along v for unit time.

    Parameters
    ----------
    field : the velocity in mm per unit time.
    squarings : of the scaling and squaring; each step moves by v / 2**squarings, which should be below half a voxel.

    Reference: Arsigny et al., MICCAI 2006 (doi:10.1007/11866565_113).
    """

    field: Field
    squarings: int = 7

    @classmethod
    def from_array(cls, data: ArrayLike, grid: Grid, squarings: int = 7) -> Velocity:
        """Of world components in mm (RAS+), (D, *grid.shape)."""
        return cls(Field(np.asarray(data, np.float32), grid), squarings)

    @property
    def dim(self) -> int:
        """2 or 3."""
        return self.field.grid.dim

    @cached_property
    def displacement(self) -> Displacement:
        """The same map as a displacement on the grid of the velocity; computed once."""
        return in_mm(kernels.exponentiate(in_voxels(self.field), self.squarings), self.field.grid)

    def parts(self) -> tuple[Field]:
        """The field of `displacement`."""
        return self.displacement.parts()

    def inverse(self) -> Velocity:
        """The flow backwards."""
        return Velocity(Field(-self.field.data, self.field.grid), self.squarings)

    def __repr__(self) -> str:
        return f"Velocity(up to {np.sqrt((self.field.data**2).sum(0).max(initial=0)):.3g} mm on {self.field.grid})"
