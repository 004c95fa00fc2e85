"""What every intensity loss is, so that linear and deformable Gauss-Newton are the same for all of them."""
from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import arrays


@dataclass(frozen=True, eq=False)
class Terms:
    """A loss L = mean over the N voxels that count, at one moved image.

    Parameters
    ----------
    value : L, lower is better.
    residual : k = -(N/2) dL/dmoved, (*shape) float32; 0 where masked.
    curvature : c >= 0 of the Gauss-Newton model, (*shape) float32: the best small change of a moved voxel is about k / c.
    """

    value: float
    residual: NDArray[np.float32]
    curvature: NDArray[np.float32]


class Loss(ABC):
    """A similarity with its settings; `bind` it to a fixed image, then ask for `Terms` of any moved image."""

    @abstractmethod
    def bind(self, fixed: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> Bound:
        """Prepare what depends on the fixed image only.

        Parameters
        ----------
        fixed : (*shape), about 0 to 1.
        mask : (*shape), the voxels that count, in both images; None for all.
        """

    def __call__(self, fixed: NDArray, moved: NDArray, mask: NDArray | None = None) -> Any:
        """The value alone; of torch tensors as one, whose gradient in ``moved`` autograd can use (computed by the kernels, not traced)."""
        if not arrays.is_tensor(moved):
            return self.bind(np.asarray(fixed, np.float32), mask).terms(np.asarray(moved, np.float32)).value
        from ..core.kernels import tensor  # imports torch

        bare, counts = arrays.as_fast(fixed), None if mask is None else arrays.as_fast(mask)
        terms = self.bind(bare, counts).terms(arrays.as_fast(moved))
        return tensor.with_gradient(moved, terms.value, terms.residual * (-2 / count(bare, counts)))


class Bound(ABC):
    """A loss that knows its fixed image."""

    @abstractmethod
    def terms(self, moved: NDArray[np.float32], within: Any = None) -> Terms:
        """Value, residual and curvature at ``moved`` (*shape), about 0 to 1; the arrays are good until the next call.

        ``within`` (`kernels.spans`) says which voxels somebody will look at: a loss may spare itself the others, which then hold nothing
        that counts. It must be the same at every call.
        """


def masked(array: NDArray, mask: NDArray | None) -> NDArray[np.float32]:
    """``array`` with 0 where it does not count."""
    return arrays.keep(array, mask)


def count(array: NDArray, mask: NDArray | None) -> int:
    """Voxels that count, at least 1."""
    return max(math.prod(array.shape) if mask is None else arrays.count(mask), 1)


def per_axis(value: int | tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """One number for each axis, none beyond the array."""
    values = (value,) * len(shape) if isinstance(value, int) else value
    return tuple(min(v, n - 1) for v, n in zip(values, shape, strict=True))


def window_weights(radius: int | tuple[int, ...], window: str, shape: tuple[int, ...],
                   stride: tuple[int, ...] = ()) -> list[NDArray[np.float32]]:
    """Taps for each axis, the middle one 1: a ``box``, or a ``gaussian`` with a sigma of half the radius.

    2 r + 1 of them; on an axis with a ``stride`` of 2 about half as many, of every second voxel, that make the same window together with
    the sums over (1/2, 1, 1/2) they weigh (`kernels.window_statistics`).
    """
    radii = per_axis(radius, shape)
    return [_taps(r, r / 2, window) if k == 1 else _taps(-(-r // 2), _narrower(r / 2) / 2, window)
            for r, k in zip(radii, stride or (1,) * len(radii), strict=True)]


def _narrower(sigma: float) -> float:
    """The Gaussian that (1/2, 1, 1/2) makes one of ``sigma``: variances add."""
    return math.sqrt(max(sigma**2 - 0.5, 0))


def _taps(radius: int, sigma: float, window: str) -> NDArray[np.float32]:
    if window != "gaussian":
        return np.ones(2 * radius + 1, np.float32)
    return np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(sigma, 1e-6)) ** 2).astype(np.float32)
