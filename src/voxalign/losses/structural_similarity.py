"""Structural similarity: means, contrasts and correlation of small windows."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core import arrays, kernels
from .base import Bound, Loss, Terms, count, masked, window_weights


@dataclass(frozen=True)
class SSIM(Loss):
    """1 - mean structural similarity of windows around every voxel (Wang et al. 2004, doi:10.1109/TIP.2003.819861).

    With the means f, j, the variances and the covariance of a window (sums over the window / its weight, not n - 1),
    SSIM = (2 f j + c1) (2 covariance + c2) / ((f^2 + j^2 + c1) (variance_f + variance_j + c2)), c1 = 0.01^2 and c2 = 0.03^2 for images of
    range 1. Windows are cut at the edges and by the mask. 0 for equal images; up to 2.

    Parameters
    ----------
    radius : of the window in voxels, along every axis or one a axis; 3 means 7 voxels wide.
    window : ``box``, or ``gaussian`` with a sigma of half the radius; the paper's is a Gaussian of sigma 1.5 cut at radius 5.
    """

    radius: int | tuple[int, ...] = 3
    window: Literal["box", "gaussian"] = "box"

    def bind(self, fixed: NDArray, mask: NDArray | None = None) -> Bound:
        """See `Loss.bind`."""
        weights = window_weights(self.radius, self.window, fixed.shape)
        fixed = masked(fixed, mask)
        work = None if arrays.is_tensor(fixed) else np.empty((5, *fixed.shape), np.float32)
        return _BoundSSIM(fixed, mask, kernels.window_moments(fixed, mask, weights), weights, work)


@dataclass(frozen=True, eq=False)
class _BoundSSIM(Bound):
    fixed: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    moments: NDArray[np.float32]
    weights: list[NDArray[np.float32]]
    work: Any  # memory, allocated once

    def terms(self, moved: NDArray, within: Any = None) -> Terms:
        total, residual, curvature = kernels.ssim(self.fixed, masked(moved, self.mask), self.moments, self.weights, self.work)
        return Terms(1 - total / count(self.fixed, self.mask), masked(residual, self.mask), masked(curvature, self.mask))
