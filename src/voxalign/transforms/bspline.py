"""Free-form deformation by cubic B-splines."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import Grid, InputError, Transform
from .displacement import Displacement

_SAMPLES = 4  # a control interval, where the inverse is sampled


@dataclass(frozen=True, eq=False)
class BSpline(Transform):
    """x -> x + sum_k c_k B(x - k), B the cubic B-spline of the grid of control points (order 3 in ITK's words).

    As in ITK, it is defined where all control points that count exist: between the second and the last but one
    along each axis; outside points stay where they are.

    Parameters
    ----------
    coefficients : (D, *grid.shape) world mm (RAS+).
    grid : of the control points, at least 4 along each axis.

    Raises
    ------
    InputError : another shape, too few control points, not finite.
    """

    coefficients: NDArray[np.float64]
    grid: Grid

    def __post_init__(self) -> None:
        coefficients = np.array(self.coefficients, np.float64)
        if coefficients.shape != (self.grid.dim, *self.grid.shape):
            raise InputError(f"B-spline coefficients of shape {coefficients.shape} on control points {self.grid.shape}: "
                             "expected (D, *shape)")
        if min(self.grid.shape) < 4:
            raise InputError(f"{self.grid.shape} control points: a cubic B-spline needs at least 4 along each axis")
        if not np.isfinite(coefficients).all():
            raise InputError("B-spline coefficients contain NaN or infinity: the transform is damaged")
        coefficients.setflags(write=False)
        object.__setattr__(self, "coefficients", coefficients)

    @property
    def dim(self) -> int:
        """2 or 3."""
        return self.grid.dim

    def parts(self) -> None:
        """None: it is evaluated exactly by calling it."""

    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """Moving-space positions of fixed-space points, (..., D) mm -> (..., D) mm."""
        points = np.asarray(points, np.float64)
        if points.shape[-1:] != (self.dim,):
            raise InputError(f"points of shape {points.shape} for a {self.dim}-D transform: expected (..., {self.dim})")
        index = self.grid.index(points.reshape(-1, self.dim))
        near = np.clip(index, 1, np.array(self.grid.shape) - 2)
        inside = (np.abs(index - near) < 1e-9).all(1)
        moved = np.zeros_like(index)
        from scipy import ndimage  # imports slowly, and most runs have no B-spline

        moved[inside] = np.stack([ndimage.map_coordinates(c, near[inside].T, order=3, prefilter=False, mode="mirror")
                                  for c in self.coefficients], -1)
        return points + moved.reshape(points.shape)

    def inverse(self) -> Displacement:
        """Numeric: sampled at quarters of the control intervals, then inverted as a displacement field."""
        shape = np.array(self.grid.shape)
        region = self.grid.crop((1,) * self.dim, shape - 1)
        affine = region.affine.copy()
        affine[:-1, :-1] /= _SAMPLES
        return Displacement.of(self, Grid(tuple((shape - 3) * _SAMPLES + 1), affine)).inverse()

    def __repr__(self) -> str:
        return f"BSpline(up to {np.abs(self.coefficients).max():.3g} mm, control points {str(self.grid)[5:-1]})"
