"""One image at several scales: on ever coarser grids, or ever smoother on its own. Lengths are mm."""
from __future__ import annotations

import numpy as np

from ..core import Image, require
from ..core.smoothing import kept, smooth
from .geometry import shrunk


def scale_space(image: Image, *, sigma: float = 1.0, levels: int = 4, step: float = 2.0) -> Image:
    """Gaussian means of ``sigma``, ``step`` sigma, ``step``^2 sigma ... mm (Lindeberg 1994, doi:10.1080/757582976), each of them a channel.

    Parameters
    ----------
    levels : how many, 1 to 16.
    step : ratio of neighbouring scales.

    Raises
    ------
    InputError : a label map, several channels, or nothing counts.  UsageError : settings out of range.
    """
    require.intensities(image, "scale_space")
    count = int(require.number(levels, "levels", 1, 16))
    sizes = require.number(sigma, "sigma", 0) * require.number(step, "step", 1, 10) ** np.arange(count)
    data = image.array[None]
    return image.with_data(np.concatenate([kept(data, smooth(data, image.grid, float(size), image.mask), image.mask) for size in sizes]))


def pyramid(image: Image, *, levels: int = 4) -> tuple[Image, ...]:
    """The image, and on voxels of 2, 4, 8 ... times its smallest edge, smoothed as larger voxels would have measured it; finest first.

    Axes that are coarse already wait until the others are as coarse (Burt and Adelson 1983, doi:10.1109/TCOM.1983.1095851). Labels stay
    labels.

    Parameters
    ----------
    levels : how many, 1 to 16.

    Raises
    ------
    UsageError : settings out of range.
    """
    count, finest = int(require.number(levels, "levels", 1, 16)), float(image.grid.spacing.min())
    return tuple(shrunk(image, finest * 2**k) for k in range(count))
