"""Slices as a radiologist expects them: along the body's axes, patient's right on the left, true proportions."""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import Grid, Image, Transform, resample

_LONGEST = 512  # pixels


@dataclass(frozen=True)
class Plane:
    """A slice to look at.

    Parameters
    ----------
    grid : (columns, rows, 1) pixels, in 2-D (columns, rows); the first axis runs to the right, the second down.
    title : its name and place.
    letters : what is at the left, right, top and bottom.
    frame : where it is drawn: left, right, bottom and top on a sheet; None before it has a place.
    """

    grid: Grid
    title: str
    letters: str
    frame: tuple[float, float, float, float] | None = None

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top in mm from the upper left corner, for drawing in true proportions."""
        width, height = self.grid.extent[:2]
        return 0.0, float(width), float(height), 0.0

    def at(self, left: float, top: float, width: float) -> Plane:
        """The same plane with a place on a sheet, in true proportions unless it is very long or flat."""
        height = width * min(max(self.grid.extent[1] / self.grid.extent[0], 0.35), 2.5)
        return replace(self, frame=(left, left + width, top + height, top))

    def picture(self, image: Image, transform: Transform | None = None, interpolation: str | None = None) -> NDArray:
        """What ``image`` shows here, (rows, columns); along ``transform`` if it is of another space. Beyond it all is dark."""
        outside = 0.0 if image.is_label else min(float(image.data.min()), 0.0)  # air in CT, not water
        return self.flat(resample(image, self.grid, transform, interpolation, outside).array)

    def flat(self, values: NDArray) -> NDArray:
        """Values on the grid, (columns, rows[, 1]) -> (rows, columns)."""
        return values.reshape(self.grid.shape[:2]).T


# name; what is at the left, right, top and bottom; the world axes that run to the left, up, and through the plane
_VIEWS = (("axial", "RLAP", 0, 1, 2), ("coronal", "RLSI", 0, 2, 1), ("sagittal", "APSI", 1, 2, 0))


def planes(grid: Grid, through: ArrayLike) -> list[Plane]:
    """Axial, coronal and sagittal `Plane` through a world point; the one plane there is in 2-D.

    They cover the box that ``grid`` covers, with pixels of its finest spacing.
    """
    if grid.dim == 2:
        return [_plane(grid, "", "RLAP", np.diag([-1.0, -1.0]), np.asarray(through, np.float64))]
    through, made = np.asarray(through, np.float64), []
    for name, letters, right, down, normal in _VIEWS:
        axes = np.zeros((3, 3))
        axes[right, 0], axes[down, 1], axes[normal, 2] = -1, -1, 1
        made.append(_plane(grid, f"{name}, {'xyz'[normal]} = {through[normal]:.4g} mm", letters, axes, through))
    return made


def _plane(grid: Grid, title: str, letters: str, axes: NDArray, through: NDArray) -> Plane:
    """``axes``: (D, D), columns are the world directions to the right, down and through."""
    faces = grid.world(np.stack(np.meshgrid(*[(-0.5, n - 0.5) for n in grid.shape], indexing="ij"), -1).reshape(-1, grid.dim))
    along = faces @ axes[:, :2]  # mm to the right and down of each corner of the box
    low, high = along.min(0), along.max(0)
    pixel = max(float(grid.spacing.min()), float((high - low).max()) / _LONGEST)
    count = np.maximum(np.round((high - low) / pixel), 2).astype(int)
    affine = np.eye(grid.dim + 1)
    affine[:-1, :-1] = axes * pixel
    first = (low + high) / 2 - pixel * (count - 1) / 2
    affine[:-1, -1] = axes[:, :2] @ first + (axes[:, 2] * (through @ axes[:, 2]) if grid.dim == 3 else 0)
    return Plane(Grid((*count, 1)[: grid.dim], affine), title, letters)
