"""What a function may expect of its image and its parameters; each refusal is one line that names the function."""
from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError, UsageError
from .grid import Grid
from .image import Image
from .points import Points


def intensities(image: Image, what: str) -> None:
    """Refuse label maps, and images in which nothing counts.

    Raises
    ------
    InputError
    """
    if image.is_label:
        raise InputError(f"{what}: a label map was given, whose values are names and are never blended; expected an image of intensities")
    if image.mask is not None and not image.mask.any():
        raise InputError(f"{what}: no voxel counts (all are NaN or masked out); expected an image")


def contrast(image: Image, what: str) -> None:
    """The same, and images (or channels) of one value.

    Raises
    ------
    InputError
    """
    intensities(image, what)
    for values in counted(image):
        if values.min() == values.max():
            raise InputError(f"{what}: every voxel is {values.flat[0]:.6g}; expected an image with contrast")


def labels(image: Image, what: str) -> NDArray:
    """The array (*grid.shape) of a label map of one channel.

    Raises
    ------
    InputError : no label map, or several channels.
    """
    if not image.is_label:
        raise InputError(f"{what}: an image of intensities was given; expected a label map (threshold it, or load it as labels)")
    return image.array


def points(given: Points, grid: Grid, what: str) -> NDArray[np.int_]:
    """Indices (N, D) of the voxels that points lie in.

    Raises
    ------
    InputError : none, of another dimension, or outside the grid.
    """
    if not len(given) or given.dim != grid.dim:
        raise InputError(f"{what}: {len(given)} points in {given.dim}-D were given; expected at least one in {grid.dim}-D")
    outside = ~grid.contains(given.coordinates)
    if outside.any():
        first = given.coordinates[outside][0].round(2).tolist()
        raise InputError(f"{what}: point {first} mm lies outside the image; expected world mm, RAS+")
    return np.clip(np.rint(grid.index(given.coordinates)).astype(int), 0, np.array(grid.shape) - 1)


def number(value: float, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number of ``low`` to ``high``.

    Raises
    ------
    UsageError
    """
    if not isinstance(value, (int, float, np.number)) or isinstance(value, bool) or not low <= value <= high or not math.isfinite(value):
        limits = f" of {low:g} to {high:g}" if math.isfinite(high) else f" of at least {low:g}" if math.isfinite(low) else ""
        raise UsageError(f"{name} is {value!r}: expected a number{limits}")
    return float(value)


def lengths(value: float | ArrayLike, grid: Grid, name: str) -> NDArray[np.float64]:
    """Not negative lengths in mm, one for all axes or one an axis of the array, as voxels along each axis, (D,).

    Raises
    ------
    UsageError
    """
    given = np.asarray(value, np.float64)
    if given.shape not in ((), (grid.dim,)) or not np.isfinite(given).all() or (given < 0).any():
        raise UsageError(f"{name} is {value!r}: expected mm, at least 0, one number or {grid.dim}")
    return np.broadcast_to(given, grid.dim) / grid.spacing


def counted(image: Image) -> list[NDArray]:
    """The values that count, (N,) of each channel."""
    return [channel.ravel() if image.mask is None else channel[image.mask] for channel in image.data]
