"""Losses of local structure, blind to what intensities mean: gradient directions (NGF) and self-similarity (MIND)."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import arrays, kernels
from .base import Bound, Loss, Terms, count, masked, per_axis

_FLAT = 1e-6  # squared gradient, of an image of range 1, that is none


@dataclass(frozen=True)
class NGF(Loss):
    """1 - mean squared cosine between the gradients, where they are more than noise (Haber and Modersitzki 2006, doi:10.1007/11866763_89).

    1 - mean <gF, gJ>^2 / ((|gF|^2 + edge^2) (|gJ|^2 + edge^2)); gradients are central differences that see nothing beyond the mask.
    Flat regions count as 1.

    Parameters
    ----------
    edge : gradient that is as good as noise, in intensity (images of range 1) per unit of ``spacing``.
    spacing : of the voxels along each axis, as multiples of the smallest; None for cubes.
    """

    edge: float = 0.05
    spacing: tuple[float, ...] | None = None

    def bind(self, fixed: NDArray, mask: NDArray | None = None) -> Bound:
        """See `Loss.bind`."""
        inverse = tuple(1.0 / s for s in self.spacing or (1.0,) * fixed.ndim)
        field = kernels.gradient(masked(fixed, mask), inverse, mask)
        field = field / ((field**2).sum(0) + self.edge**2) ** 0.5
        work = None if arrays.is_tensor(field) else np.empty((6, *fixed.shape), np.float32)
        return _BoundNGF(field, mask, inverse, self.edge, work)


@dataclass(frozen=True, eq=False)
class _BoundNGF(Bound):
    field: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    inverse: tuple[float, ...]
    edge: float
    work: Any  # memory, allocated once

    def terms(self, moved: NDArray, within: Any = None) -> Terms:
        moved = masked(moved, self.mask)
        total, residual, curvature = kernels.ngf(self.field, moved, self.inverse, self.edge, self.mask, self.work)
        return Terms(1 - total / count(moved, self.mask), residual, curvature)


@dataclass(frozen=True)
class MIND(Loss):
    """Mean squared difference of self-similarity descriptors (Heinrich et al. 2013, doi:10.1007/978-3-642-40811-3_24).

    Mean over voxels and the 12 channels (4 in 2-D) of `core.kernels.mind`, over twice the variance of the fixed descriptors: 0 for equal
    images, about 1 for unrelated ones. The curvature is that of the descriptors moving as one with the image: the ratio of their squared
    gradients, averaged nearby.

    Parameters
    ----------
    radius : of the windows that are compared, in voxels, along every axis or one a axis.
    dilation : distance in voxels to the neighbours that are compared with each other, likewise.
    """

    radius: int | tuple[int, ...] = 1
    dilation: int | tuple[int, ...] = 2

    def describe(self, image: NDArray, mask: NDArray | None = None) -> NDArray[np.float32]:
        """The descriptors of an image (*shape) of about 0 to 1: (12 or 4, *shape)."""
        return kernels.mind(masked(image, mask), *self._widths(image.shape), mask)

    def _widths(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return per_axis(self.radius, shape), per_axis(self.dilation, shape)

    def bind(self, fixed: NDArray, mask: NDArray | None = None) -> Bound:
        """See `Loss.bind`."""
        descriptors = self.describe(fixed, mask)
        work = None if arrays.is_tensor(descriptors) else np.empty((len(descriptors) + 7, *fixed.shape), np.float32)
        scale = 0.5 / max(_variance(descriptors, count(fixed, mask)), 1e-6)
        slopes = _nearby(kernels.squared_gradient(descriptors, (1.0,) * fixed.ndim, mask) * scale, *self._widths(fixed.shape))
        return _BoundMIND(descriptors, slopes, mask, *self._widths(fixed.shape), scale, work)


@dataclass(frozen=True, eq=False)
class _BoundMIND(Bound):
    fixed: NDArray[np.float32]
    slopes: NDArray[np.float32]  # mean squared gradient of the fixed descriptors, times scale, summed nearby
    mask: NDArray[np.bool_] | None
    radius: tuple[int, ...]
    dilation: tuple[int, ...]
    scale: float  # 1 / (2 variance of the fixed descriptors)
    work: Any  # memory, allocated once

    def terms(self, moved: NDArray, within: Any = None) -> Terms:
        moved = masked(moved, self.mask)
        total, residual = kernels.mind_difference(self.fixed, moved, self.radius, self.dilation, self.mask, self.work)
        return Terms(self.scale * total / count(moved, self.mask), residual * self.scale, self._curvature(moved))

    def _curvature(self, moved: NDArray) -> NDArray[np.float32]:
        """What makes curvature x squared gradient of the image that of the descriptors, as they move together; both averaged nearby."""
        own = _nearby(kernels.squared_gradient(moved[None], (1.0,) * moved.ndim, self.mask), self.radius, self.dilation)
        around = np.prod([2 * (r + d) + 1 for r, d in zip(self.radius, self.dilation, strict=True)])
        return masked(self.slopes / (own + _FLAT * float(around)), self.mask)


def _nearby(values: NDArray, radius: tuple[int, ...], dilation: tuple[int, ...]) -> NDArray[np.float32]:
    """Sums of (*shape) over all that a descriptor sees."""
    return kernels.separable(values[None], [np.ones(2 * (r + d) + 1, np.float32) for r, d in zip(radius, dilation, strict=True)], False)[0]


def _variance(channels: NDArray, voxels: int) -> float:
    """Mean over channels of the variance over the voxels that count; the others are 0."""
    return sum(float((c * c).sum()) / voxels - (float(c.sum()) / voxels) ** 2 for c in channels) / len(channels)
