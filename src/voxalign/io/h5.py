"""ITK's HDF5 transform files (``.h5``): the entries of `itk`, fields packed small and fast.

A displacement is rounded to a part of the voxel that no program can notice, cut to the box where it is not zero, and
packed by all cores with the two filters every HDF5 has: bytes are sorted by significance (shuffle), then deflated, each
plane of bytes in the way that suits it (most of the time of deflate goes into bytes that are noise).
"""
from __future__ import annotations

import os
import secrets
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ..core import Field, Grid, InputError, SecurityError
from .atomic import write_bytes
from .itk import Entry, flips, grid_parameters
from .stream import open_file

MAGIC = b"\x89HDF\r\n\x1a\n"
_QUANTUM = 2.0**-11  # mm, of a 1 mm grid: an error below 0.00025 mm along each axis
_CHUNK = 1 << 23  # bytes, about
_WORTH = 0.75  # of the size: what is not packed to less than that is not packed
_BOMB_RATIO, _BOMB_BYTES = 200, 1 << 30  # beyond both, a packed array is taken for a bomb
_SPELLINGS = (("TransformParameters", "TransformFixedParameters"),
              ("TranformParameters", "TranformFixedParameters"))  # of ITK 4


# ---------------------------------------------------------------- reading
def read_h5(path: Path) -> list[Entry]:
    """The entries of an ITK ``.h5`` file.

    Raises
    ------
    InputError : damaged, or HDF5 of another kind.  SecurityError : it refers to other files, or unpacks to absurdly much.
    """
    open_file(path).close()
    try:
        with h5py.File(path, "r") as file:
            group = _child(file, "TransformGroup")
            names = sorted(group, key=lambda name: int(name) if name.isdigit() else -1)
            return [_read_entry(_child(group, name)) for name in names]
    except (OSError, KeyError, RuntimeError) as error:
        raise InputError(f"damaged HDF5, or not an ITK transform ({str(error)[:80]}): export the transform again") from None


def _child(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """A member of a group that is stored in this very file."""
    if name not in group:
        raise InputError(f"HDF5 without {name!r}: not an ITK transform file")
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise SecurityError(f"HDF5 member {name!r} is a link: refusing to follow it")
    return group[name]


def _read_entry(group: h5py.Group) -> Entry:
    name = np.ravel(_child(group, "TransformType")[()])[0]
    name = name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)
    spelling = next((s for s in _SPELLINGS if s[0] in group), None)
    values = [_array(_child(group, key)) for key in spelling] if spelling else [np.empty(0), np.empty(0)]
    return Entry(name, values[0], values[1].astype(np.float64))


def _array(dataset: h5py.Dataset) -> NDArray:
    if dataset.external or dataset.is_virtual:
        raise SecurityError("HDF5 data that lie in another file: refusing to read them")
    if dataset.nbytes > _BOMB_BYTES and dataset.nbytes > _BOMB_RATIO * dataset.id.get_storage_size():
        raise SecurityError(f"{dataset.id.get_storage_size()} bytes of HDF5 would unpack to {dataset.nbytes}: refusing to")
    if dataset.dtype.kind not in "fiu":
        raise InputError(f"HDF5 parameters of type {dataset.dtype}: expected numbers")
    return np.ravel(dataset[()])


# ---------------------------------------------------------------- writing
def write_h5(entries: Sequence[Entry], path: Path) -> None:
    """Write ITK's ``.h5``, atomically. Fields are stored as `stored` says."""
    write_bytes(path, [_image(entries)])  # made in memory: HDF5 does not say what is wrong when a disk is full


def _image(entries: Sequence[Entry]) -> bytes:
    """The bytes of the file."""
    name = f"transform-{secrets.token_hex(8)}"  # never written, but HDF5 refuses two open files of one name
    with h5py.File(name, "w", driver="core", backing_store=False, block_size=1 << 24) as file:
        text = h5py.string_dtype("ascii")
        file.create_dataset("ITKVersion", data=["5.4.0"], dtype=text)
        file.create_dataset("HDFVersion", data=[h5py.version.hdf5_version], dtype=text)
        for number, entry in enumerate(entries):
            group = file.create_group(f"TransformGroup/{number}")
            group.create_dataset("TransformType", data=[entry.name], dtype=text)
            if entry.kind != "CompositeTransform":
                _write_entry(group, entry)
        file.flush()
        return file.id.get_file_image()


def _write_entry(group: h5py.Group, entry: Entry) -> None:
    parameters, fixed = _SPELLINGS[0]
    if isinstance(entry.parameters, Field):
        field, quantum = _cropped(entry.parameters), _quantum(entry.parameters.grid)
        _write_field(group, parameters, field, quantum)
        group.create_dataset(fixed, data=grid_parameters(field.grid))
    else:
        group.create_dataset(parameters, data=entry.parameters)
        group.create_dataset(fixed, data=entry.fixed)
    for name, old in zip(*_SPELLINGS, strict=True):  # a second name for the same data: ITK 4 and ANTs 2.3 know only this one
        group[old] = group[name]


def stored(field: Field) -> Field:
    """A displacement as it comes back from a file that `write_h5` wrote: rounded to 2**-11 mm (finer on voxels below
    1 mm), and on the box where it is not zero."""
    quantum, cropped = _quantum(field.grid), _cropped(field)
    return Field(_rounded(cropped.data, np.ones(field.grid.dim), quantum), cropped.grid)


