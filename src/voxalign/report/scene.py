"""What there is to see of two images and the map between them, on the planes they are looked at."""
from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..core import Image, Transform, resample
from ..metrics import jacobian_determinant
from .planes import Plane, planes

_SQUARES = 8      # of the checkerboard, along the longer side
_SAME_KIND = 0.3  # correlation in the body from which on a difference of two images means something
_LINEAR = 0.02    # voxels: maps that are nearer to an affine one have no deformation to show


@dataclass(frozen=True, eq=False)
class Scene:
    """Two images and the map between them; everything shown of them is computed once.

    Parameters
    ----------
    fixed, moving : the images.
    transform : fixed points -> moving points, mm.
    focus : (D,) mm, the point that planes go through; None takes the middle of what the fixed image shows.
    """

    fixed: Image
    moving: Image
    transform: Transform
    focus: NDArray[np.float64] | None = None

    def at(self, point: NDArray) -> Scene:
        """The same, seen in planes through a point, (D,) mm."""
        return replace(self, focus=point)

    @cached_property
    def views(self) -> list[Plane]:
        """The planes that are shown."""
        return planes(self.fixed.grid, centre(self.fixed) if self.focus is None else self.focus)

    @cached_property
    def fixed_shades(self) -> list[NDArray]:
        """The fixed image on each plane, 0 to 1."""
        shades = window(self.fixed)
        return [shades(view.picture(self.fixed)) for view in self.views]

    @cached_property
    def before(self) -> list[NDArray]:
        """The moving image on each plane by its header, 0 to 1."""
        shades = window(self.moving)
        return [shades(view.picture(self.moving)) for view in self.views]

    @cached_property
    def after(self) -> list[NDArray]:
        """The moved image on each plane, 0 to 1."""
        shades = window(self.moving)
        return [shades(view.picture(self.moving, self.transform)) for view in self.views]

    @cached_property
    def alike(self) -> bool:
        """Whether bright is bright in both images, so that a difference means something."""
        a, b = (np.concatenate([picture.ravel() for picture in pictures]) for pictures in (self.fixed_shades, self.after))
        inside = a > 0.1
        a, b = a[inside], b[inside]
        return len(a) > 16 and a.std() > 0 and b.std() > 0 and float(np.corrcoef(a, b)[0, 1]) > _SAME_KIND

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """The (D+1, D+1) matrix nearest to the map over a lattice of the fixed grid."""
        points, there = self._lattice
        homogeneous = np.column_stack([points, np.ones(len(points))])
        matrix = np.eye(self.fixed.dim + 1)
        matrix[:-1] = np.linalg.lstsq(homogeneous, there, rcond=None)[0].T
        return matrix

    @cached_property
    def deforms(self) -> bool:
        """Whether the map is more than affine."""
        points, there = self._lattice
        rest = np.abs(points @ self.affine[:-1, :-1].T + self.affine[:-1, -1] - there)
        return bool(rest.max() >= _LINEAR * self.fixed.grid.spacing.min())

    @cached_property
    def residuals(self) -> list[NDArray]:
        """Where points of each plane go without the affine part, (*view.grid.shape, D) mm."""
        inverse = np.linalg.inv(self.affine)
        return [self.transform(view.grid.points()) @ inverse[:-1, :-1].T + inverse[:-1, -1] for view in self.views]

    @cached_property
    def lengths(self) -> list[NDArray]:
        """How far points of each plane go without the affine part, mm."""
        shifts = [there - view.grid.points() for view, there in zip(self.views, self.residuals, strict=True)]
        return [view.flat(np.linalg.norm(shift, axis=-1)) for view, shift in zip(self.views, shifts, strict=True)]

    @cached_property
    def log_volumes(self) -> list[NDArray]:
        """log2 of the volume change on each plane beside that of the affine part; masked where the map folds."""
        return [log_volume(view, self.transform, self.affine) for view in self.views]

    @cached_property
    def _lattice(self) -> tuple[NDArray, NDArray]:
        points = self.fixed.grid.with_shape(np.minimum(self.fixed.grid.shape, 12)).points().reshape(-1, self.fixed.dim)
        return points, self.transform(points)


def log_volume(view: Plane, transform: Transform, affine: NDArray) -> NDArray:
    """log2 of the volume change on a plane beside that of ``affine``, (rows, columns); masked where the map folds."""
    grid = view.grid
    if grid.dim == 3:
        grid = grid.crop((0, 0, -1), (*grid.shape[:2], 2))
    determinant = jacobian_determinant(transform, grid)
    determinant = determinant[..., 1] if grid.dim == 3 else determinant
    determinant = view.flat(determinant) / np.linalg.det(affine)
    return np.ma.masked_where(determinant <= 0, np.log2(np.maximum(determinant, 1e-3)))


class window:
    """Intensities to 0..1 by the range an image uses, without its rarest values; called like the function it is."""

    def __init__(self, image: Image) -> None:
        values = image.array[sparse(image)].astype(np.float64)
        self.low, self.high = np.percentile(values, (1, 99.7))
        if self.high <= self.low:
            self.low, self.high = values.min(), max(values.max(), values.min() + 1)

    def __call__(self, picture: NDArray) -> NDArray:
        """Shades of a picture, 0 to 1."""
        return np.clip((picture - self.low) / (self.high - self.low), 0, 1)


def centre(image: Image) -> NDArray[np.float64]:
    """World point in the middle of what an image shows, (D,) mm."""
    step = sparse(image)
    weight = window(image)(image.array[step])
    weight = np.where(weight > 0.1, 1.0, 0.0)
    index = np.indices(weight.shape).reshape(image.dim, -1) @ weight.ravel() / max(weight.sum(), 1)
    return image.grid.world(np.round(index * [s.step for s in step]))


def checkerboard(a: NDArray, b: NDArray) -> NDArray:
    """Squares of ``a`` and ``b`` in turn."""
    side = max(2, max(a.shape) // _SQUARES)
    rows, columns = np.indices(a.shape) // side
    return np.where((rows + columns) % 2, a, b)


def sparse(image: Image) -> tuple[slice, ...]:
    """Every few voxels: enough for statistics of a picture."""
    return tuple(slice(None, None, max(1, n // 64)) for n in image.grid.shape)


def resampled(image: Image, view: Plane) -> NDArray:
    """A map on a plane, (rows, columns), masked where it is not defined."""
    there = resample(image.with_mask(np.ones(image.grid.shape, bool)) if image.mask is None else image, view.grid)
    return np.ma.masked_array(view.flat(there.array), ~view.flat(there.mask))
