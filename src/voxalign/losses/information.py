"""Mutual information of the intensities."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import arrays, kernels
from .base import Bound, Loss, Terms, count

_MASKED = 255


@dataclass(frozen=True)
class MI(Loss):
    """Minus the mutual information (nats) of the joint histogram with a cubic B-spline window on the moved image.

    Mattes et al. 2003 (doi:10.1109/TMI.2003.809072). The curvature is that of a Gaussian model of the moved intensity given the fixed
    bin, 1 / (2 variance), so that a voxel pulls as strongly as its bin is sharp.

    Parameters
    ----------
    bins : a side of the histogram, 8 to 128.
    """

    bins: int = 32

    def bind(self, fixed: NDArray, mask: NDArray | None = None) -> Bound:
        """See `Loss.bind`."""
        return _BoundMI(binned(fixed, self.bins, mask), self.bins, count(fixed, mask))


@dataclass(frozen=True, eq=False)
class _BoundMI(Bound):
    fixed: NDArray[np.uint8]
    bins: int
    total: int

    def terms(self, moved: NDArray) -> Terms:
        joint = kernels.joint_histogram(self.fixed, moved, self.bins) / self.total
        value, table = mutual_information(joint)
        residual = kernels.lookup(self.fixed, moved, table)
        residual *= 0.5
        curvatures = np.append(self._curvatures(joint), np.zeros(256 - self.bins, np.float32))
        return Terms(-value, residual, arrays.take(curvatures, self.fixed))

    def _curvatures(self, joint: NDArray) -> NDArray[np.float32]:
        """1 / (2 variance of the moved intensity) in each fixed bin."""
        centre = (np.arange(self.bins) - 1) / (self.bins - 3)
        mass = np.maximum(joint.sum(1), 1e-12)
        mean = joint @ centre / mass
        variance = joint @ centre**2 / mass - mean**2
        floor = 1 / (self.bins - 3) ** 2  # the window's own width
        return (0.5 / np.maximum(variance, floor)).astype(np.float32)


def binned(array: NDArray, bins: int, mask: NDArray | None = None) -> NDArray[np.uint8]:
    """Bin numbers of values of 0 to 1; 255 where they do not count."""
    return arrays.as_bytes(arrays.keep((array * bins).clip(0, bins - 1), mask, _MASKED))


def mutual_information(joint: NDArray) -> tuple[float, NDArray[np.float64]]:
    """Mutual information (nats) of a joint distribution (B, B) that sums to 1, and its derivative log(p_ab / p_b) in each bin."""
    rows, columns = joint.sum(1, keepdims=True), joint.sum(0, keepdims=True)
    filled = joint > 1e-12
    table = np.where(filled, np.log(np.where(filled, joint, 1) / np.where(columns > 0, columns, 1)), 0)
    value = (joint * (table - np.where(filled, np.log(np.where(rows > 0, rows, 1)), 0))).sum()
    return float(value), table
