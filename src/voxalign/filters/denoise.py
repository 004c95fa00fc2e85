"""Less noise. What is masked out has no influence, and stays as it was. Lengths are mm, one for all axes or one an axis of the array."""
from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from ..core import Image, InputWarning, kernels, require
from ..core.smoothing import filled, kept, smooth

Lengths = float | tuple[float, ...]


def gaussian(image: Image, *, sigma: Lengths = 1.0) -> Image:
    """Means weighted by a Gaussian of standard deviation ``sigma`` mm.

    Raises
    ------
    InputError : a label map, or nothing counts.
    """
    require.intensities(image, "gaussian")
    return image.with_data(kept(image.data, smooth(image.data, image.grid, sigma, image.mask), image.mask))


def median(image: Image, *, radius: Lengths = 2.0) -> Image:
    """The median of what lies within ``radius`` mm: removes single odd voxels, keeps edges. A radius below the spacing changes nothing.

    Raises
    ------
    InputError : a label map, or nothing counts.
    """
    require.intensities(image, "median")
    ball = footprint(require.lengths(radius, image.grid, "radius"))
    if ball.size == 1:
        spacing = image.grid.spacing.round(3).tolist()
        warnings.warn(f"median: no voxel has a neighbour within {radius} mm (spacing {spacing} mm): nothing changes", InputWarning, 2)
    return image.with_data(np.stack([_median(channel, ball, image.mask) for channel in image.data]))


def footprint(radius: NDArray) -> NDArray[np.bool_]:
    """The voxels of an ellipsoid with ``radius`` voxels along each axis."""
    reach = [np.arange(-int(r + 1e-9), int(r + 1e-9) + 1) / max(r, 1e-9) for r in radius]
    return sum(x**2 for x in np.meshgrid(*reach, indexing="ij", sparse=True)) <= 1 + 1e-9


