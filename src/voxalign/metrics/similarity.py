"""How alike two images on one grid look. None of it says that they are aligned: two aligned images of two kinds look different."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core import Image, InputError, kernels

_BINS = 64
_RADIUS = 3  # voxels, of the windows of structural similarity
_RANGE = (0.5, 99.5)  # percentiles that are taken for black and white


def ncc(a: Image, b: Image) -> float:
    """Normalised cross-correlation (Pearson's r) of the voxels that count in both, -1 to 1; NaN where one of them is constant.

    Parameters
    ----------
    a, b : images of one channel on one grid; masks count.

    Raises
    ------
    InputError : not on one grid, label maps, or no voxel counts in both.
    """
    x, y = (values - values.mean() for values in _counted(a, b))
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale else float("nan")


def mutual_information_nats(a: Image, b: Image) -> float:
    """Mutual information of a joint histogram of 64 x 64 equal bins over the range of each, at least 0; arguments and errors as for `ncc`.

    The estimate grows a little with the number of bins and as voxels get fewer: compare it on one pair only.
    """
    joint = np.histogram2d(*_counted(a, b), bins=_BINS)[0]
    joint /= joint.sum()
    apart = np.outer(joint.sum(1), joint.sum(0))
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / apart[seen])).sum())


def ssim(a: Image, b: Image) -> float:
    """Mean structural similarity of windows of 7 voxels, -1 to 1 (doi:10.1109/TIP.2003.819861); arguments and errors as for `ncc`.

    Each image is scaled by its own percentiles 0.5 and 99.5 to 0..1, so that units play no part. Windows are cut by the masks.
    """
    mask = _mask(a, b)
    fixed, moved = (_scaled(image.array, mask) for image in (a, b))
    weights = [np.ones(2 * min(_RADIUS, n - 1) + 1, np.float32) for n in a.grid.shape]
    moments = kernels.window_moments(fixed, mask, weights)
    total = kernels.ssim(fixed, moved, moments, weights, np.empty((5, *a.grid.shape), np.float32))[0]
    return float(total / np.count_nonzero(mask))


def _mask(a: Image, b: Image) -> NDArray[np.bool_]:
    """Voxels that count in both."""
    if a.is_label or b.is_label:
        raise InputError("similarity is for intensities: a label map was given; expected two images")
    if not a.grid.is_close(b.grid):
        raise InputError(f"images on two grids, {a.grid} and {b.grid}: resample one of them first")
    masks = [image.mask for image in (a, b) if image.mask is not None]
    mask = np.logical_and.reduce(masks) if masks else np.ones(a.grid.shape, bool)
    if not mask.any():
        raise InputError("no voxel counts in both images: expected an overlap")
    return mask


def _counted(a: Image, b: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mask = _mask(a, b)
    return a.array[mask].astype(np.float64), b.array[mask].astype(np.float64)


def _scaled(array: NDArray, mask: NDArray) -> NDArray[np.float32]:
    low, high = np.percentile(array[mask], _RANGE)
    scaled = np.clip((array - low) / max(high - low, 1e-12), 0, 1)
    return np.where(mask, scaled, 0).astype(np.float32)