def _quantum(grid: Grid) -> float:
    return _QUANTUM * 2.0 ** min(0, np.floor(np.log2(grid.spacing.min())))


def _rounded(data: NDArray, signs: NDArray, quantum: float) -> NDArray[np.float32]:
    """(D, ...) times signs, as multiples of the quantum (a power of 2, so that nothing else is rounded)."""
    factors = (signs / quantum).astype(np.float32).reshape(-1, *(1,) * (data.ndim - 1))
    out = np.rint(data * factors)
    out *= np.float32(quantum)
    out += 0  # no negative zeros
    return out


def _cropped(field: Field) -> Field:
    """The box where the rounded field is not zero and one voxel more, so that interpolation still ends at zero."""
    used = _used(field.data, _quantum(field.grid) / 2)
    start = [max(int(u.argmax()) - 1, 0) for u in used]
    stop = [len(u) - max(int(u[::-1].argmax()) - 1, 0) if u.any() else min(2, len(u)) for u in used]
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    return Field(field.data[(slice(None), *box)], field.grid.crop(start, stop))


def _used(data: NDArray, least: float) -> list[NDArray[np.bool_]]:
    """For each axis, which planes hold anything above ``least``."""
    shape = data.shape[1:]
    first, rest = np.zeros(shape[0], bool), np.zeros(shape[1:], bool)
    if not np.isfinite(data.sum(dtype=np.float64)):
        raise InputError("displacement contains NaN or infinity: not written")
    for i in range(shape[0]):  # plane by plane stays in the cache
        plane = np.maximum(data[:, i].max(0), -data[:, i].min(0)) > least
        first[i] = plane.any()
        rest |= plane
    others = range(rest.ndim)
    return [first, *(rest.any(tuple(o for o in others if o != axis)) for axis in others)]


def _write_field(group: h5py.Group, name: str, field: Field, quantum: float) -> None:
    """Pack slabs of the last axis (ITK's slowest) in parallel; each is one chunk."""
    planes = field.grid.shape[-1]
    plane = field.data.size // planes
    depth = max(1, min(planes, 16, _CHUNK // (4 * plane)))
    target = group.create_dataset(name, (field.data.size,), np.dtype("<f4"), chunks=(depth * plane,), shuffle=True,
                                  compression="gzip", compression_opts=1)
    starts = range(0, planes, depth)
    for start, packed in zip(starts, _packed(field, starts, depth, quantum), strict=True):
        target.id.write_direct_chunk((start * plane,), packed)


def _packed(field: Field, starts: Sequence[int], depth: int, quantum: float) -> Iterator[bytes]:
    def work(start: int) -> bytes:
        return deflate(_shuffled(_slab(field.data[..., start : start + depth], depth, quantum)))

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from pool.map(work, starts)


def _slab(data: NDArray, depth: int, quantum: float) -> NDArray[np.float32]:
    """(D, x, y, z) -> ITK's order (z, y, x, D) in LPS, rounded; as deep as a chunk, zeros where it is not full."""
    dim, shape = len(data), data.shape[1:]
    out = np.zeros((depth, *shape[-2::-1], dim), np.float32)
    for c, sign in enumerate(flips(dim)):
        columns = _rounded(data[c].reshape(1, -1, shape[-1]), np.array([sign]), quantum)[0]
        turned = np.ascontiguousarray(columns.T).reshape(shape[-1], *shape[:-1])  # in two steps: each reads along the memory
        out[: shape[-1], ..., c] = turned.transpose(0, *range(turned.ndim - 1, 0, -1))
    return out


def _shuffled(values: NDArray) -> NDArray[np.uint8]:
    """HDF5's shuffle filter: first all lowest bytes, then all second bytes ..., (4, N)."""
    each = values.view(np.uint8).reshape(-1, values.itemsize)
    return np.stack([np.ascontiguousarray(each[:, k]) for k in range(values.itemsize)])


def deflate(planes: NDArray[np.uint8]) -> bytes:
    """One zlib stream of the rows of (K, N) bytes, each packed as suits it: an ordinary stream to every reader."""
    pieces = [_piece(row, last=k == len(planes) - 1) for k, row in enumerate(planes)]
    return b"".join([b"\x78\x01", *pieces, zlib.adler32(planes).to_bytes(4, "big")])


def _piece(row: NDArray[np.uint8], last: bool) -> bytes:
    engine = _engine(row)
    return engine.compress(row) + engine.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)


def _engine(row: NDArray[np.uint8]):
    """Full matching where a sample gains much from it, else runs and codes, else none: it takes longer than what it spares is worth."""
    sample = row[len(row) // 2 :][: 1 << 15]
    matched, runs = (zlib.compressobj(1, zlib.DEFLATED, -15, 9, s) for s in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_RLE))
    sizes = [len(engine.compress(sample)) + len(engine.flush()) for engine in (matched.copy(), runs.copy())]
    if min(sizes) > _WORTH * len(sample):
        return zlib.compressobj(0, zlib.DEFLATED, -15)
    return matched if sizes[0] < _WORTH * sizes[1] else runs
