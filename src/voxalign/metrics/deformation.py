"""What a map does to space: compression, folding, roughness. Of the whole map, its affine included, in world millimetres."""
from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import product
from math import factorial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import Field, Grid, InputError, Transform, displacement, kernels

SMALLEST = 1e-3  # determinants below this count as this in the logarithm
_SLAB = 1 << 17  # voxels worked on at a time, so that what is computed stays in the cache


def deformation_summary(transform: Transform, grid: Grid, mask: ArrayLike | None = None) -> dict[str, float]:
    """Folding and roughness of a map over the voxels of ``grid``, or over those of ``mask``.

    Parameters
    ----------
    mask : boolean (*grid.shape).

    Returns
    -------
    ``folded_percent`` : share of voxels whose Jacobian determinant is 0 or less.
    ``sd_log_jacobian`` : standard deviation of the logarithm of the determinants (below 0.001 they count as 0.001).
    ``jacobian_min``, ``jacobian_max`` : extremes of the determinant.

    Raises
    ------
    InputError : dimensions disagree; a mask of another shape or without voxels.
    """
    return _summary(_determinants(transform, grid, mask))


def deformation_statistics(transform: Transform, grid: Grid, mask: ArrayLike | None = None) -> dict[str, float]:
    """`deformation_summary` and more of the same; arguments and errors as there.

    Returns
    -------
    Also ``jacobian_mean``, ``jacobian_p1`` and ``jacobian_p99`` : mean and percentiles of the determinant.
    ``folded_mm3`` : volume of the voxels that fold (mm^2 in 2-D).
    ``nondiffeomorphic_mm3``, ``nondiffeomorphic_percent`` : see `nondiffeomorphic_volume_mm3`; in parts of the volume looked at.
    """
    determinants = _determinants(transform, grid, mask)
    low, high = np.percentile(determinants, (1, 99))
    inverted = nondiffeomorphic_volume_mm3(transform, grid, mask)
    return _summary(determinants) | {
        "jacobian_mean": float(determinants.mean(dtype=np.float64)), "jacobian_p1": float(low), "jacobian_p99": float(high),
        "folded_mm3": float(np.count_nonzero(determinants <= 0)) * grid.voxel_volume,
        "nondiffeomorphic_mm3": inverted,
        "nondiffeomorphic_percent": 100 * inverted / (determinants.size * grid.voxel_volume)}


def _determinants(transform: Transform, grid: Grid, mask: ArrayLike | None) -> NDArray[np.float32]:
    """Of the voxels that count."""
    determinants = jacobian_determinant(transform, grid)
    return determinants if mask is None else determinants[_checked(mask, grid)]


def _summary(determinants: NDArray[np.float32]) -> dict[str, float]:
    logarithms = np.log(np.maximum(determinants, SMALLEST))
    return {"folded_percent": 100 * float(np.mean(determinants <= 0)),
            "sd_log_jacobian": float(logarithms.std(dtype=np.float64)),
            "jacobian_min": float(determinants.min()),
            "jacobian_max": float(determinants.max())}


def jacobian_determinant(transform: Transform, grid: Grid) -> NDArray[np.float32]:
    """Volume change at every voxel of ``grid``: 1 keeps it, 2 doubles it, 0 or less folds.

    Finite differences of where voxels go, in mm: central, one-sided at the edge of the grid. How the grid's axes lie in the
    world does not matter.

    Returns
    -------
    (*grid.shape) float32.

    Raises
    ------
    InputError : dimensions disagree.
    """
    steps, bent, after = _voxel_steps(transform, grid)
    scale = np.float32(np.linalg.det(steps) * after / np.linalg.det(grid.affine[:-1, :-1]))
    if bent is None:
        return np.full(grid.shape, scale)
    return kernels.jacobian_determinant(np.tensordot(np.linalg.inv(steps).astype(np.float32), bent, 1)) * scale


def nondiffeomorphic_volume_mm3(transform: Transform, grid: Grid, mask: ArrayLike | None = None) -> float:
    """Volume that is turned inside out, in moving space (mm^2 in 2-D), doi:10.1007/s11263-024-02047-1.

    Every cell between neighbouring voxels is cut into simplices, in both ways there are; unlike central differences this
    misses no fold.

    Parameters
    ----------
    mask : boolean (*grid.shape); a cell counts if all its corners do.

    Raises
    ------
    InputError : dimensions disagree; a mask of another shape or without voxels.
    """
    steps, bent, after = _voxel_steps(transform, grid)
    if bent is None or min(grid.shape) < 2:
        return 0.0
    counts = np.ones(grid.shape, bool) if mask is None else _checked(mask, grid)
    sign = np.sign(np.linalg.det(grid.affine[:-1, :-1]) * after)
    total = 0.0
    for slab in _slabs(grid):
        whole = slice(slab.start, slab.stop + 1)
        corner = {c: bent[:, whole][(slice(None), *_ends(c))] for c in product((0, 1), repeat=grid.dim)}
        inside = np.logical_and.reduce([counts[whole][_ends(c)] for c in corner])
        for simplex in _simplices(grid.dim):
            total += _inverted(corner, simplex, steps, sign, inside)
    return abs(after) * total / (2 * factorial(grid.dim))  # 2: the two ways of cutting


