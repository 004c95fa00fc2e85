"""Two contrasts compared as one: each image as it would look as the other.

What one image shows where the other has a given value, on average, is learned from how they lie now (the regression of the correlation
ratio: Roche et al. 1998, doi:10.1007/BFb0056301; used so by Guimond et al. 2001, doi:10.1109/42.906425), in both directions, anew at every
level. A direction counts by the share of the variance it explains.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import arrays, kernels
from .deformable import Channel, both
from .prepare import Scaled, foreground

_BINS = 64  # of values of 0 to 1
_BLUR = 2.0  # bins; sigma
_REACH = 8  # bins of the Gaussian, to either side
_LEAST_VARIANCE = 1e-5  # of images of range 1
_LEAST_SHARE = 0.01
_FEWEST = 1e-3  # voxels, blurred, that a bin has to have


@dataclass(frozen=True, eq=False)
class Regression:
    """What an image shows where another has a value, on average, in each of the bins of 0 to 1.

    Parameters
    ----------
    mean : (bins,).
    share : of the variance of what it shows, what the means explain; 0 to 1.
    """

    mean: NDArray[np.float64]
    share: float

    @classmethod
    def of(cls, others: Any, values: Any) -> Regression:
        """Of ``values`` on ``others``, (N,) both, N > 0."""
        bins = arrays.as_bytes((others * (_BINS - 1) + 0.5).clip(0, _BINS - 1))
        count, total, squares = (_blurred(arrays.sums(bins, weights, _BINS)) for weights in (values * 0 + 1, values, values * values))
        seen, every = count > _FEWEST, np.arange(_BINS)
        mean, second = (np.interp(every, every[seen], sums[seen] / count[seen]) for sums in (total, squares))
        whole = max(squares.sum() / count.sum() - (total.sum() / count.sum()) ** 2, _LEAST_VARIANCE)
        return cls(mean, max(float(1 - count @ (second - mean**2) / count.sum() / whole), _LEAST_SHARE))

    def __call__(self, other: Scaled) -> Scaled:
        """The other image as this one would look there."""
        return Scaled(arrays.keep(arrays.read(self.mean, other.data * (_BINS - 1)), other.mask), other.grid, other.mask)


@dataclass(frozen=True, eq=False)
class Adapted(Channel):
    """Two images of different contrasts, compared each as the other would look."""

    def seen(self, u: NDArray, its: NDArray | None = None) -> list[Channel]:
        """A channel for each direction, by what the images show now; see `Channel.seen`."""
        fixed, moving = (image.data if map_ is None else kernels.warp(image.data, map_)
                         for image, map_ in ((self.fixed, its), (self.moving, u)))
        counted = both(self.fixed.mask if its is None else both(None, self.fixed.mask, its), self.moving.mask, u)
        inside = foreground(Scaled(fixed, self.fixed.grid, counted)) & foreground(Scaled(moving, self.moving.grid, counted))
        if not inside.any():
            return [self]
        fixed, moving = fixed[inside], moving[inside]
        there, back = Regression.of(fixed, moving), Regression.of(moving, fixed)
        return [Channel(there(self.fixed), self.moving, self.losses, self.weight * there.share),
                Channel(self.fixed, back(self.moving), self.losses, self.weight * back.share)]


def _blurred(sums: NDArray) -> NDArray[np.float64]:
    taps = np.exp(-0.5 * (np.arange(-_REACH, _REACH + 1) / _BLUR) ** 2)
    return np.convolve(sums, taps / taps.sum(), "same")
