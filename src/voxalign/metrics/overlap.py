"""How much two label maps on one grid agree, label by label."""
from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..core import Image, InputError

_DENSE = 1 << 20  # labels up to here are counted without sorting


def dice_by_label(a: Image, b: Image, labels: Iterable[int] | None = None) -> dict[int, float]:
    """Dice coefficient, 2|A∩B| / (|A|+|B|), of each label (doi:10.2307/1932409).

    Parameters
    ----------
    a, b : label maps on one grid. Voxels that either mask excludes do not count.
    labels : which; by default every label but 0 that either map holds.

    Returns
    -------
    Label -> 0 to 1 (0 if one map lacks it, NaN if both do).

    Raises
    ------
    InputError : no label maps, or not on one grid.
    """
    return overlap_by_label(a, b, labels)["dice"]


def jaccard_by_label(a: Image, b: Image, labels: Iterable[int] | None = None) -> dict[int, float]:
    """Intersection over union of each label; arguments and errors as for `dice_by_label`."""
    return overlap_by_label(a, b, labels)["jaccard"]


def volume_similarity_by_label(a: Image, b: Image, labels: Iterable[int] | None = None) -> dict[int, float]:
    """``1 - |V_a - V_b| / (V_a + V_b)`` of each label: 1 for equal volumes, wherever they are (doi:10.1186/s12880-015-0068-x).

    Arguments and errors as for `dice_by_label`.
    """
    return overlap_by_label(a, b, labels)["volume_similarity"]


def overlap_by_label(a: Image, b: Image, labels: Iterable[int] | None = None) -> dict[str, dict[int, float]]:
    """``dice``, ``jaccard`` and ``volume_similarity``, each by label, of one count; arguments and errors as for `dice_by_label`."""
    labels, in_a, in_b, in_both = _counts(a, b, labels)
    return {"dice": _ratios(labels, 2 * in_both, in_a + in_b), "jaccard": _ratios(labels, in_both, in_a + in_b - in_both),
            "volume_similarity": _ratios(labels, in_a + in_b - np.abs(in_a - in_b), in_a + in_b)}


def label_arrays(a: Image, b: Image) -> tuple[NDArray, NDArray]:
    """The two (*shape) arrays, after checking that they may be compared voxel by voxel."""
    if not (a.is_label and b.is_label):
        raise InputError("overlap is for label maps: expected two images with is_label=True")
    if not a.grid.is_close(b.grid):
        raise InputError(f"label maps on two grids, {a.grid} and {b.grid}: resample one of them first")
    return a.array, b.array


def labels_of(array: NDArray) -> NDArray[np.int64]:
    """The labels that occur, sorted, 0 left out."""
    found = np.flatnonzero(np.bincount(array.ravel())) if is_dense(array) else np.unique(array).astype(np.int64)
    return found[found != 0]


def is_dense(array: NDArray) -> bool:
    """Whether counting into one bin per possible label is cheaper than sorting."""
    return array.min(initial=0) >= 0 and array.max(initial=0) < _DENSE


def _counts(a: Image, b: Image, labels: Iterable[int] | None) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """The labels, and the number of voxels that have each in a, in b and in both."""
    in_a, in_b = label_arrays(a, b)
    masks = [image.mask for image in (a, b) if image.mask is not None]
    if masks:
        counted = np.logical_and.reduce(masks)
        in_a, in_b = in_a[counted], in_b[counted]
    chosen = np.union1d(labels_of(in_a), labels_of(in_b)) if labels is None else np.unique(np.fromiter(labels, np.int64))
    return chosen, _count(in_a, chosen), _count(in_b, chosen), _count(in_a[in_a == in_b], chosen)


def _count(array: NDArray, labels: NDArray) -> NDArray[np.int64]:
    """Voxels of each of the sorted labels."""
    if is_dense(array):
        counts = np.bincount(array.ravel(), minlength=1)
        return np.where((labels >= 0) & (labels < len(counts)), counts[np.clip(labels, 0, len(counts) - 1)], 0)
    found, counts = np.unique(array, return_counts=True)
    at = np.clip(np.searchsorted(found, labels), 0, len(found) - 1)
    return np.where(found[at] == labels, counts[at], 0)


def _ratios(labels: NDArray, above: NDArray, below: NDArray) -> dict[int, float]:
    return {int(k): float(n / d) if d else float("nan") for k, n, d in zip(labels, above, below, strict=True)}
