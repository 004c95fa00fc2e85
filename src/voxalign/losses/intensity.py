"""Losses of the intensities themselves."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .base import Bound, Loss, Terms, count, masked


@dataclass(frozen=True)
class MSE(Loss):
    """Mean squared difference over the variance of the fixed image: 0 for equal images, 1 for a constant at the mean."""

    def bind(self, fixed: NDArray, mask: NDArray | None = None) -> Bound:
        """See `Loss.bind`."""
        return _BoundMSE(masked(fixed, mask), mask, count(fixed, mask))


@dataclass(frozen=True, eq=False)
class _BoundMSE(Bound):
    fixed: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    total: int

    def terms(self, moved: NDArray) -> Terms:
        mean = self.fixed.sum(dtype=np.float64) / self.total
        variance = max(float((self.fixed.astype(np.float64) ** 2).sum() / self.total - mean**2), 1e-12)
        residual = masked(self.fixed - moved, self.mask)
        residual /= np.float32(variance)
        value = float(np.vdot(residual, residual)) * variance / self.total
        curvature = masked(np.full(moved.shape, 1 / variance, np.float32), self.mask)
        return Terms(value, residual, curvature)
