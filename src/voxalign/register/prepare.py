"""What both images go through before anything is compared: robust intensities, foreground, coarser versions."""
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Identity, Image, Transform, arrays
from ..core.sample import pull
from ..filters.normalise import robust_range
from ..filters.threshold import otsu_of
from ..transforms.linear import Linear

_LEAST = 0.4  # part of a coarse voxel that must count for it to count, with the mean of that part; not a half: a tie would be chance
_MARGIN, _MARGIN_MM = 0.1, 8.0  # around all foregrounds: part of the longest edge (a mouse is small), at most so much


@dataclass(frozen=True, eq=False)
class Scaled:
    """One channel with intensities of about 0 to 1, and the voxels that count.

    Parameters
    ----------
    data : (*grid.shape) float32, 0 at the dark end, 1 at the bright end; clipped at 1.5.
    mask : (*grid.shape) bool or None for all.
    """

    data: NDArray[np.float32]
    grid: Grid
    mask: NDArray[np.bool_] | None = None
    _coarser: dict[tuple[int, ...], Scaled] = field(default_factory=dict, repr=False)  # made once: several stages ask for the same

    def at(self, spacing: float) -> Scaled:
        """The same box with voxels of ``spacing`` mm where its own are smaller; means of the voxels they cover."""
        level = self
        while (finer := level._finer_than(spacing)).any():
            level = level._to(np.where(finer, level.grid.spacing * 2, level.grid.spacing))
        return level._to(np.maximum(spacing, level.grid.spacing)) if (level.grid.spacing * 1.3 < spacing).any() else level

    def _finer_than(self, spacing: float) -> NDArray[np.bool_]:
        """The axes along which two voxels would fit into one of ``spacing``; one voxel cannot become fewer."""
        return (self.grid.spacing * 2 <= spacing * 1.0001) & (np.array(self.grid.shape) > 1)

    def _to(self, spacing: NDArray) -> Scaled:
        grid = self.grid.with_spacing(spacing)
        if grid.shape == self.grid.shape:
            return self
        if grid.shape not in self._coarser:
            self._coarser[grid.shape] = self._pulled(grid)
        return self._coarser[grid.shape]

    def _pulled(self, grid: Grid) -> Scaled:
        identity = Identity(grid.dim)
        data = pull(self.data[None], self.grid, grid, identity)[0]  # cell-centred: at twice the spacing the mean of 2^D voxels
        if self.mask is None:
            return Scaled(data, grid)
        share = pull(arrays.as_floats(self.mask)[None], self.grid, grid, identity)[0]  # what does not count is 0 in the data
        return Scaled(arrays.keep(data / share.clip(_LEAST, 1), share > _LEAST), grid, share > _LEAST)

    @property
    def breadth(self) -> float:
        """The longest side, in mm, of the box around what counts."""
        bounds = None if self.mask is None else arrays.bounds(self.mask)
        return float(self.grid.extent.max() if bounds is None else ((bounds[1] - bounds[0]) * self.grid.spacing).max())

    def crop(self, start: NDArray[np.int_], stop: NDArray[np.int_]) -> Scaled:
        """Voxels from ``start`` to before ``stop``."""
        part = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        return Scaled(arrays.keep(self.data[part], None), self.grid.crop(start, stop), None if self.mask is None else self.mask[part])


def scale(image: Image, device: str = "cpu") -> Scaled:
    """Map the 0.1 and 99.5 percentiles of what counts to 0 and 1, on the ``device`` where all that follows is computed.

    A background of one value (as after skull-stripping) is left out of the percentiles.

    Raises
    ------
    InputError : nothing counts, or all of it has one value.
    """
    data = image.array if image.channels == 1 else image.data.mean(0)
    valid = data.ravel() if image.mask is None else data[image.mask]
    low, high = robust_range(valid)
    data = arrays.on(data.astype(np.float32, copy=False), device)
    mask = None if image.mask is None else arrays.on(image.mask, device)
    out = data - np.float32(low)  # a copy; then in place, since new memory costs as much as the sums
    out *= np.float32(1 / max(high - low, 1e-30))
    return Scaled(arrays.keep(arrays.clip_(out, 0, 1.5), mask), image.grid, mask)


def otsu(data: NDArray) -> float:
    """The threshold that splits values of 0 to 1 into the two most distinct classes (Otsu 1979, doi:10.1109/TSMC.1979.4310076)."""
    return otsu_of(arrays.histogram(data, 64), np.linspace(0, 1, 65))


def foreground(level: Scaled) -> NDArray[np.bool_]:
    """Voxels that belong to the body: brighter than half of Otsu's threshold, and counted."""
    inside = level.data > 0.5 * otsu(level.data if level.mask is None else level.data[level.mask])
    return inside if level.mask is None else inside & level.mask


def onto(image: Scaled, grid: Grid, transform: Transform | None) -> Scaled:
    """``image`` on ``grid`` along ``transform``; the mask says where it is defined (None: everywhere)."""
    transform = transform or Identity(grid.dim)
    if (image.grid.spacing * 1.5 < grid.spacing.min()).any():
        image = image.at(float(grid.spacing.min()))
    data = pull(image.data[None], image.grid, grid, transform, outside=-1.0)[0]  # intensities are not negative: -1 is outside
    mask = data >= 0 if image.mask is None else pull(arrays.as_floats(image.mask)[None], image.grid, grid, transform)[0] > 0.99
    return Scaled(arrays.keep(data, mask), grid, None if mask.all() else mask)


def canonical(images: Sequence[Image]) -> NDArray[np.int_]:
    """An order that the contents decide, so that rounding does not depend on the order they are given in."""
    keys = [hashlib.sha256(image.data.tobytes() + image.grid.affine.tobytes()).digest() for image in images]
    return np.array(sorted(range(len(images)), key=keys.__getitem__))


def common_grid(images: Sequence[Image | Scaled], poses: Sequence[Linear], spacing: float | None) -> Grid:
    """Along the axes of the world, isotropic, around all foregrounds."""
    corners = []
    for image, pose in zip(images, poses, strict=True):
        scaled = image if isinstance(image, Scaled) else scale(image)
        rough = scaled.at(float(image.grid.extent.max()) / 64)
        bounds = arrays.bounds(foreground(rough))
        box = rough.grid if bounds is None else rough.grid.crop(*bounds)
        corners.append(pose.inverse()(box.corners()))
    low, high = np.min(np.concatenate(corners), 0), np.max(np.concatenate(corners), 0)
    margin = min(_MARGIN_MM, _MARGIN * float((high - low).max()))
    low, high = low - margin, high + margin
    step = spacing or float(np.median([image.grid.spacing.min() for image in images]))
    affine = np.diag([*(step,) * len(low), 1.0])
    affine[:-1, -1] = low
    return Grid(tuple(np.maximum(np.ceil((high - low) / step), 2).astype(int)), affine)
