"""Body and brain without weights: thresholds, morphology in mm, and the largest part."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Image, InputError, require, resample
from ..core.smoothing import smooth
from .geometry import shrunk
from .segment import as_labels, closed, dilated, largest
from .threshold import otsu_split

_SPACING = 2.0  # mm; outlines are found on this grid and drawn on the image's own
_UPPER = 150.0  # mm below the top of a head in which the brain lies
_MIDDLE = 50.0  # mm around the middle of that, nearly all brain
_SCALP, _MOST_OPENING = 7.0, 9.0  # mm
_REGROWTH = 3.0  # mm beyond what erosion took: thin gyri that it took whole
_GREY, _FAT = 0.45, 1.2  # grey matter is brighter, and white matter darker, than so many times the white matter


def body_mask(image: Image, *, gap: float = 6.0) -> Image:
    """1 for the body: brighter than half of Otsu's threshold, the largest part, with all it encloses.

    Parameters
    ----------
    gap : openings of up to twice so many mm (nostrils, the edge of a dark bone) are closed.

    Raises
    ------
    InputError : a label map, a constant image, or nothing counts.
    """
    require.contrast(image, "body_mask")
    coarse = _coarse(image)
    bright = _brighter(coarse, 0.5)
    return _drawn(_solid(largest(bright), coarse.grid, gap), coarse.grid, image)


def brain_mask(image: Image, *, opening: float = 4.0) -> Image:
    """1 for the brain of a T1-weighted MR of a head, approximately.

    Grey and white matter are what is brighter than fluid; `opening` cuts the bridges to scalp and eyes; the largest part
    in the middle of the head grows back within the tissue, and sulci and ventricles are closed.

    Parameters
    ----------
    opening : mm; more cuts thicker bridges, and more of thin gyri. Raised by itself while what is left reaches the scalp.

    Raises
    ------
    InputError : a label map, a constant image, nothing counts, or no brain is found.
    """
    require.contrast(image, "brain_mask")
    coarse = _coarse(image)
    head = _solid(largest(_brighter(coarse, 0.5)), coarse.grid, 6.0)
    tissue = _tissue(coarse, head)
    core, used = _core(tissue, head, coarse.grid, require.number(opening, "opening", 0, 20))
    if not core.any():
        raise InputError("brain_mask: no brain was found; expected a T1-weighted MR of a whole head, with the skull")
    grown = dilated(core, coarse.grid, used + _REGROWTH) & tissue
    return _drawn(_solid(largest(grown), coarse.grid, 8.0), coarse.grid, image)


def _coarse(image: Image) -> Image:
    return shrunk(Image(image.array, image.grid, image.mask), _SPACING)


def _brighter(image: Image, part: float) -> NDArray[np.bool_]:
    """Brighter than a part of the way from the dark end to Otsu's threshold."""
    values = require.counted(image)[0]
    dark = float(np.percentile(values, 0.1))
    bright = image.array > dark + part * (otsu_split(values) - dark)
    return bright if image.mask is None else bright & image.mask


def _solid(inside: NDArray[np.bool_], grid: Grid, gap: float) -> NDArray[np.bool_]:
    """Closed, and with all holes filled; also those that are open at a face of the grid (lungs) but closed in an axial plane."""
    from scipy import ndimage

    whole = ndimage.binary_fill_holes(closed(inside, grid, gap))
    if grid.dim == 2:
        return whole
    axial = next(k for k, letter in enumerate(grid.axes) if letter in "SI")
    planes = [ndimage.binary_fill_holes(plane) for plane in np.moveaxis(whole, axial, 0)]
    return np.moveaxis(np.stack(planes), 0, axial)


def _drawn(inside: NDArray[np.bool_], grid: Grid, image: Image) -> Image:
    """A mask of a coarse grid with smooth outlines on the grid of the image."""
    soft = smooth(inside[None], grid, 0.5 * grid.spacing)
    return as_labels(resample(Image(soft, grid), image.grid).array >= 0.5, image)


def _tissue(image: Image, head: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """As bright as grey and white matter, which is what the middle of the head is made of."""
    middle = head & (_from_middle(head, image.grid) < _MIDDLE)
    if not middle.any():
        return middle
    white = float(np.percentile(image.array[middle], 90))
    return head & (image.array > _GREY * white) & (image.array < _FAT * white)


def _core(tissue: NDArray[np.bool_], head: NDArray[np.bool_], grid: Grid, opening: float) -> tuple[NDArray[np.bool_], float]:
    """The part of the eroded tissue that has most of the middle of the head, and the erosion in mm after which it keeps off the scalp."""
    from scipy import ndimage

    middle = _from_middle(head, grid) < _MIDDLE
    depth, inside = (ndimage.distance_transform_edt(of, grid.spacing) for of in (head, tissue))
    core = np.zeros(head.shape, bool)
    for reach in np.arange(opening, max(opening, _MOST_OPENING) + 0.1, 1.0):
        parts, count = ndimage.label(inside > reach)
        sizes = np.bincount(parts[middle & (parts > 0)], minlength=count + 1)
        core = parts == int(np.argmax(sizes)) if sizes.any() else core & False
        if (depth[core] < _SCALP + reach).mean() < 0.03 if core.any() else True:
            break
    return core, float(reach)


def _from_middle(head: NDArray[np.bool_], grid: Grid) -> NDArray[np.float64]:
    """Distance in mm from the middle of the upper head, where the brain is (of all of it in 2-D)."""
    points = grid.points()
    up = points[..., -1]
    upper = head & (up > up[head].max() - _UPPER) if grid.dim == 3 else head
    return np.linalg.norm(points - points[upper].mean(0), axis=-1)
