"""Label maps from images, and from label maps. What is masked out belongs to nothing (0). Lengths are mm along the axes of the array."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Image, InputError, Points, UsageError, require
from ..core.errors import choose
from .threshold import otsu_split

CONNECTIVITIES = {"face": 1, "edge": 2, "corner": 3}
"""Which neighbours are connected: those that share a face (4 in 2-D, 6 in 3-D), an edge too (8, 18), or a corner too (8, 26)."""


def threshold(image: Image, *, low: float | None = None, high: float | None = None) -> Image:
    """1 where ``low`` <= value <= ``high``.

    Raises
    ------
    InputError : a label map, or nothing counts.  UsageError : no limit, or the wrong order.
    """
    require.intensities(image, "threshold")
    if (low is None and high is None) or (None not in (low, high) and low > high):
        raise UsageError(f"threshold: low={low} and high={high} were given; expected at least one of them, in this order")
    data = image.array
    inside = np.ones(data.shape, bool) if low is None else data >= np.float32(require.number(low, "low"))
    return as_labels(inside if high is None else inside & (data <= np.float32(require.number(high, "high"))), image)


def otsu(image: Image) -> Image:
    """1 where the image belongs to the brighter of the two most distinct classes (Otsu 1979, doi:10.1109/TSMC.1979.4310076).

    Raises
    ------
    InputError : a label map, a constant image, or nothing counts.
    """
    require.contrast(image, "otsu")
    return as_labels(image.array > otsu_split(require.counted(image)[0]), image)


def multi_otsu(image: Image, *, classes: int = 3) -> Image:
    """The most distinct ``classes``, 0 for the darkest and so on (Liao et al. 2001); thresholds by scikit-image.

    Raises
    ------
    InputError : a label map, or fewer different values than classes.
    """
    require.contrast(image, "multi_otsu")
    count = int(require.number(classes, "classes", 2, 5))
    values = require.counted(image)[0]
    if len(np.unique(values[:: max(values.size // 1_000_000, 1)])) < count:
        raise InputError(f"multi_otsu: fewer than {count} different values; expected at least as many as classes")
    from skimage.filters import threshold_multiotsu

    return as_labels(np.digitize(image.array, threshold_multiotsu(values, count)), image)


def region_growing(image: Image, *, seeds: Points, tolerance: float, connectivity: str = "face") -> Image:
    """1 for all that is connected to a seed through values within ``tolerance`` of the mean of the seeds.

    Parameters
    ----------
    seeds : world points in mm.
    connectivity : one of `CONNECTIVITIES`.

    Raises
    ------
    InputError : a label map, or seeds outside the image.
    """
    require.intensities(image, "region_growing")
    require.number(tolerance, "tolerance", 0)
    at = tuple(require.points(seeds, image.grid, "region_growing").T)
    alike = np.abs(image.array.astype(np.float64) - float(image.array[at].mean(dtype=np.float64))) <= tolerance
    parts = _parts(alike if image.mask is None else alike & image.mask, connectivity)[0]
    grown = np.unique(parts[at])
    return as_labels(np.isin(parts, grown[grown > 0]), image)


# -------------------------------------------------------------------- label maps
def connected_components(labels: Image, *, connectivity: str = "face", least: float = 0.0) -> Image:
    """Each connected part of all that is not 0 gets a number: 1 for the largest and so on.

    Parameters
    ----------
    connectivity : one of `CONNECTIVITIES`.
    least : parts smaller than so many mm^3 (mm^2 in 2-D) are left out.

    Raises
    ------
    InputError : no label map.
    """
    parts, counts = _parts(_inside(labels, "connected_components"), connectivity)
    order = np.argsort(-counts[1:], kind="stable") + 1
    order = order[counts[order] * labels.grid.voxel_volume >= require.number(least, "least", 0)]
    number = np.zeros(len(counts), np.int32)
    number[order] = np.arange(1, len(order) + 1)
    return as_labels(number[parts], labels)


def largest_component(labels: Image, *, connectivity: str = "face") -> Image:
    """The largest connected part of all that is not 0, with its labels.

    Raises
    ------
    InputError : no label map.
    """
    return as_labels(np.where(largest(_inside(labels, "largest_component"), connectivity), labels.array, 0), labels)


def erode(labels: Image, *, radius: float) -> Image:
    """Each label without what lies within ``radius`` mm of anything else. The face of the image is nothing else.

    Raises
    ------
    InputError : no label map.
    """
    return _each(labels, "erode", lambda inside, other: eroded(inside, labels.grid, radius))


def dilate(labels: Image, *, radius: float) -> Image:
    """Each label and the background within ``radius`` mm of it; where two meet the nearer one.

    Raises
    ------
    InputError : no label map.
    """
    require.number(radius, "radius", 0)
    array = require.labels(labels, "dilate")
    from scipy import ndimage

    distance, nearest = ndimage.distance_transform_edt(array == 0, labels.grid.spacing, return_indices=True)
    near = (distance <= radius + 1e-6) & (array != 0).any()
    return as_labels(np.where(near, array[tuple(nearest)], 0), labels)


def opening(labels: Image, *, radius: float) -> Image:
    """Each label without what a ball of ``radius`` mm does not fit into: bridges and spurs go.

    Raises
    ------
    InputError : no label map.
    """
    return _each(labels, "opening", lambda inside, other: dilated(eroded(inside, labels.grid, radius), labels.grid, radius) & inside)


def closing(labels: Image, *, radius: float) -> Image:
    """Each label with the gaps of the background that a ball of ``radius`` mm does not fit into.

    Raises
    ------
    InputError : no label map.
    """
    return _each(labels, "closing", lambda inside, other: closed(inside, labels.grid, radius) & ~other)


def fill_holes(labels: Image) -> Image:
    """Each label with the background that it encloses.

    Raises
    ------
    InputError : no label map.
    """
    from scipy import ndimage

    return _each(labels, "fill_holes", lambda inside, other: ndimage.binary_fill_holes(inside) & ~other)


# -------------------------------------------------------------------- of truth values
def dilated(inside: NDArray[np.bool_], grid: Grid, radius: float) -> NDArray[np.bool_]:
    """What lies within ``radius`` mm, between the centres of voxels."""
    from scipy import ndimage

    require.number(radius, "radius", 0)
    return ndimage.distance_transform_edt(~inside, grid.spacing) <= radius + 1e-6 if inside.any() else inside


def eroded(inside: NDArray[np.bool_], grid: Grid, radius: float) -> NDArray[np.bool_]:
    """What lies more than ``radius`` mm from all that is not inside."""
    return ~dilated(~inside, grid, radius)


def closed(inside: NDArray[np.bool_], grid: Grid, radius: float) -> NDArray[np.bool_]:
    """Dilated, then eroded; beyond the faces of the grid is background."""
    around = [(int(n), int(n)) for n in np.ceil(radius / grid.spacing) + 1]
    wide = eroded(dilated(np.pad(inside, around), grid, radius), grid, radius)
    return wide[tuple(slice(a, -a) for a, _ in around)]


def largest(inside: NDArray[np.bool_], connectivity: str = "face") -> NDArray[np.bool_]:
    """The largest connected part."""
    parts, counts = _parts(inside, connectivity)
    return parts == 1 + int(np.argmax(counts[1:])) if len(counts) > 1 else inside


def as_labels(values: NDArray, image: Image) -> Image:
    """Whole numbers (*grid.shape) as labels, with the mask of ``image``; in as few bits as they need."""
    top = int(values.max(initial=0))
    kind = np.uint8 if top < 256 else np.uint16 if top < 65536 else np.int32
    if values.dtype.kind in "iu" and values.min(initial=0) < 0:
        kind = np.int32
    values = values.astype(kind)
    return Image(values if image.mask is None else np.where(image.mask, values, 0), image.grid, image.mask, is_label=True)


def _inside(labels: Image, what: str) -> NDArray[np.bool_]:
    inside = require.labels(labels, what) != 0
    return inside if labels.mask is None else inside & labels.mask


def _parts(inside: NDArray[np.bool_], connectivity: str) -> tuple[NDArray[np.int32], NDArray[np.int_]]:
    """Numbers of the connected parts, and how many voxels each has (first: of none)."""
    from scipy import ndimage

    neighbours = CONNECTIVITIES[choose(connectivity, CONNECTIVITIES, "connectivity")]
    parts, _ = ndimage.label(inside, ndimage.generate_binary_structure(inside.ndim, min(neighbours, inside.ndim)))
    return parts, np.bincount(parts.ravel())


def _each(labels: Image, what: str, change: Callable[[NDArray, NDArray], NDArray]) -> Image:
    """``change(where the label is, where others are)`` of each label; what two claim goes to the lower number."""
    array = require.labels(labels, what)
    out = np.zeros_like(array)
    for label in np.unique(array)[::-1]:
        if label:
            out[change(array == label, (array != label) & (array != 0))] = label
    return as_labels(out, labels)
