"""Texture: how strongly an image varies, in which direction and at which scale."""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import Grid, Image, kernels, require
from ..core.errors import choose
from ..core.smoothing import filled

_TRUNCATE = 4.0


def gabor(image: Image, *, wavelength: float = 8.0, orientations: int = 6, bandwidth: float = 1.0) -> Image:
    """Length of the response to complex Gabor filters, a channel for each orientation (Daugman 1985, doi:10.1364/JOSAA.2.001160).

    A filter is a plane wave of ``wavelength`` mm in a round Gaussian of weight 1. Waves run in `directions`.

    Parameters
    ----------
    bandwidth : octaves between the wavelengths at which the response is half: 1 gives a Gaussian of 0.56 wavelengths.

    Raises
    ------
    InputError : a label map, several channels, or nothing counts.  UsageError : a wave of less than two voxels.
    """
    require.intensities(image, "gabor")
    require.number(wavelength, "wavelength", 2 * float(image.grid.spacing.min()))
    count = int(require.number(orientations, "orientations", 1, 500))
    data = filled(image.data, image.mask)
    mean = np.float32(np.mean(require.counted(Image(image.array, image.grid, image.mask))[0], dtype=np.float64))  # keeps float32 sums exact
    sigma = gabor_sigma(wavelength, bandwidth)
    responses = [gabor_response(data[0] - mean, image.grid, way / wavelength, sigma) for way in directions(count, image.dim)]
    return image.with_data(np.stack(responses))


def gabor_sigma(wavelength: float, bandwidth: float = 1.0) -> float:
    """Standard deviation in mm of the Gaussian that gives a bandwidth in octaves."""
    octave = 2 ** require.number(bandwidth, "bandwidth", 0.05, 10)
    return wavelength / np.pi * np.sqrt(np.log(2) / 2) * (octave + 1) / (octave - 1)


def gabor_response(data: NDArray, grid: Grid, frequency: ArrayLike, sigma: float) -> NDArray[np.float32]:
    """Length of the response of (*grid.shape) to one filter; the image is mirrored at its faces.

    The wave is taken off the image instead of put on the filter, so that one Gaussian, axis by axis, does for all waves.

    Parameters
    ----------
    frequency : (D,) waves per mm along the axes of the world.
    sigma : of the Gaussian, mm.
    """
    taps = [kernels.gaussian_weights(s, _TRUNCATE) for s in require.lengths(sigma, grid, "sigma")]
    around = [(len(t) // 2,) * 2 for t in taps]
    wide = np.pad(data, around, mode="symmetric")
    turns = grid.affine[:-1, :-1].T @ np.asarray(frequency, np.float64)  # per voxel along each axis
    phase = sum(np.expand_dims(2 * np.pi * turn * np.arange(n), tuple(a for a in range(data.ndim) if a != axis))
                for axis, (turn, n) in enumerate(zip(turns, wide.shape, strict=True)))
    pair = np.stack([wide * np.cos(phase), wide * np.sin(phase)]).astype(np.float32)
    real, imaginary = kernels.separable(pair, taps)[(slice(None), *(slice(a, a + n) for (a, _), n in zip(around, data.shape, strict=True)))]
    return np.hypot(real, imaginary)


def directions(count: int, dim: int) -> NDArray[np.float64]:
    """Unit vectors (count, D) spread evenly over half the circle or half the sphere, the first near right (x).

    In 3-D on a spiral (Swinbank and Purser 2006, doi:10.1256/qj.05.227).
    """
    k = np.arange(count)
    if dim == 2:
        return np.stack([np.cos(np.pi * k / count), np.sin(np.pi * k / count)], -1)
    height, turn = (k + 0.5) / count, k * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - height**2)
    return np.stack([height[::-1], (ring * np.cos(turn))[::-1], (ring * np.sin(turn))[::-1]], -1)


def wavelet_energy(image: Image, *, levels: int = 3, name: str = "db2") -> Image:
    """Root mean square of the detail of each wavelet level, a channel a level: structures of about 1, 2, 4, ... voxels.

    Of the stationary transform, whose details are smoothed as widely as their wavelets are; scales are voxels, not mm: resample first.

    Raises
    ------
    InputError : a label map, several channels, or nothing counts.  UsageError : unknown wavelet.
    """
    require.intensities(image, "wavelet_energy")
    import pywt

    depth = int(require.number(levels, "levels", 1, 6))
    family = pywt.Wavelet(choose(name, pywt.wavelist(kind="discrete"), "wavelet"))
    data = filled(image.array[None], image.mask)[0]
    reach = min(2**depth * family.dec_len, 4 * max(data.shape))
    wide = np.pad(data, [(reach, reach + -(n + 2 * reach) % 2**depth) for n in data.shape], mode="symmetric")
    details = pywt.swtn(wide, family, depth, norm=True, trim_approx=True)[:0:-1]  # finest first
    inside = tuple(slice(reach, reach + n) for n in data.shape)
    return image.with_data(np.stack([_energy(bands, 2.0**k)[inside] for k, bands in enumerate(details)]))


def _energy(bands: dict[str, NDArray], scale: float) -> NDArray[np.float32]:
    """Root of the mean, over a Gaussian of ``scale`` voxels, of the sum of squares of all bands."""
    squares = sum(band.astype(np.float32) ** 2 for band in bands.values())
    return np.sqrt(np.maximum(kernels.smooth(squares[None], (scale,) * squares.ndim)[0], 0))
