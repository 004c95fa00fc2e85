"""More to see: contrast, sharpness, even shading. Statistics are of what counts; values stay within the range that the image had."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..core import Image, InputError, require, resample
from ..core.smoothing import filled, kept, smooth
from .denoise import Lengths
from .threshold import otsu_split

_BINS = 256


def equalise(image: Image, *, bins: int = _BINS) -> Image:
    """Every brightness as frequent as any other (histogram equalisation), over the range of the image.

    Raises
    ------
    InputError : a label map, a constant image, or nothing counts.
    """
    require.contrast(image, "equalise")
    count = int(require.number(bins, "bins", 2, 1 << 20))

    def even(data: NDArray, values: NDArray) -> NDArray:
        counts, edges = np.histogram(values.astype(np.float64), count)
        share = np.cumsum(counts) / counts.sum()
        low, high = float(values.min()), float(values.max())
        return low + (high - low) * np.interp(data, (edges[:-1] + edges[1:]) / 2, share)

    return _mapped(image, even)


def clahe(image: Image, *, kernel: Lengths = 30.0, limit: float = 0.01, bins: int = _BINS) -> Image:
    """Equalisation within neighbourhoods, whose slope is limited (Zuiderveld 1994, doi:10.1016/B978-0-12-336156-1.50061-6); scikit-image.

    Parameters
    ----------
    kernel : edges of the neighbourhoods, mm.
    limit : 0 to 1; more is more contrast, and more noise.

    Raises
    ------
    InputError : a label map, a constant image, or nothing counts.
    """
    require.contrast(image, "clahe")
    require.number(limit, "limit", 0, 1)
    from skimage import exposure

    size = np.minimum(np.maximum(np.rint(require.lengths(kernel, image.grid, "kernel")), 1), image.grid.shape).astype(int)
    out = []
    for channel, values in zip(filled(image.data, image.mask), require.counted(image), strict=True):
        low, high = float(values.min()), float(values.max())
        unit = np.clip((channel.astype(np.float64) - low) / (high - low), 0, 1)
        out.append(low + (high - low) * exposure.equalize_adapthist(unit, tuple(size), limit, int(bins)))
    return image.with_data(kept(image.data, np.stack(out), image.mask))


def stretch(image: Image, *, low: float = 1.0, high: float = 99.0) -> Image:
    """Spread the values between two percentiles over the range of the image; what lies beyond is clipped.

    Raises
    ------
    InputError : a label map, or one value between the percentiles.
    """
    require.contrast(image, "stretch")

    def spread(data: NDArray, values: NDArray) -> NDArray:
        a, b = between(values, low, high, "stretch")
        least, most = float(values.min()), float(values.max())
        return least + (most - least) * np.clip((data.astype(np.float64) - a) / (b - a), 0, 1)

    return _mapped(image, spread)


def gamma(image: Image, *, gamma: float = 1.0) -> Image:
    """Values to the power of ``gamma``, as parts of the range of the image: below 1 lifts the dark, above 1 lowers it.

    Raises
    ------
    InputError : a label map, a constant image, or nothing counts.
    """
    require.contrast(image, "gamma")
    power = require.number(gamma, "gamma", 1e-3, 1e3)

    def bent(data: NDArray, values: NDArray) -> NDArray:
        low, high = float(values.min()), float(values.max())
        return low + (high - low) * np.clip((data.astype(np.float64) - low) / (high - low), 0, 1) ** power

    return _mapped(image, bent)


def sharpen(image: Image, *, sigma: Lengths = 1.0, amount: float = 1.0) -> Image:
    """Unsharp mask: ``amount`` times what smoothing by ``sigma`` mm takes away is added; clipped to the range of the image.

    Raises
    ------
    InputError : a label map, or nothing counts.
    """
    require.intensities(image, "sharpen")
    require.number(amount, "amount", 0, 100)
    out = image.data + np.float32(amount) * (image.data - smooth(image.data, image.grid, sigma, image.mask))
    for channel, values in zip(out, require.counted(image), strict=True):
        np.clip(channel, values.min(), values.max(), out=channel)
    return image.with_data(kept(image.data, out, image.mask))


def correct_bias(image: Image, *, spacing: float = 4.0, control: float = 60.0, levels: int = 4, iterations: int = 50) -> Image:
    """Even out the slow shading of MR (N4: Tustison et al. 2010, doi:10.1109/TMI.2010.2046908); SimpleITK.

    Estimated where the image counts, is positive, and is brighter than half of Otsu's threshold.

    Parameters
    ----------
    spacing : of the coarse grid that the shading is estimated on, mm.
    control : distance between the spline's control points at the finest level, mm, about; the coarsest has one span at least, so that
        it is at most the side of the image over 2^(levels - 1).
    levels, iterations : of the fit.

    Raises
    ------
    InputError : a label map, a constant image, too few positive voxels.
    """
    require.contrast(image, "correct_bias")
    require.number(spacing, "spacing", 1e-3)
    return image.with_data(np.stack([channel / shading(Image(channel, image.grid, image.mask), spacing, control, levels, iterations)
                                     for channel in image.data]))


def shading(image: Image, spacing: float, control: float, levels: int, iterations: int) -> NDArray[np.float32]:
    """The factor that N4 finds, (*grid.shape), with geometric mean 1 over what it was estimated on."""
    import SimpleITK as sitk

    grid = image.grid.with_spacing(np.maximum(image.grid.spacing, spacing))
    coarse = resample(image, grid, interpolation="nearest")  # means would blur the peaks of the histogram, which N4 sharpens
    bright = coarse.array > max(0.5 * otsu_split(require.counted(coarse)[0]), 0)
    inside = bright if coarse.mask is None else bright & coarse.mask
    if inside.sum() < 64:
        raise InputError(f"correct_bias: only {int(inside.sum())} voxels of {spacing:g} mm are positive and bright; "
                         "expected an MR image, or a smaller spacing")
    fit = sitk.N4BiasFieldCorrectionImageFilter()
    fit.SetNumberOfThreads(1)  # the same bits on every machine
    fit.SetMaximumNumberOfIterations([int(iterations)] * int(levels))
    # a level doubles the spans of the spline (order 3): n points make n - 3
    spans = np.maximum(np.round(coarse.grid.extent / control / 2 ** (levels - 1)), 1).astype(int)
    fit.SetNumberOfControlPoints((spans[::-1] + 3)[::-1].tolist())
    fit.Execute(_itk(np.maximum(coarse.array, 1e-6), coarse), _itk(inside.astype(np.uint8), coarse))

    def log(of: Image) -> NDArray[np.float32]:
        return sitk.GetArrayFromImage(fit.GetLogBiasFieldAsImage(_itk(np.zeros(of.grid.shape, np.float32), of))).T
    return np.exp(log(image) - log(coarse)[inside].mean()).astype(np.float32)


def _itk(array: NDArray, image: Image):
    """An image of SimpleITK along the axes of the array; the outer faces of all grids of one box are at the same place."""
    import SimpleITK as sitk

    out = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    out.SetSpacing(image.grid.spacing.tolist())
    out.SetOrigin((image.grid.spacing / 2).tolist())
    return out


def between(values: NDArray, low: float, high: float, what: str) -> tuple[float, float]:
    """Two percentiles of the values that count.

    Raises
    ------
    UsageError : no percentiles.  InputError : both are the same value.
    """
    require.number(low, "low", 0, 100)
    require.number(high, "high", low, 100)
    a, b = (float(v) for v in np.percentile(values.astype(np.float64), (low, high)))
    if a == b:
        raise InputError(f"{what}: the percentiles {low:g} and {high:g} are both {a:.6g}; expected contrast between them")
    return a, b


def _mapped(image: Image, change: Callable[[NDArray, NDArray], NDArray]) -> Image:
    """``change(channel, values that count)`` of each channel."""
    return image.with_data(np.stack([change(c, v) for c, v in zip(image.data, require.counted(image), strict=True)]))
