"""FreeSurfer's .mgh and .mgz, RAS mm and big-endian (nibabel is the oracle in the tests).

Format: https://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/MghFormat
"""
from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core import Image, InputError
from .header import Header, check_spacing, make_grid, note, refuse, shown
from .nifti import fortran, packing, stored_type
from .stream import Stream, pack

_HEADER = np.dtype([("version", ">i4"), ("dims", ">i4", 4), ("type", ">i4"), ("dof", ">i4"), ("good", ">i2"), ("delta", ">f4", 3),
                    ("axes", ">f4", (3, 3)), ("centre", ">f4", 3), ("unused", "S194")])
_SIZE = _HEADER.itemsize  # 284
_DEFAULT_AXES = [[-1, 0, 0], [0, 0, -1], [0, 1, 0]]  # where the file states none: left, inferior, anterior
_TYPES = {0: ">u1", 1: ">i4", 3: ">f4", 4: ">i2", 10: ">u2"}
_CODES = {"u1": 0, "i4": 1, "f4": 3, "i2": 4}


def read_header(path: Path) -> Header:
    """Understand a ``.mgh`` or ``.mgz`` file.

    Raises
    ------
    InputError : damaged or truncated.  SecurityError : it unpacks to absurdly much.
    """
    with Stream(path) as stream:
        first = stream.peek_bytes(_SIZE)
        raw = np.frombuffer(first.ljust(_SIZE, b"\0"), _HEADER)[0]
        sizes, code = tuple(int(n) for n in raw["dims"]), int(raw["type"])
        if len(first) < _SIZE or raw["version"] != 1 or min(sizes) < 1 or code not in _TYPES:
            raise refuse(path, f"not an MGH file, or damaged (version {raw['version']}, sizes {sizes}, type {code})")
        dtype = np.dtype(_TYPES[code])
        stream.expect(_SIZE + math.prod(sizes) * dtype.itemsize)
    affine, notes = _affine(path, raw)
    return Header("MGH", make_grid(path, sizes[:3], affine), dtype, partial(_read, path, sizes, dtype), sizes[3], notes=notes,
                  details={"units": "mm"})


def _affine(path: Path, raw: NDArray) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Index -> RAS mm: unit columns times spacing, about the voxel dims / 2."""
    affine, centre, notes = np.eye(4), np.zeros(3), ()
    if raw["good"]:
        check_spacing(path, "the voxel size", raw["delta"])
        affine[:3, :3] = raw["axes"].astype(np.float64).T * raw["delta"].astype(np.float64)
        centre = raw["centre"].astype(np.float64)
    else:
        affine[:3, :3] = np.transpose(_DEFAULT_AXES)
        notes = (note(path, "it says nothing of orientation; 1 mm voxels running left, inferior and anterior are assumed"),)
    affine[:3, 3] = centre - affine[:3, :3] @ (raw["dims"][:3].astype(np.float64) / 2)
    return affine, notes


def _read(path: Path, sizes: tuple[int, ...], dtype: np.dtype, frame: int) -> NDArray:
    volume = math.prod(sizes[:3]) * dtype.itemsize
    with Stream(path, tail=True) as stream:  # acquisition parameters and tags follow the voxels
        stream.expect(_SIZE + volume * sizes[3])
        stream.skip(_SIZE + frame * volume)
        voxels = stream.take(volume)
        stream.skip((sizes[3] - 1 - frame) * volume)
        stream.finish()
    return voxels.view(dtype).reshape(sizes[2::-1]).T[None]


def write(image: Image, path: Path, packed: bool) -> list[bytes | memoryview]:
    """The parts of the file that hold a 3-D ``image``, channels as frames."""
    if image.dim != 3:
        raise InputError(f"cannot write {shown(path)}: MGH holds 3-D images; choose .nii.gz")
    dtype = stored_type(image)
    dtype = np.dtype(np.int32) if dtype == np.uint16 else dtype
    raw = np.zeros((), _HEADER)
    raw["version"], raw["dims"], raw["type"] = 1, [*image.grid.shape, image.channels], _CODES[dtype.str[1:]]
    raw["good"], raw["delta"], raw["axes"] = 1, image.grid.spacing, image.grid.direction.T
    raw["centre"] = image.grid.world(np.array(image.grid.shape) / 2)
    voxels = [memoryview(fortran(channel.astype(dtype.newbyteorder(">")))) for channel in image.data]
    parts = [raw.tobytes(), *voxels]
    return pack(parts, strategy=packing(image)) if packed else parts
