"""Correlation: of the whole images, and of small windows."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core import arrays, kernels
from .base import Bound, Loss, Terms, count, masked, per_axis, window_weights


@dataclass(frozen=True)
class NCC(Loss):
    """1 - squared correlation of the two images: blind to any linear change of intensity, inversion included."""

    def bind(self, fixed: NDArray, mask: NDArray | None = None) -> Bound:
        """See `Loss.bind`."""
        total = count(fixed, mask)
        centred = _centred(fixed, mask, total)
        return _BoundNCC(centred, mask, total, max(float(arrays.dot(centred, centred)), 1e-12))


@dataclass(frozen=True, eq=False)
class _BoundNCC(Bound):
    fixed: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    total: int
    squares: float

    def terms(self, moved: NDArray, within: Any = None) -> Terms:
        moved = _centred(moved, self.mask, self.total)
        squares, covariance = max(arrays.dot(moved, moved), 1e-12), arrays.dot(moved, self.fixed)
        squared = covariance**2 / (squares * self.squares)
        scale = self.total / squares  # d/dJ of s_fj^2 / (s_ff s_jj) = 2 / s_jj (s_fj / s_ff F - r^2 J)
        residual = self.fixed * (scale * covariance / self.squares) - moved * (scale * squared)
        curvature = masked(arrays.full(moved.shape, scale * squared, moved), self.mask)
        return Terms(1 - squared, residual, curvature)


def _centred(array: NDArray, mask: NDArray | None, total: int) -> NDArray[np.float32]:
    """``array`` minus its mean, both over what counts."""
    array = masked(array, mask)
    return masked(array - arrays.total(array) / total, mask)


@dataclass(frozen=True)
class LNCC(Loss):
    """1 - mean squared correlation in windows around every voxel (Avants et al. 2008, doi:10.1016/j.media.2007.06.004).

    Parameters
    ----------
    radius : of the window in voxels, along every axis or one a axis; 4 means 9 voxels wide.
    window : ``box``, or ``gaussian`` with a sigma of half the radius.
    noise : 0, or the part of a window's variance that the other image cannot explain even where they are aligned: the loss of a
        window is then (1 + noise) log(1 - r^2 / (1 + noise)), the mutual information of Gaussian variables, which trusts windows
        that fit well more than others.
    stride : windows lie about every voxel (1) or every second one (2), along every axis or one a axis: an eighth of the work, and for a
        Gaussian window of radius 4 or more nearly the same answer.

    2e-6 is added to both variances of a window (of intensities from 0 to 1), so that flat windows count for nothing.
    """

    radius: int | tuple[int, ...] = 4
    window: Literal["box", "gaussian"] = "box"
    noise: float = 0.0
    stride: int | tuple[int, ...] = 1

    def bind(self, fixed: NDArray, mask: NDArray | None = None) -> Bound:
        """See `Loss.bind`."""
        stride = per_axis(self.stride, (3,) * len(fixed.shape))
        fixed = masked(fixed, mask)
        windows = kernels.window_statistics(fixed, mask, window_weights(self.radius, self.window, fixed.shape, stride), stride)
        room = 2 if max(stride) > 1 else 5
        return _BoundLNCC(fixed, mask, windows, self.noise, None if arrays.is_tensor(fixed) else np.zeros((room, *fixed.shape), np.float32))


@dataclass(frozen=True, eq=False)
class _BoundLNCC(Bound):
    fixed: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    windows: kernels.WindowStatistics
    noise: float
    work: NDArray[np.float32] | None  # allocated once: new memory costs as much as the sums

    def terms(self, moved: NDArray, within: Any = None) -> Terms:
        return Terms(*kernels.lncc(self.fixed, masked(moved, self.mask), self.windows, self.noise, self.work, within))
