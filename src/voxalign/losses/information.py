"""What one image's intensities tell of the other's: mutual information, and the entropy of intensity classes."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import arrays, kernels
from .base import Bound, Loss, Terms, count, masked

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
        return _BoundHistogram(binned(fixed, self.bins, mask), self.bins, count(fixed, mask), _mutual_information_loss)


@dataclass(frozen=True)
class NMI(Loss):
    """2 - normalised mutual information, (H(F) + H(J)) / H(F, J) (Studholme et al. 1999, doi:10.1016/S0031-3203(98)00091-0).

    0 where each image tells the other, 1 where neither tells anything; the overlap matters less than to `MI`. Histogram and curvature
    as for `MI`, the latter times NMI / H(F, J).

    Parameters
    ----------
    bins : a side of the histogram, 8 to 128.
    """

    bins: int = 32

    def bind(self, fixed: NDArray, mask: NDArray | None = None) -> Bound:
        """See `Loss.bind`."""
        return _BoundHistogram(binned(fixed, self.bins, mask), self.bins, count(fixed, mask), _normalised_loss)


@dataclass(frozen=True, eq=False)
class _BoundHistogram(Bound):
    fixed: NDArray[np.uint8]
    bins: int
    total: int
    measure: Callable[[NDArray], tuple[float, NDArray, float]]  # loss, minus its derivative in each bin, scale of the curvature

    def terms(self, moved: NDArray, within: Any = None) -> Terms:
        joint = kernels.joint_histogram(self.fixed, moved, self.bins) / self.total
        value, table, scale = self.measure(joint)
        residual = kernels.lookup(self.fixed, moved, table)
        residual *= 0.5
        curvatures = np.append(self._curvatures(joint) * np.float32(scale), np.zeros(256 - self.bins, np.float32))
        return Terms(value, residual, arrays.take(curvatures, self.fixed))

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


def _mutual_information_loss(joint: NDArray) -> tuple[float, NDArray, float]:
    value, table = mutual_information(joint)
    return -value, table, 1.0


def _normalised_loss(joint: NDArray) -> tuple[float, NDArray, float]:
    """d NMI = (NMI d(-H(F, J)) + d H(J)) / H(F, J); the rows' entropy H(F) does not change."""
    information, conditional = mutual_information(joint)  # conditional: log p_ab - log p_b
    logarithm = np.where(joint > 1e-12, np.log(np.maximum(joint, 1e-12)), 0)
    entropy = max(-float((joint * logarithm).sum()), 1e-6)
    normalised = 1 + information / entropy
    return 2 - normalised, (conditional + (normalised - 1) * logarithm) / entropy, normalised / entropy


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy (nats) of soft intensity classes: mean over voxels of -sum_b p_b(F) log p_b(J).

    The classes' centres m_b are `bins` equal steps from 0 to 1, and p_b(v) is the softmax over b of -(v - m_b)^2 / (2 s^2), s being half a
    step: the probability of class b for a value with Gaussian noise s. Least, the entropy of the fixed classes, where J = F; for images of
    one contrast. Exact curvature (the second derivative).

    Parameters
    ----------
    bins : classes, at least 2.
    """

    bins: int = 8

    def bind(self, fixed: NDArray, mask: NDArray | None = None) -> Bound:
        """See `Loss.bind`."""
        mean, variance, _ = kernels.soft_classes(masked(fixed, mask), self.bins)
        return _BoundCrossEntropy(mean, float(arrays.total(masked(variance + mean * mean, mask))), mask, self.bins)


@dataclass(frozen=True, eq=False)
class _BoundCrossEntropy(Bound):
    mean: NDArray[np.float32]  # expected centre of each voxel's class
    squares: float  # sum of the expected squared centres
    mask: NDArray[np.bool_] | None
    bins: int

    def terms(self, moved: NDArray, within: Any = None) -> Terms:
        half = 2.0 * (self.bins - 1) ** 2  # 1 / (2 s^2)
        moved = masked(moved, self.mask)
        mean, variance, logarithm = kernels.soft_classes(moved, self.bins)
        quadratic = self.squares + arrays.dot(moved, moved - 2 * masked(self.mean, self.mask))
        value = half * quadratic + arrays.total(masked(logarithm, self.mask))
        residual = masked((self.mean - mean) * half, self.mask)
        return Terms(value / count(moved, self.mask), residual, masked(variance * (2 * half**2), self.mask))
