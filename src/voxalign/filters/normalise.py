"""Intensities that mean the same from image to image. Statistics are of what counts; the map is applied everywhere."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core import Image, InputError, require
from ..core.errors import choose
from .enhance import between

_SAMPLE = 200_000  # voxels that percentiles are read from
WINDOWS = {"brain": (40.0, 80.0), "stroke": (40.0, 40.0), "subdural": (75.0, 215.0), "bone": (500.0, 2000.0), "lung": (-600.0, 1500.0),
           "mediastinum": (50.0, 350.0), "soft_tissue": (50.0, 400.0), "abdomen": (60.0, 400.0), "liver": (60.0, 160.0),
           "angiography": (300.0, 600.0)}
"""Usual CT windows: centre and width, HU."""


def to_unit(image: Image) -> Image:
    """The least value becomes 0 and the greatest 1.

    Raises
    ------
    InputError : a label map, a constant image, or nothing counts.
    """
    require.contrast(image, "to_unit")
    return _linear(image, [(float(v.min()), float(v.max()) - float(v.min())) for v in require.counted(image)], clip=True)


def z_score(image: Image) -> Image:
    """Mean 0 and standard deviation 1.

    Raises
    ------
    InputError : a label map, a constant image, or nothing counts.
    """
    require.contrast(image, "z_score")
    return _linear(image, [(float(v.mean(dtype=np.float64)), float(v.std(dtype=np.float64))) for v in require.counted(image)])


def robust_range(values: NDArray) -> tuple[float, float]:
    """What is dark and what is bright: the 0.1 and 99.5 percentiles, a background of one value (as after skull-stripping) left out.

    Raises
    ------
    InputError : no values, or only one.
    """
    if not values.size:
        raise InputError("no voxel counts: the mask is empty, or all voxels are NaN")
    some = np.sort(values.ravel()[:: max(values.size // _SAMPLE, 1)].astype(np.float32))
    low = _percentile(some, 0.1)
    above = some[np.searchsorted(some, low, "right"):]
    if not above.size:
        if float(values.max()) <= low:
            raise InputError(f"the image is constant ({low:g}): there is nothing to align")
        above = np.sort(values[values > low].astype(np.float32))
    return low, max(_percentile(above, 99.5), float(above[0]))


def _percentile(ordered: NDArray, percent: float) -> float:
    """As NumPy's, of values in order: sorting takes a tenth of the time of picking two of them."""
    place = (len(ordered) - 1) * percent / 100
    first = int(place)
    near = ordered[first:first + 2].astype(np.float64)
    return float(near[0] + (place - first) * (near[-1] - near[0]))


def clip_percentiles(image: Image, *, low: float = 0.5, high: float = 99.5) -> Image:
    """What lies beyond two percentiles becomes the percentile.

    Raises
    ------
    InputError : a label map, or one value between the percentiles.
    """
    require.contrast(image, "clip_percentiles")
    limits = [between(values, low, high, "clip_percentiles") for values in require.counted(image)]
    return image.with_data(np.stack([np.clip(c, *pair) for c, pair in zip(image.data, limits, strict=True)]))


def match_histogram(image: Image, *, like: Image) -> Image:
    """Each value becomes that of ``like`` with the same rank; grids may differ.

    Raises
    ------
    InputError : label maps, constant images, another number of channels.
    """
    require.contrast(image, "match_histogram")
    require.contrast(like, "match_histogram")
    if like.channels != image.channels:
        raise InputError(f"match_histogram: {like.channels} channels to match {image.channels}; expected as many")
    pairs = zip(image.data, require.counted(image), require.counted(like), strict=True)
    return image.with_data(np.stack([_matched(data, have, want) for data, have, want in pairs]))


def _matched(data: NDArray, have: NDArray, want: NDArray) -> NDArray:
    values, counts = np.unique(have, return_counts=True)
    wanted, wanted_counts = np.unique(want, return_counts=True)
    ranks = np.interp(np.cumsum(counts) / have.size, np.cumsum(wanted_counts) / want.size, wanted)
    return np.interp(data, values, ranks)


def ct_window(image: Image, *, centre: float, width: float) -> Image:
    """HU of ``centre`` - ``width`` / 2 become 0, of ``centre`` + ``width`` / 2 become 1; clipped.

    Raises
    ------
    InputError : a label map, or nothing counts.  UsageError : no width.
    """
    require.intensities(image, "ct_window")
    wide = require.number(width, "width", 1e-6)
    return _linear(image, [(require.number(centre, "centre") - wide / 2, wide)] * image.channels, clip=True)


def ct_preset(image: Image, *, name: str) -> Image:
    """`ct_window` with the usual numbers of one of `WINDOWS`.

    Raises
    ------
    InputError : a label map, or nothing counts.  UsageError : unknown name.
    """
    centre, width = WINDOWS[choose(name, WINDOWS, "CT window")]
    return ct_window(image, centre=centre, width=width)


def _linear(image: Image, maps: list[tuple[float, float]], clip: bool = False) -> Image:
    """(value - offset) / divisor of each channel, within 0 to 1 if clipped."""
    out = np.stack([((c.astype(np.float64) - offset) / divisor) for c, (offset, divisor) in zip(image.data, maps, strict=True)])
    return image.with_data(np.clip(out, 0, 1) if clip else out)
