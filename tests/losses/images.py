"""Images that losses are tried on."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

SHAPES = [(9, 11, 7), (6, 7, 8), (13, 11), (1, 9, 10)]


def smooth_image(shape: tuple[int, ...], rng: np.random.Generator, sigma: float = 1.2) -> NDArray[np.float32]:
    """Smooth noise of 0.15 to 0.85, away from the ends where histograms clip."""
    image = gaussian_filter(rng.normal(0, 1, shape), [sigma if n > 1 else 0 for n in shape])
    return (0.15 + 0.7 * (image - image.min()) / max(np.ptp(image), 1e-9)).astype(np.float32)


def image_pair(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """An image, and another that is partly like it."""
    one, other = smooth_image(shape, rng), smooth_image(shape, rng)
    return one, (0.6 * one + 0.4 * other).astype(np.float32)


def shifted(image: NDArray, shift: float) -> NDArray[np.float32]:
    """``image`` moved by ``shift`` voxels along its last axis."""
    index = np.indices(image.shape).astype(np.float64)
    index[-1] += shift
    return map_coordinates(image.astype(np.float64), index, order=3, mode="nearest").astype(np.float32)


def random_mask(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Four voxels of five."""
    return rng.random(shape) < 0.8
