"""Edges, thinned to one voxel."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core import Image, UsageError, kernels, require
from ..core.smoothing import slope

Lengths = float | tuple[float, ...]


def canny(image: Image, *, sigma: Lengths = 1.0, low: float = 0.1, high: float = 0.3) -> Image:
    """1 on edges: ridges of the gradient's length, connected to a strong one (Canny 1986, doi:10.1109/TPAMI.1986.4767851), in 2-D and 3-D.

    The gradient is that of the image smoothed by ``sigma`` mm, per mm; its length is compared with the interpolated one a
    voxel's smallest edge ahead and behind.

    Parameters
    ----------
    low, high : lengths as parts of the 99.5th percentile of all lengths above 0: edges reach down to ``low`` from voxels above ``high``.

    Raises
    ------
    InputError : a label map, a constant image, or nothing counts.  UsageError : thresholds in the wrong order.
    """
    require.contrast(image, "canny")
    if not 0 <= require.number(low, "low") <= require.number(high, "high"):
        raise UsageError(f"canny: low={low} and high={high} were given; expected 0 <= low <= high")
    field = slope(image.array, image.grid, sigma, image.mask)
    length = np.sqrt((field**2).sum(0))
    if image.mask is not None:
        length[~image.mask] = 0
    strong = float(np.percentile(length[length > 0], 99.5)) if length.any() else 1.0
    ridge = _ridges(field, length, image, max(low * strong, np.finfo(np.float32).tiny))
    return Image(_connected(ridge, length >= high * strong), image.grid, image.mask, is_label=True)


def _ridges(field: NDArray, length: NDArray, image: Image, least: float) -> NDArray[np.bool_]:
    """Voxels where the gradient is at least ``least`` long and longer than just before and after, along itself."""
    at = np.argwhere(length >= least)
    way = field[(slice(None), *at.T)] / length[tuple(at.T)]
    step = (np.linalg.inv(image.grid.affine[:-1, :-1]) @ way).T * float(image.grid.spacing.min())
    ahead, behind = (kernels.sample(length[None], np.ascontiguousarray(at + side * step))[0] for side in (1, -1))
    here = length[tuple(at.T)]
    best = at[(here >= ahead) & (here > behind)]
    ridge = np.zeros(length.shape, bool)
    ridge[tuple(best.T)] = True
    return ridge


def _connected(ridge: NDArray, strong: NDArray) -> NDArray[np.uint8]:
    from scipy import ndimage

    parts, count = ndimage.label(ridge, np.ones((3,) * ridge.ndim))
    wanted = np.zeros(count + 1, bool)
    wanted[np.unique(parts[ridge & strong])] = True
    wanted[0] = False
    return wanted[parts].astype(np.uint8)
