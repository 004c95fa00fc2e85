"""What an image is like nearby: slopes, their directions, self-similarity. Channels for losses and networks."""
from __future__ import annotations

import numpy as np

from ..core import Image, kernels, require
from ..core.smoothing import filled, slope

Lengths = float | tuple[float, ...]


def gradient_magnitude(image: Image, *, sigma: Lengths = 1.0) -> Image:
    """How fast intensity changes, per mm, after smoothing by ``sigma`` mm; one channel for each of the image's.

    Raises
    ------
    InputError : a label map, or nothing counts.
    """
    require.intensities(image, "gradient_magnitude")
    return image.with_data(np.stack([np.sqrt((slope(c, image.grid, sigma, image.mask) ** 2).sum(0)) for c in image.data]))


def ngf(image: Image, *, sigma: Lengths = 1.0, edge: float = 0.02) -> Image:
    """The normalised gradient field g / sqrt(|g|^2 + e^2): D channels along the axes of the world, shorter than 1.

    Haber and Modersitzki 2006 (doi:10.1007/11866763_89).

    Parameters
    ----------
    edge : slope that is as good as noise, as a part of the image's range (1st to 99th percentile) per mm.

    Raises
    ------
    InputError : a label map, several channels, a constant image, or nothing counts.
    """
    require.contrast(image, "ngf")
    field = slope(image.array, image.grid, sigma, image.mask)
    noise = require.number(edge, "edge", 1e-9) * _range(image)[1]
    return image.with_data(field / np.sqrt((field**2).sum(0) + np.float32(noise**2)))


def mind(image: Image, *, radius: Lengths = 1.5, distance: Lengths = 2.0) -> Image:
    """Self-similarity descriptors: 12 channels, in 2-D 4, each 0 to 1; equal for equal anatomy whatever its contrast.

    Heinrich et al. 2013 (doi:10.1007/978-3-642-40811-3_24), as `core.kernels.mind` defines them.

    Parameters
    ----------
    radius : of the windows that are compared, mm; at least one voxel.
    distance : to the neighbours that are compared with each other, mm; at least one voxel.

    Raises
    ------
    InputError : a label map, several channels, a constant image, or nothing counts.
    """
    require.contrast(image, "mind")
    voxels = [tuple(int(max(round(v), 1)) for v in require.lengths(length, image.grid, name))
              for length, name in ((radius, "radius"), (distance, "distance"))]
    low, span = _range(image)
    unit = np.clip((filled(image.data, image.mask)[0] - np.float32(low)) * np.float32(1 / span), 0, 1)
    return image.with_data(kernels.mind(np.ascontiguousarray(unit), *voxels, image.mask))


def _range(image: Image) -> tuple[float, float]:
    """The 1st percentile, and how far the 99th is above it; of the extremes if they are equal."""
    values = require.counted(image)[0]
    low, high = (float(v) for v in np.percentile(values, (1, 99)))
    return (low, high - low) if high > low else (float(values.min()), float(values.max() - values.min()))
