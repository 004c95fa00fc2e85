"""Smoothing and slopes in mm, in which masked voxels have no part."""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import kernels, require
from .grid import Grid

_TRUNCATE = 4.0  # standard deviations; beyond lie 6e-5 of a Gaussian


def smooth(data: NDArray, grid: Grid, sigma: float | ArrayLike, mask: NDArray | None = None) -> NDArray[np.float32]:
    """Gaussian means, (C, *grid.shape) of float32; what is masked out has no weight, and is filled from what counts nearby.

    Parameters
    ----------
    sigma : mm, one for all axes or one an axis of the array.
    mask : (*grid.shape) of what counts. Far from all that counts the result is 0.
    """
    taps = [kernels.gaussian_weights(s, _TRUNCATE) if s > 0 else np.ones(1, np.float32) for s in require.lengths(sigma, grid, "sigma")]
    if mask is None:
        return kernels.separable(np.ascontiguousarray(data, np.float32), taps)
    weight = kernels.separable(mask[None].astype(np.float32), taps)
    return kernels.separable(np.where(mask, data, np.float32(0)), taps) / np.maximum(weight, np.float32(1e-6))


def slope(data: NDArray, grid: Grid, sigma: float | ArrayLike = 0.0, mask: NDArray | None = None) -> NDArray[np.float32]:
    """Derivatives along the axes of the world, per mm, of one channel (*grid.shape) smoothed by ``sigma`` mm: (D, *grid.shape).

    Central differences; steps out of the array or the mask are 0.
    """
    if np.any(sigma):
        data = smooth(data[None], grid, sigma, mask)[0]
    along = kernels.gradient(np.ascontiguousarray(data, np.float32), tuple(1 / grid.spacing), mask)
    return np.tensordot(np.linalg.inv(grid.direction).T.astype(np.float32), along, 1)


def filled(data: NDArray, mask: NDArray | None) -> NDArray:
    """Channels (C, *shape) in which masked voxels hold the value of the nearest that counts, so that filters see no edge there."""
    if mask is None or mask.all():
        return data
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return data[(slice(None), *nearest)]


def kept(image_data: NDArray, out: NDArray, mask: NDArray | None) -> NDArray:
    """``out`` where voxels count, and what was there where they do not."""
    return out if mask is None else np.where(mask, out, image_data)
