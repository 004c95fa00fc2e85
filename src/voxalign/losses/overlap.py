"""Losses of label probabilities, with their gradients: what segmentations inside an optimisation, or a network's, are compared by."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LEAST = 1e-6  # probability below which nothing gets less likely


def soft_dice(fixed: NDArray, moved: NDArray, mask: NDArray | None = None) -> tuple[float, NDArray[np.float32]]:
    """1 - mean over labels of 2 sum(f m) / (sum(f^2) + sum(m^2)) (Milletari et al. 2016, doi:10.1109/3DV.2016.79), and its derivative.

    Parameters
    ----------
    fixed, moved : probabilities of each label, (C, *shape), 0 to 1. A label that neither holds does not count.
    mask : (*shape), the voxels that count; None for all.

    Returns
    -------
    (loss, its derivative in each of ``moved``): 0 for equal label maps, 1 where nothing overlaps.
    """
    f, m = _counted(fixed, mask), _counted(moved, mask)
    axes = tuple(range(1, f.ndim))
    both, sizes = (f * m).sum(axes), (f**2).sum(axes) + (m**2).sum(axes)
    held = sizes > 0
    dice, inverse = np.where(held, 2 * both / np.where(held, sizes, 1), 0), np.where(held, 1 / np.where(held, sizes, 1), 0)
    labels = max(int(held.sum()), 1)
    column = (slice(None), *(None,) * (f.ndim - 1))
    gradient = (2 * inverse[column] * (dice[column] * m - f)) / labels
    return float(1 - dice.sum() / labels) if held.any() else 0.0, gradient.astype(np.float32)


def label_cross_entropy(fixed: NDArray, moved: NDArray, mask: NDArray | None = None) -> tuple[float, NDArray[np.float32]]:
    """Minus the mean over voxels of sum over labels of f log m, in nats, and its derivative; arguments and answer as for `soft_dice`.

    Least, the entropy of ``fixed``, where moved = fixed. Probabilities below 1e-6 count as 1e-6.
    """
    f, m = _counted(fixed, mask), _counted(moved, mask)
    voxels = max(f[0].size if mask is None else int(np.count_nonzero(mask)), 1)
    likely = m > _LEAST
    value = -(f * np.log(np.maximum(m, _LEAST))).sum() / voxels
    return float(value), np.where(likely, -f / np.maximum(m, _LEAST) / voxels, 0).astype(np.float32)


def _counted(probabilities: NDArray, mask: NDArray | None) -> NDArray[np.float64]:
    """In double precision, 0 where masked."""
    return np.asarray(probabilities, np.float64) * (1 if mask is None else mask)
