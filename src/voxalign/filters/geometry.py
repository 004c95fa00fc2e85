"""Other grids for the same image. Every value stays at its place in the world; masks and labels travel along."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import Grid, Image, InputError, UsageError, require, resample
from ..core.smoothing import smooth
from .denoise import Lengths
from .threshold import otsu_split

_LETTERS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


def resample_to(image: Image, *, spacing: Lengths, interpolation: str | None = None) -> Image:
    """The same box with voxels of ``spacing`` mm, as nearly as whole numbers of voxels allow; labels stay labels.

    Along axes that get coarser, intensities are smoothed first, as larger voxels would have measured them.

    Parameters
    ----------
    interpolation : as of `core.resample`; by default by the kind of image.

    Raises
    ------
    UsageError : no positive spacing.
    """
    require.lengths(spacing, image.grid, "spacing")
    if np.min(spacing) <= 0:
        raise UsageError(f"spacing is {spacing!r}: expected mm above 0")
    grid = image.grid.with_spacing(spacing)
    if not image.is_label and interpolation != "nearest":
        factor = np.maximum(grid.spacing / image.grid.spacing, 1)
        image = _blurred(image, factor)
    return resample(image, grid, interpolation=interpolation)


def _blurred(image: Image, factor: NDArray) -> Image:
    """As voxels ``factor`` times as wide see it: widths add in squares (Cardoso 2015, doi:10.1007/978-3-319-24571-3_81)."""
    if factor.max() < 1.05:
        return image
    sigma = image.grid.spacing * np.sqrt(factor**2 - 1) / (2 * np.sqrt(2 * np.log(2)))
    return replace(image, data=smooth(image.data, image.grid, sigma, image.mask))


def shrunk(image: Image, spacing: float) -> Image:
    """One channel on a grid of at least ``spacing`` mm; axes that are coarser already stay as they are."""
    wanted = np.maximum(image.grid.spacing, spacing)
    return image if np.array_equal(wanted, image.grid.spacing) else resample_to(image, spacing=tuple(wanted))


def crop(image: Image, *, low: tuple[float, ...], high: tuple[float, ...]) -> Image:
    """The smallest part of the grid with all voxels whose centres lie in a box of the world.

    Parameters
    ----------
    low, high : opposite corners of the box, (D,) mm, RAS+.

    Raises
    ------
    InputError : corners of another dimension, or no voxel in the box.
    """
    corners = np.asarray([low, high], np.float64)
    if corners.shape != (2, image.dim):
        raise InputError(f"crop: corners {low} and {high} were given; expected {image.dim} world coordinates each")
    points = image.grid.points()
    inside = ((points >= corners.min(0) - 1e-6) & (points <= corners.max(0) + 1e-6)).all(-1)
    if not inside.any():
        raise InputError(f"crop: no voxel lies in the box of {low} to {high} mm; the image covers "
                         f"{image.grid.corners().min(0).round(1).tolist()} to {image.grid.corners().max(0).round(1).tolist()} mm")
    return cut(image, *bounds(inside))


def crop_to_foreground(image: Image, *, margin: Lengths = 5.0) -> Image:
    """The part of the grid with the foreground and ``margin`` mm around it.

    The foreground is what counts and is brighter than half of Otsu's threshold; of labels, all but 0.

    Raises
    ------
    InputError : nothing counts, or a constant image.
    """
    inside = image.data[0] != 0 if image.is_label else _foreground(image)
    if not inside.any():
        raise InputError("crop_to_foreground: there is no foreground; expected labels other than 0")
    around = np.ceil(require.lengths(margin, image.grid, "margin") - 1e-6).astype(int)
    start, stop = bounds(inside)
    return cut(image, np.maximum(start - around, 0), np.minimum(stop + around, image.grid.shape))


def _foreground(image: Image) -> NDArray[np.bool_]:
    require.contrast(image, "crop_to_foreground")
    values = require.counted(image)[0]
    low = float(values.min())
    inside = image.data[0] > low + 0.5 * (otsu_split(values) - low)
    return inside if image.mask is None else inside & image.mask


def pad(image: Image, *, margin: Lengths, value: float | None = None) -> Image:
    """The grid with ``margin`` mm more at each face, rounded up to whole voxels.

    Parameters
    ----------
    value : of the new voxels, which do not count if the image has a mask; by default the least value (air), of labels 0.

    Raises
    ------
    UsageError : a value that a label cannot have.
    """
    around = np.ceil(require.lengths(margin, image.grid, "margin") - 1e-6).astype(int)
    if value is None:
        value = 0 if image.is_label else min((float(v.min()) for v in require.counted(image) if v.size), default=0.0)
    if image.is_label and (value != int(value) or not np.iinfo(image.data.dtype).min <= value <= np.iinfo(image.data.dtype).max):
        raise UsageError(f"value is {value!r}: expected a whole number that fits {image.data.dtype}")
    width = [(a, a) for a in around]
    mask = None if image.mask is None else np.pad(image.mask, width)
    data = np.pad(image.data, [(0, 0), *width], constant_values=value)
    return Image(data, image.grid.crop(-around, np.array(image.grid.shape) + around), mask, image.is_label)


def reorient(image: Image, *, axes: str = "RAS") -> Image:
    """The axes of the array in another order or direction, nothing interpolated: axis k runs to ``axes[k]``, as nearly as it did.

    Parameters
    ----------
    axes : such as ``RAS`` or ``LPI``; of 2-D images two of R, L, A, P.

    Raises
    ------
    UsageError : not one letter for each direction.
    """
    wanted = axes.upper()
    have = image.grid.axes
    if sorted(_LETTERS.get(letter, (9,))[0] for letter in wanted) != list(range(image.dim)):
        raise UsageError(f"axes are {axes!r}: expected one letter each of {'RL, AP' if image.dim == 2 else 'RL, AP, SI'}, such as "
                         f"{'RAS'[:image.dim]!r}")
    order = [next(k for k, letter in enumerate(have) if _LETTERS[letter][0] == _LETTERS[new][0]) for new in wanted]
    flips = [have[k] != new for k, new in zip(order, wanted, strict=True)]
    return _turned(image, order, flips)


def _turned(image: Image, order: list[int], flips: list[bool]) -> Image:
    affine, shape = image.grid.affine.copy(), [image.grid.shape[k] for k in order]
    affine[:, :-1] = affine[:, order]
    for axis, (turned, n) in enumerate(zip(flips, shape, strict=True)):
        if turned:
            affine[:-1, -1] += affine[:-1, axis] * (n - 1)
            affine[:-1, axis] *= -1
    index = tuple(slice(None, None, -1 if turned else None) for turned in flips)
    data = image.data.transpose(0, *(k + 1 for k in order))[(slice(None), *index)]
    mask = None if image.mask is None else image.mask.transpose(order)[index]
    return Image(data, Grid(tuple(shape), affine), mask, image.is_label)


def cut(image: Image, start: ArrayLike, stop: ArrayLike) -> Image:
    """Voxels ``start[k] <= i < stop[k]``, within the grid."""
    window = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    mask = None if image.mask is None else image.mask[window]
    return Image(image.data[(slice(None), *window)], image.grid.crop(start, stop), mask, image.is_label)


def bounds(inside: NDArray[np.bool_]) -> tuple[NDArray, NDArray]:
    """First index and one past the last of what is true, along each axis."""
    from ..core import arrays

    return arrays.bounds(inside)
