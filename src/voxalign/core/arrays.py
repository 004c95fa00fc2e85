"""What volumes are held in: NumPy arrays on a CPU, torch tensors on a GPU or inside autograd; and the little the two spell differently.

Most code needs none of this: ``+ - * / & > .sum() .max() .clip() .swapaxes() a[i]`` are the same for both. Nothing here imports torch
unless a tensor or a device is given, for that takes seconds.
"""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def is_tensor(array: Any) -> bool:
    """Whether it is a torch tensor."""
    return not isinstance(array, np.ndarray) and type(array).__module__.partition(".")[0] == "torch"


def on(array: NDArray, device: str) -> Any:
    """``array`` where a device works on it: as it is for ``cpu``, else as a tensor of that device of torch (``cuda``, ``torch:cpu``)."""
    if device == "cpu":
        return array
    import torch

    return torch.as_tensor(array, device=device.removeprefix("torch:"))


def as_numpy(array: Any) -> NDArray:
    """Any array as NumPy; from a GPU it is copied."""
    return array.detach().cpu().numpy() if is_tensor(array) else array


def as_fast(array: Any) -> Any:
    """``array`` without autograd, as the kernels are fastest on: CPU tensors as NumPy views, but float64 ones, which ask for exactness."""
    if not is_tensor(array):
        return array
    bare = array.detach()
    return bare.contiguous().numpy() if bare.device.type == "cpu" and bare.dtype.itemsize <= 4 else bare


def like(values: ArrayLike, array: Any) -> Any:
    """A few numbers as an array of the kind, the type and the place of ``array``."""
    return array.new_tensor(np.asarray(values)) if is_tensor(array) else np.asarray(values, array.dtype)


def empty(shape: tuple[int, ...], array: Any) -> Any:
    """Memory of the kind, the type and the place of ``array``."""
    return array.new_empty(shape) if is_tensor(array) else np.empty(shape, array.dtype)


def full(shape: tuple[int, ...], value: Any, array: Any) -> Any:
    """One value everywhere, of the kind, the type and the place of ``array``."""
    if is_tensor(array):
        return array.new_ones(shape) * value  # a value may be a tensor, which nobody waits for
    return np.full(shape, value, array.dtype) if value else np.zeros(shape, array.dtype)  # zeros take no memory before they are used


def keep(array: Any, mask: Any, other: float = 0.0) -> Any:
    """``array`` with ``other`` where it does not count; all of it counts if ``mask`` is None."""
    if is_tensor(array):
        return array.contiguous() if mask is None else array.where(mask, array.new_full((), other))
    return np.ascontiguousarray(array, np.float32) if mask is None else np.where(mask, array, np.float32(other))


def clip_(array: Any, low: float, high: float) -> Any:
    """``array``, changed: no value below ``low`` or above ``high``."""
    return array.clip_(low, high) if is_tensor(array) else np.clip(array, low, high, out=array)


def count(mask: Any) -> int:
    """Voxels that are true."""
    return int(mask.sum()) if is_tensor(mask) else int(np.count_nonzero(mask))


def total(array: Any) -> Any:
    """The sum, in double precision; of a tensor it is one, so that nobody waits for it and gradients pass."""
    return array.double().sum() if is_tensor(array) else float(array.sum(dtype=np.float64))


def dot(one: Any, other: Any) -> Any:
    """Sum of the products, in double precision, as `total`."""
    if is_tensor(one):
        return (one.double() * other).sum()
    planes = zip(one, other, strict=True)  # one at a time stays in the cache
    return sum(float(np.multiply(a, b, dtype=np.float64).sum()) for a, b in planes)


def as_bytes(array: Any) -> Any:
    """Values of 0 to 255, cut to whole numbers (uint8)."""
    return array.byte() if is_tensor(array) else array.astype(np.uint8)


def as_floats(array: Any) -> Any:
    """Whole numbers or truth values as float32."""
    return array.float() if is_tensor(array) else array.astype(np.float32)


def bounds(mask: Any) -> tuple[NDArray[np.int_], NDArray[np.int_]] | None:
    """First index and one past the last of what is true, along each axis; None if nothing is."""
    axes = range(mask.ndim)
    filled = [np.flatnonzero(as_numpy(mask.any(axis=tuple(a for a in axes if a != axis)))) for axis in axes]
    return (np.array([f[0] for f in filled]), np.array([f[-1] + 1 for f in filled])) if len(filled[0]) else None


def histogram(array: Any, bins: int) -> NDArray[np.int_]:
    """How many values lie in each of ``bins`` equal parts of 0 to 1; what lies outside counts for the nearest."""
    part = (array * bins).clip(0, bins - 1)
    if is_tensor(array):
        return part.int().reshape(-1).bincount(minlength=bins).cpu().numpy()
    return np.bincount(part.astype(np.uint8 if bins <= 256 else np.int64).ravel(), minlength=bins)


def sums(index: Any, weights: Any, bins: int) -> NDArray[np.float64]:
    """The sum of the ``weights`` of each of ``bins`` whole numbers, which ``index`` names, in double precision."""
    if is_tensor(index):
        return index.int().bincount(weights.double(), minlength=bins).cpu().numpy()
    return np.bincount(index, weights, minlength=bins)


def read(table: NDArray, place: Any) -> Any:
    """A small NumPy table read between its entries, float32, at a ``place`` counted in them; beyond its ends they go on."""
    if not is_tensor(place):
        return np.interp(place.ravel(), np.arange(len(table)), table).astype(np.float32).reshape(place.shape)
    below = place.clip(0, len(table) - 1).floor().clip(max=len(table) - 2)
    low, high = (take(table.astype(np.float32), below + k) for k in (0, 1))
    return low + (place.clip(0, len(table) - 1) - below) * (high - low)


def take(table: NDArray, index: Any) -> Any:
    """The entries of a small NumPy table that ``index`` names, where ``index`` is."""
    if not is_tensor(index):
        return table[index]
    import torch

    return torch.as_tensor(table, device=index.device)[index.long()]
