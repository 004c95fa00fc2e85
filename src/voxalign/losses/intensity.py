"""Losses of the intensities themselves."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import arrays
from .base import Bound, Loss, Terms, count, masked


@dataclass(frozen=True)
class MSE(Loss):
    """Mean squared difference over the variance of the fixed image: 0 for equal images, 1 for a constant at the mean."""

    def bind(self, fixed: NDArray, mask: NDArray | None = None) -> Bound:
        """See `Loss.bind`."""
        fixed, total = masked(fixed, mask), count(fixed, mask)
        variance = arrays.dot(fixed, fixed) / total - (arrays.total(fixed) / total) ** 2
        return _BoundMSE(fixed, mask, total, max(float(variance), 1e-12))


@dataclass(frozen=True, eq=False)
class _BoundMSE(Bound):
    fixed: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    total: int
    variance: float

    def terms(self, moved: NDArray, within: Any = None) -> Terms:
        residual = masked(self.fixed - moved, self.mask) * (1 / self.variance)
        value = arrays.dot(residual, residual) * (self.variance / self.total)
        return Terms(value, residual, masked(arrays.full(moved.shape, 1 / self.variance, moved), self.mask))
