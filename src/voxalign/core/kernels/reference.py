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
