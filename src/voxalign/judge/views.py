"""Two images as a transform lays them on each other, coarse enough to be looked at from many sides in little time."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Transform, arrays, kernels
from ..register.prepare import Scaled, foreground, onto

_VOXELS = {2: (20_000, 60_000), 3: (60_000, 400_000)}  # of the fixed body, at most; the second where the image has many more
_PART = 20  # of the image's voxels, one is affordable in any case
_MARGIN = 4  # voxels kept around the body


@dataclass(frozen=True, eq=False)
class View:
    """Fixed and moved image on one grid around the fixed body.

    Parameters
    ----------
    fixed, moved : (*grid.shape), about 0 to 1.
    body : (*grid.shape) bool, the fixed foreground.
    counts : (*grid.shape) bool, where both images are defined.
    """

    fixed: NDArray[np.float32]
    moved: NDArray[np.float32]
    body: NDArray[np.bool_]
    counts: NDArray[np.bool_]
    grid: Grid

    @classmethod
    def of(cls, pair: tuple[Scaled, Scaled], transform: Transform, limit: float) -> View:
        """Of two images, fixed and moving, with voxels of half the ``limit`` (mm), of the fixed image or of what is affordable."""
        fixed, moving = pair
        fixed = fixed.at(max(_spacing(fixed), limit / 2))
        grid = _around(foreground(fixed), fixed.grid)
        fixed, moved = onto(fixed, grid, None), onto(moving, grid, transform)
        everywhere = np.ones(grid.shape, bool)
        counts = [everywhere if image.mask is None else image.mask for image in (fixed, moved)]
        return cls(fixed.data, moved.data, foreground(fixed), counts[0] & counts[1], grid)

    def coarser(self) -> View:
        """The same with voxels of twice the size, means of those they cover."""
        grid = self.grid.downsample([2 if n > 3 else 1 for n in self.grid.shape])
        layers = np.stack([self.fixed, self.moved, self.body, self.counts]).astype(np.float32)
        fixed, moved, body, counts = kernels.pull(layers, grid.shape, self.grid.inverse_affine @ grid.affine)
        return View(fixed, moved, body > 0.5, counts > 0.99, grid)

    def points(self, most: int) -> NDArray[np.float64]:
        """At most about so many points of the body, spread over it, (N, D) mm; of the grid where there is no body."""
        return self.grid.world(self.voxels(most))

    def voxels(self, most: int | None = None) -> NDArray[np.int_]:
        """The same as indices (N, D); all of them without ``most``."""
        index = np.argwhere(self.body if self.body.any() else np.ones_like(self.body))
        return index[:: max(1, len(index) // (most or len(index)))]



def _spacing(fixed: Scaled) -> float:
    """Voxels of this many mm make the body as many as wanted."""
    rough = fixed.at(float(fixed.grid.extent.max()) / 64)
    volume = max(int(foreground(rough).sum()), 1) * rough.grid.voxel_volume
    most = np.clip(volume / fixed.grid.voxel_volume / _PART, *_VOXELS[fixed.grid.dim])
    return float((volume / most) ** (1 / fixed.grid.dim))


def _around(body: NDArray[np.bool_], grid: Grid) -> Grid:
    bounds = arrays.bounds(body)
    if bounds is None:
        return grid
    return grid.crop(np.maximum(bounds[0] - _MARGIN, 0), np.minimum(bounds[1] + _MARGIN, grid.shape))
