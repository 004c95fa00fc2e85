"""What makes registrations fail, and transforms that have failed: to find out whether anybody notices."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from ..core import Grid, Image, Transform, compose
from ..transforms import Affine, Displacement
from .deformation import rigid, smooth_deformation

Rng = np.random.Generator


# ---------------------------------------------------------------- images
def nothing(image: Image, rng: Rng, grain_mm: float = 0.0) -> Image:
    """Noise of the image's range on its grid, in grains of about ``grain_mm``; 0: every voxel its own."""
    values = rng.standard_normal(image.grid.shape).astype(np.float32)
    values = ndimage.gaussian_filter(values, grain_mm / image.grid.spacing) if grain_mm else values
    low, high = np.percentile(image.array, (1, 99))
    return image.with_data((0.5 + 0.2 * values / values.std()) * (high - low) + low)


def mirror_image(image: Image, axis: int) -> Image:
    """What a header that is wrong about the direction of an array axis makes of an image."""
    return image.with_data(np.flip(image.data, axis + 1))


def half(image: Image, body: NDArray[np.bool_], axis: int, upper: bool) -> Image:
    """The part of the grid on one side of the middle of the body, which is (*grid.shape) and not empty."""
    inside = np.flatnonzero(body.any(tuple(k for k in range(body.ndim) if k != axis)))
    cut = int(np.clip((inside[0] + inside[-1]) // 2, 3, image.grid.shape[axis] - 3))
    start, stop = [0] * image.dim, list(image.grid.shape)
    (start if upper else stop)[axis] = cut
    box = tuple(map(slice, start, stop))
    mask = None if image.mask is None else image.mask[box]
    return replace(image, data=image.data[(slice(None), *box)], grid=image.grid.crop(start, stop), mask=mask)


def blotched(image: Image, centre: ArrayLike, radius_mm: float, part: float) -> Image:
    """A ball that shows ``part`` of the image's range, whatever it showed before: a bleeding, a metal artefact, a resection."""
    low, high = np.percentile(image.array, (1, 99.5))
    ball = np.linalg.norm(image.grid.points() - np.asarray(centre), axis=-1) < radius_mm
    return image.with_data(np.where(ball, np.float32(low + part * (high - low)), image.array))


# ---------------------------------------------------------------- transforms
def left_over(found: Transform, centre: ArrayLike, degrees: float, shift: ArrayLike, axis: ArrayLike = (0.0, 0.0, 1.0)) -> Transform:
    """A registration that stopped short: turned by ``degrees`` about ``centre`` (mm) and shifted (D,) mm from what was found."""
    return compose([rigid(degrees, axis, shift, centre), found])


def inflated(found: Transform, centre: ArrayLike, factor: ArrayLike) -> Transform:
    """The same with the body stretched by a factor, or one an axis of the world, about ``centre`` (mm)."""
    centre = np.asarray(centre, np.float64)
    matrix = np.eye(len(centre) + 1)
    matrix[:-1, :-1] = np.diag(np.broadcast_to(factor, len(centre)))
    matrix[:-1, -1] = centre - matrix[:-1, :-1] @ centre
    return compose([Affine(matrix, centre), found])


def bent(found: Transform, grid: Grid, rng: Rng, amplitude_mm: float, smoothness_mm: float) -> Transform:
    """The same after a random smooth deformation of the fixed space that nothing in the images asked for."""
    return compose([smooth_deformation(grid, rng, amplitude_mm, smoothness_mm), found])


def folded(found: Transform, grid: Grid, rng: Rng, depth: float = 1.5, wavelength_voxels: float = 8.0) -> Transform:
    """The same after ripples so steep that space folds over: their slope is ``depth`` at most, and folds above 1."""
    ripples = ndimage.gaussian_filter(rng.standard_normal((grid.dim, *grid.shape)), [0, *(wavelength_voxels / 4,) * grid.dim], mode="wrap")
    steps = [np.abs(np.diff(ripples[k], axis=k)).max() for k in range(grid.dim) if grid.shape[k] > 1]
    along_axes = ripples * (depth / max(steps))
    return compose([Displacement.from_array(np.tensordot(grid.affine[:-1, :-1], along_axes, 1), grid), found])
