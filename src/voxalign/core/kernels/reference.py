"""The kernels in plain NumPy and SciPy: short, slow, obviously right; the fast versions are held equal to these.

Conventions of this folder: volumes are (n0, n1, n2), batches (C, n0, n1, n2); 2-D data come without the first axis.
Positions and displacements are in voxels of the array they index. Nothing here knows of millimetres.
"""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def sample(data: NDArray, index: NDArray, interpolation: str = "linear", outside: float = 0.0) -> NDArray:
    """Values of (C, *shape) at fractional indices (N, D) -> (C, N).

    Inside is within half a voxel of the outermost centres, where the edge value continues; beyond it is ``outside``.
    """
    shape = np.array(data.shape[1:])
    inside = ((index >= -0.5) & (index <= shape - 0.5)).all(1)
    near = np.clip(index, 0, shape - 1)
    if interpolation == "nearest":
        whole = np.clip(np.floor(index + 0.5), 0, shape - 1).astype(int)
        values = data[(slice(None), *np.where(inside[:, None], whole, 0).T)]
    elif interpolation == "label":
        values = _majority(data, near)
    else:
        order = {"linear": 1, "cubic": 3}[interpolation]
        values = np.stack([ndimage.map_coordinates(c.astype(np.float64), near.T, order=order, mode="mirror") for c in data])
        data = np.empty(0, np.float32)
    return np.where(inside, values, np.asarray(outside)).astype(data.dtype)


def _majority(data: NDArray, index: NDArray) -> NDArray:
    """The label with the largest sum of linear weights among the corners of the cell."""
    shape = np.array(data.shape[1:])
    low = np.clip(np.floor(index).astype(int), 0, np.maximum(shape - 2, 0))
    fraction = index - low
    corners = np.array(list(np.ndindex(*(2,) * len(shape))))
    weight = np.stack([np.prod(np.where(c, fraction, 1 - fraction), 1) for c in corners])
    values = np.stack([data[(slice(None), *np.minimum(low + c, shape - 1).T)] for c in corners])
    votes = (weight[:, None] * (values[:, None] == values[None])[:, :, 0].swapaxes(0, 1)).sum(1) if len(data) == 1 else None
    if votes is None:
        return np.concatenate([_majority(c[None], index) for c in data])
    return np.take_along_axis(values[:, 0], votes.argmax(0)[None], 0)


def pull(data: NDArray, shape: tuple[int, ...], matrix: NDArray, field: tuple | None = None, interpolation: str = "linear",
         outside: float = 0.0) -> NDArray:
    """Resample (C, *source) on an array of ``shape``.

    Without ``field``: output index i reads at ``matrix @ i``. With ``field = (values, after, linear)``: q = matrix @ i
    is an index of ``values`` (D, *its shape), and the data are read at ``after @ q + linear @ values(q)``.
    """
    dim = len(shape)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, dim).astype(np.float64)
    index = index @ matrix[:-1, :-1].T + matrix[:-1, -1]
    if field is not None:
        values, after, linear = field
        index = index @ after[:-1, :-1].T + after[:-1, -1] + sample(values, index).T @ linear.T
    return sample(data, index, interpolation, outside).reshape(len(data), *shape)


# ---------------------------------------------------------------- displacement fields, in voxels of their own grid
def _lattice(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The index of every voxel, (D, *shape)."""
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(np.float64)


def _read(fields: NDArray, positions: NDArray) -> NDArray[np.float64]:
    """(C, *shape) at (D, ...) indices, linear; edge values continue outside."""
    return np.stack([ndimage.map_coordinates(f.astype(np.float64), positions, order=1, mode="nearest") for f in fields])


def compose_fields(first: NDArray, second: NDArray) -> NDArray[np.float32]:
    """``out(x) = first(x) + second(x + first(x))`` of displacements (D, *shape); edge values continue outside."""
    return (first + _read(second, _lattice(first.shape[1:]) + first)).astype(np.float32)


def exponentiate(velocity: NDArray, squarings: int) -> NDArray[np.float32]:
    """Displacement (D, *shape) of the flow of a stationary velocity after unit time, by scaling and squaring.

    Arsigny et al., MICCAI 2006 (doi:10.1007/11866565_113).
    """
    displacement = np.asarray(velocity, np.float32) / np.float32(2**squarings)
    for _ in range(squarings):
        displacement = compose_fields(displacement, displacement)
    return displacement


def _jacobian(displacement: NDArray) -> NDArray[np.float64]:
    """I + du/dx, (*shape, D, D): central differences, one-sided at the edges, none along axes of one voxel."""
    dim = len(displacement)
    axes = [axis for axis in range(dim) if displacement.shape[axis + 1] > 1]
    jacobian = np.zeros((*displacement.shape[1:], dim, dim))
    for row, component in enumerate(displacement.astype(np.float64)):
        for axis in axes:
            jacobian[..., row, axis] = np.gradient(component, axis=axis)
    return jacobian + np.eye(dim)


def jacobian_determinant(displacement: NDArray) -> NDArray[np.float32]:
    """det(I + du/dx) of a displacement (D, *shape) -> (*shape)."""
    return np.linalg.det(_jacobian(displacement)).astype(np.float32)


def invert(displacement: NDArray, tolerance: float = 1e-3, iterations: int = 50) -> NDArray[np.float32]:
    """The displacement v with ``x + v(x) + u(x + v(x)) = x``, (D, *shape) -> (D, *shape).

    Newton's method at each voxel; a step that does not help is halved there. Edge values of u continue outside.
    """
    lattice = _lattice(displacement.shape[1:]).reshape(len(displacement), -1)
    inverse = -displacement.reshape(lattice.shape).astype(np.float64)
    residual = inverse + _read(displacement, lattice + inverse)
    step = np.ones(lattice.shape[1])
    for _ in range(iterations):
        todo = np.flatnonzero(np.abs(residual).max(0) > tolerance)
        if not todo.size:
            break
        here, start = lattice[:, todo], inverse[:, todo]
        trial = start - step[todo] * _solve(_slope(displacement, here + start), residual[:, todo])
        left = trial + _read(displacement, here + trial)
        good = np.linalg.norm(left, axis=0) < np.linalg.norm(residual[:, todo], axis=0)
        inverse[:, todo[good]], residual[:, todo[good]] = trial[:, good], left[:, good]
        step[todo] = np.where(good, np.minimum(2 * step[todo], 1), step[todo] / 2)
    return inverse.reshape(displacement.shape).astype(np.float32)


def _slope(displacement: NDArray, positions: NDArray) -> NDArray[np.float64]:
    """I + du/dx of the linear interpolation itself (not of a smooth map through it) at (D, N) indices, (N, D, D)."""
    half = 1e-3 * np.eye(len(positions))[:, :, None]
    columns = [(_read(displacement, positions + h) - _read(displacement, positions - h)) / 2e-3 for h in half]
    return np.stack(columns).transpose(2, 1, 0) + np.eye(len(positions))


def _solve(matrices: NDArray, values: NDArray) -> NDArray[np.float64]:
    """(N, D, D) and (D, N) -> (D, N); nearly singular matrices are replaced by the identity."""
    dim = len(values)
    matrices = np.where(np.linalg.det(matrices)[:, None, None] > 0.02, matrices, np.eye(dim))
    return np.linalg.solve(matrices, values.T[..., None])[..., 0].T