def _median(data: NDArray, ball: NDArray, mask: NDArray | None) -> NDArray[np.float32]:
    from scipy import ndimage

    out = ndimage.median_filter(data, footprint=ball, mode="nearest")
    if mask is None:
        return out
    near = np.argwhere(mask & ndimage.binary_dilation(~mask, ball))  # only there the ordinary median is wrong
    offsets = np.argwhere(ball) - np.array(ball.shape) // 2
    for part in np.array_split(near, max(len(near) * len(offsets) // 2_000_000, 1)):
        at = np.clip(part[:, None] + offsets, 0, np.array(data.shape) - 1)
        values = np.where(mask[tuple(np.moveaxis(at, -1, 0))], data[tuple(np.moveaxis(at, -1, 0))], np.nan)
        out[tuple(part.T)] = np.nanmedian(values, axis=1)
    return kept(data, out, mask)


def bilateral(image: Image, *, sigma: Lengths = 1.5, contrast: float | None = None) -> Image:
    """Means of what is near and alike (Tomasi and Manduchi 1998, doi:10.1109/ICCV.1998.710815).

    Parameters
    ----------
    sigma : standard deviation of the nearness in mm; the window reaches twice as far.
    contrast : standard deviation of the likeness, in intensity; by default three times the noise.

    Raises
    ------
    InputError : a label map, a constant image, or nothing counts.
    """
    require.contrast(image, "bilateral")
    reach = require.lengths(sigma, image.grid, "sigma")

    def denoise(data: NDArray) -> NDArray:
        alike = 3 * noise_level(data, image.mask) if contrast is None else require.number(contrast, "contrast", 0)
        scale = -0.5 / max(alike, 1e-30) ** 2

        def weight(other: NDArray, step: NDArray) -> NDArray:
            near = float((np.divide(step, reach, where=reach > 0, out=np.zeros(len(step))) ** 2).sum())
            return np.exp((data - other) ** 2 * np.float32(scale) - np.float32(near / 2))

        return _mean_of_neighbours(data, np.rint(2 * reach).astype(int), weight, image.mask)

    return _by_channel(image, denoise)


def non_local_means(image: Image, *, strength: float = 1.0, noise: float | None = None, patch: Lengths = 1.0, search: Lengths = 3.0,
                    rician: bool = False) -> Image:
    """Means of what lies in alike surroundings (Buades et al. 2005, doi:10.1109/CVPR.2005.38).

    Weights are exp(-max(d - 2 noise^2, 0) / (strength noise)^2), d the mean squared difference of two patches.

    Parameters
    ----------
    strength : more is smoother.
    noise : standard deviation, in intensity; by default estimated.
    patch, search : half edges of the patches and of the region they are sought in, mm, at least one voxel.
    rician : magnitude MR: squares are averaged and 2 noise^2 taken off, so that dark regions are not lifted
        (Wiest-Daesslé et al. 2008, doi:10.1007/978-3-540-85990-1_21).

    Raises
    ------
    InputError : a label map, a constant image, or nothing counts.
    """
    require.contrast(image, "non_local_means")
    require.number(strength, "strength", 1e-6)
    windows = [np.full(2 * r + 1, 1 / (2 * r + 1), np.float32) for r in _at_least_one(require.lengths(patch, image.grid, "patch"), image)]
    reach = _at_least_one(require.lengths(search, image.grid, "search"), image)

    def denoise(data: NDArray) -> NDArray:
        sigma = noise_level(data, image.mask) if noise is None else require.number(noise, "noise", 0)
        least, scale = np.float32(2 * sigma**2), np.float32(-1 / max(strength * sigma, 1e-30) ** 2)

        def weight(other: NDArray, step: NDArray) -> NDArray:
            distance = kernels.separable(((data - other) ** 2)[None], windows)[0]
            return np.exp(np.maximum(distance - least, 0) * scale)

        if not rician:
            return _mean_of_neighbours(data, reach, weight, image.mask)
        squares = _mean_of_neighbours(data, reach, weight, image.mask, lambda x: x * x)
        return np.sqrt(np.maximum(squares - least, 0))

    return _by_channel(image, denoise)


def wavelet(image: Image, *, noise: float | None = None, name: str = "sym4", levels: int | None = None) -> Image:
    """Soft thresholds of wavelet coefficients, each band's own (BayesShrink: Chang et al. 2000, doi:10.1109/83.862633).

    Parameters
    ----------
    noise : standard deviation, in intensity; by default estimated.
    name : of an orthogonal wavelet of PyWavelets.
    levels : of the decomposition; by default three fewer than the size allows, at least one.

    Raises
    ------
    InputError : a label map, a constant image, or nothing counts.  UsageError : unknown wavelet.
    """
    require.contrast(image, "wavelet")
    import pywt

    from ..core.errors import choose

    family = pywt.Wavelet(choose(name, pywt.wavelist(kind="discrete"), "wavelet"))
    most = pywt.dwtn_max_level(image.grid.shape, family)
    depth = max(min(most - 3, most), 1) if levels is None else int(require.number(levels, "levels", 1, 20))

    def denoise(data: NDArray) -> NDArray:
        sigma = noise_level(data, image.mask) if noise is None else require.number(noise, "noise", 0)
        coarse, *details = pywt.wavedecn(data, family, "symmetric", min(depth, max(most, 1)))
        shrunk = [{key: _shrunk(band, sigma, pywt) for key, band in level.items()} for level in details]
        return pywt.waverecn([coarse, *shrunk], family, "symmetric")[tuple(map(slice, data.shape))]

    return _by_channel(image, denoise)


def _shrunk(band: NDArray, sigma: float, pywt) -> NDArray:
    signal = np.sqrt(max(float((band.astype(np.float64) ** 2).mean()) - sigma**2, np.finfo(np.float64).tiny))
    return pywt.threshold(band, sigma**2 / signal, "soft").astype(np.float32)


def noise_level(data: NDArray, mask: NDArray | None = None) -> float:
    """Standard deviation of white noise in (*shape), from the median of the finest diagonal wavelet band.

    Donoho and Johnstone 1994 (doi:10.1093/biomet/81.3.425).
    """
    import pywt

    finest = np.abs(pywt.dwtn(filled(data[None], mask)[0], "db2")["d" * data.ndim])
    if mask is not None:  # only of what counts
        inside = mask[np.ix_(*[np.clip(2 * np.arange(n) - 1, 0, m - 1) for n, m in zip(finest.shape, mask.shape, strict=True)])]
        finest = finest[inside]
    finest = finest[finest > 0]
    return float(np.median(finest) / 0.6744897501960817) if finest.size else 0.0


def _at_least_one(voxels: NDArray, image: Image) -> NDArray[np.int_]:
    return np.minimum(np.maximum(np.rint(voxels), 1), np.array(image.grid.shape) - 1).astype(int)


def _by_channel(image: Image, denoise: Callable[[NDArray], NDArray]) -> Image:
    out = np.stack([denoise(channel) for channel in filled(image.data, image.mask)])
    return image.with_data(kept(image.data, out.astype(np.float32), image.mask))


def _mean_of_neighbours(data: NDArray, reach: NDArray, weight: Callable[[NDArray, NDArray], NDArray], mask: NDArray | None,
                        value: Callable[[NDArray], NDArray] = lambda x: x) -> NDArray[np.float32]:
    """Weighted means of ``value`` over all steps of up to ``reach`` voxels; the image is mirrored at its faces."""
    padded = np.pad(data, [(r, r) for r in reach], mode="symmetric")
    counts = None if mask is None else np.pad(mask.astype(np.float32), [(r, r) for r in reach])
    total, weights = np.zeros(data.shape, np.float32), np.zeros(data.shape, np.float32)
    for step in _steps(reach):
        window = tuple(slice(r + s, r + s + n) for r, s, n in zip(reach, step, data.shape, strict=True))
        other = padded[window]
        w = weight(other, step) if counts is None else weight(other, step) * counts[window]
        total += w * value(other)
        weights += w
    return total / np.maximum(weights, np.float32(1e-30))


def _steps(reach: NDArray) -> Iterator[NDArray]:
    for step in np.ndindex(*(2 * reach + 1)):
        yield np.array(step) - reach
