"""How far apart the outlines of two label maps are, in mm."""
from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Image
from .overlap import is_dense, label_arrays, labels_of

Distances = tuple[NDArray[np.float64], NDArray[np.float64]]


def hd95_mm(a: Image, b: Image, labels: Iterable[int] | None = None) -> dict[int, float]:
    """95 % Hausdorff distance of each label: the larger of the two directed 95th percentiles.

    Arguments, results and errors as for `surface_distances_mm`; NaN where a map lacks the label.
    """
    return surface_summary_mm(a, b, labels)["hd95_mm"]


def mean_surface_distance_mm(a: Image, b: Image, labels: Iterable[int] | None = None) -> dict[int, float]:
    """Average symmetric surface distance of each label: the mean over the surface voxels of both maps.

    Arguments, results and errors as for `surface_distances_mm`; NaN where a map lacks the label.
    """
    return surface_summary_mm(a, b, labels)["mean_surface_distance_mm"]


def surface_summary_mm(a: Image, b: Image, labels: Iterable[int] | None = None) -> dict[str, dict[int, float]]:
    """``hd95_mm`` and ``mean_surface_distance_mm``, each by label; the distances, which take the time, are found once for both.

    Arguments, results and errors as for `surface_distances_mm`; NaN where a map lacks the label.
    """
    pairs = surface_distances_mm(a, b, labels)
    return {"hd95_mm": {k: _largest(95, pair) for k, pair in pairs.items()},
            "mean_surface_distance_mm": {k: _mean(pair) for k, pair in pairs.items()}}


def surface_distances_mm(a: Image, b: Image, labels: Iterable[int] | None = None) -> dict[int, Distances]:
    """From every surface voxel of one map to the nearest of the other, both ways, label by label.

    A surface voxel is one of the label with a face neighbour that is not, or at the edge of the grid. Distances are
    between voxel centres in the world: anisotropic, oblique and sheared grids are measured as they are. Masks play no part.

    Parameters
    ----------
    a, b : label maps on one grid.
    labels : which; by default every label but 0 that either map holds.

    Returns
    -------
    Label -> (from a to b (N,), from b to a (M,)) mm; empty where a map lacks the label.

    Raises
    ------
    InputError : no label maps, or not on one grid.
    """
    in_a, in_b = label_arrays(a, b)
    chosen = np.union1d(labels_of(in_a), labels_of(in_b)) if labels is None else np.unique(np.fromiter(labels, np.int64))
    boxes_a, boxes_b = _boxes(in_a, chosen), _boxes(in_b, chosen)
    return {int(k): _distances(_surface(in_a, k, box_a), _surface(in_b, k, box_b), a.grid)
            for k, box_a, box_b in zip(chosen, boxes_a, boxes_b, strict=True)}


def _boxes(array: NDArray, labels: NDArray) -> list[tuple[slice, ...] | None]:
    """The box around each of the sorted labels, None where it does not occur."""
    if not len(labels):
        return []
    from scipy import ndimage  # here and below: imports slowly, and a registration without labels needs none of it

    return ndimage.find_objects(_ranks(array, labels), len(labels))


def _ranks(array: NDArray, labels: NDArray) -> NDArray[np.int32]:
    """1 for the first of the sorted labels, 2 for the second, 0 for all others."""
    if is_dense(array) and is_dense(labels):
        table = np.zeros(max(int(array.max(initial=0)), int(labels[-1])) + 1, np.int32)
        table[labels] = np.arange(1, len(labels) + 1)
        return table[array]
    rank = np.clip(np.searchsorted(labels, array), 0, len(labels) - 1)
    return np.where(labels[rank] == array, rank + 1, 0)


def _surface(array: NDArray, label: int, box: tuple[slice, ...] | None) -> NDArray[np.int64]:
    """Indices of the surface voxels, (N, D). Within its own box a label meets the border only where it ends."""
    if box is None:
        return np.empty((0, array.ndim), np.int64)
    inside = array[box] == label
    from scipy import ndimage

    surface = inside & ~ndimage.binary_erosion(inside)
    return np.argwhere(surface) + [s.start for s in box]


def _distances(surface_a: NDArray, surface_b: NDArray, grid: Grid) -> Distances:
    if not len(surface_a) or not len(surface_b):
        return np.empty(0), np.empty(0)
    points_a, points_b = grid.world(surface_a), grid.world(surface_b)
    here_a, here_b = (np.ravel_multi_index(surface.T, grid.shape) for surface in (surface_a, surface_b))
    both = np.intersect1d(here_a, here_b, assume_unique=True)
    return _apart(points_a, points_b, ~np.isin(here_a, both, True)), _apart(points_b, points_a, ~np.isin(here_b, both, True))


def _apart(points: NDArray, others: NDArray, away: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance of each point to the nearest of the others; 0 for those that are not ``away`` from all, and need no search."""
    distances = np.zeros(len(points))
    distances[away] = _nearest(points[away], others)
    return distances


def _nearest(points: NDArray, others: NDArray) -> NDArray[np.float64]:
    """Distance of each point to the nearest of the others. A tree suits surfaces better than a distance map of the whole box."""
    from scipy.spatial import cKDTree

    return cKDTree(others, compact_nodes=False, balanced_tree=False).query(points)[0]  # lattices need no balancing


def _largest(percentile: float, pair: Distances) -> float:
    return float(max(np.percentile(d, percentile) for d in pair)) if len(pair[0]) else float("nan")


def _mean(pair: Distances) -> float:
    return float(np.concatenate(pair).mean()) if len(pair[0]) else float("nan")