# ---------------------------------------------------------------- the map, as voxels see it
def _voxel_steps(transform: Transform, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float32] | None, float]:
    """Where voxels go, up to a last linear map: ``steps @ index + bent[index]``, and the determinant of that last map.

    ``steps`` (D, D) mm a voxel, ``bent`` (D, *grid.shape) mm or None. Keeping the linear part aside keeps it exact.
    """
    if transform.dim != grid.dim:
        raise InputError(f"a {transform.dim}-D transform on a {grid.dim}-D grid")
    parts = transform.parts()
    at = [i for i, part in enumerate(parts or ()) if isinstance(part, Field)]
    if parts is None or len(at) > 1:
        return grid.affine[:-1, :-1], displacement(transform, grid), 1.0
    first = at[0] if at else len(parts)
    to_field = _product(parts[:first], grid.dim) @ grid.affine
    after = float(np.linalg.det(_product(parts[first + 1:], grid.dim)[:-1, :-1]))
    bent = _on_grid(parts[first], to_field, grid) if at else None
    return to_field[:-1, :-1], bent, after


def _on_grid(field: Field, to_field: NDArray, grid: Grid) -> NDArray[np.float32]:
    """The field's displacement at every voxel, (D, *grid.shape) mm."""
    if field.grid.shape == grid.shape and np.array_equal(field.grid.affine, to_field):
        return field.data
    return kernels.pull(field.data, grid.shape, field.grid.inverse_affine @ to_field)


def _product(matrices: tuple, dim: int) -> NDArray[np.float64]:
    return reduce(lambda done, matrix: matrix @ done, matrices, np.eye(dim + 1))


def _checked(mask: ArrayLike, grid: Grid) -> NDArray[np.bool_]:
    mask = np.asarray(mask, bool)
    if mask.shape != grid.shape or not mask.any():
        raise InputError(f"mask of shape {mask.shape} with {mask.sum()} voxels: expected shape {grid.shape}, at least one voxel")
    return mask


# ---------------------------------------------------------------- cells
def _slabs(grid: Grid) -> Iterator[slice]:
    """Runs of planes along the first axis."""
    planes = max(1, _SLAB // (grid.size // grid.shape[0]))
    return (slice(i, min(i + planes, grid.shape[0])) for i in range(0, grid.shape[0], planes))


def _determinant(rows: list[list[NDArray]]) -> NDArray:
    """Of matrices given as arrays of their entries."""
    if len(rows) == 2:
        (a, b), (c, d) = rows
        return a * d - b * c
    (a, b, c), (d, e, f), (g, h, i) = rows
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def _ends(corner: tuple[int, ...]) -> tuple[slice, ...]:
    """All cells' corner of this name, as a view of the voxels."""
    return tuple(slice(1, None) if c else slice(None, -1) for c in corner)


def _simplices(dim: int) -> list[tuple[tuple[int, ...], ...]]:
    """Both ways of cutting a cell: one simplex at each corner, and in 3-D the one left in the middle of each way."""
    corners = list(product((0, 1), repeat=dim))
    found = [(c, *[tuple(v ^ (k == axis) for k, v in enumerate(c)) for axis in range(dim)]) for c in corners]
    middle = [tuple(c for c in corners if sum(c) % 2 == parity) for parity in (0, 1)]
    return found + (middle if dim == 3 else [])


def _inverted(corner: dict, simplex: tuple, steps: NDArray, sign: float, inside: NDArray) -> float:
    """D! times the volume of the simplices of this name that are inside out."""
    edges = np.array(simplex[1:]) - simplex[0]  # (D, D): as they are in a cell of the grid
    straight = steps @ edges.T
    rows = [[corner[end][d] - corner[simplex[0]][d] + np.float32(straight[d, k]) for k, end in enumerate(simplex[1:])]
            for d in range(len(edges))]
    volume = _determinant(rows) * np.float32(sign * np.sign(np.linalg.det(edges)))
    return float(-np.minimum(volume, 0, where=inside, out=np.zeros_like(volume)).sum(dtype=np.float64))
