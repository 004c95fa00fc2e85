"""A trained classifier of patches asked about whole images: how far two images look aligned, and which of several starts does best."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..core import Image, Transform, UsageError
from ..nn import Classifier
from .learned import Learned, opened, seen

PATCH = 32  # voxels along an edge, as the classifier should have been trained on
_STEP = 2  # patches overlap by 1 - 1 / this
_SHOWS = 0.02  # standard deviation of intensities (0 to 1) below which a patch shows nothing


def aligned(fixed: Image, moving: Image, transform: Transform, weights: str) -> float:
    """How probable it is that a patch of the fixed image and what ``transform`` brings there show the same place, mean over all, 0 to 1.

    Parameters
    ----------
    transform : fixed points -> moving points, mm.
    weights : file of a `Classifier` (voxalign train --task alignment).

    Raises
    ------
    InputError : images or weights that do not fit.  UsageError : torch is missing, or nothing to compare: both images are flat everywhere.
    """
    network = opened(weights, fixed.dim, "cpu", (Classifier,))
    grid = network.inputs.grid(fixed)
    return _mean(network, seen(network, fixed, grid), seen(network, moving, grid, transform))


def best_start(fixed: Image, moving: Image, starts: Sequence[Transform], weights: str) -> int:
    """Which of several transforms aligns best, by `aligned`; the first of those that do equally well.

    Raises
    ------
    UsageError : there is none; and as of `aligned`.
    """
    if not starts:
        raise UsageError("no starts: expected at least one transform to choose from")
    return int(np.argmax([aligned(fixed, moving, start, weights) for start in starts]))


def _mean(network: Learned, fixed: NDArray, moving: NDArray) -> float:
    import torch

    found = []
    for place in places(fixed.shape[1:]):
        one, other = fixed[(slice(None), *place)], moving[(slice(None), *place)]
        if max(one[0].std(), other[0].std()) < _SHOWS:
            continue
        with torch.inference_mode():
            logit = network.module(*(torch.from_numpy(np.ascontiguousarray(patch))[None] for patch in (one, other)))
        found.append(float(torch.sigmoid(logit)[0]))
    if not found:
        raise UsageError("nothing to compare: neither image shows anything there; look at the transform and the intensities")
    return float(np.mean(found))


def places(shape: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Overlapping patches that cover an array, the last ones flush with its end."""
    starts = [sorted({*range(0, max(n - PATCH, 0), PATCH // _STEP), max(n - PATCH, 0)}) for n in shape]
    return (tuple(slice(s, min(s + PATCH, n)) for s, n in zip(start, shape, strict=True)) for start in product(*starts))
