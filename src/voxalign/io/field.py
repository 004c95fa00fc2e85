"""Displacement fields as images: 5-D NIfTI of intent 1007 (ITK, ANTs, SCT), MetaImage and NRRD of vectors, LPS mm.

The grid is that of the fixed image; each vector says where, in LPS mm from the voxel, the moving image is read.
"""
from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core import Field, Image, InputWarning
from ..transforms import Displacement
from . import nifti
from .atomic import write_bytes
from .header import refuse, shown
from .image import read_header
from .itk import flips
from .stream import Stream

_VECTOR = 1007
_UNDEFINED = 1e6  # mm; beyond this a number is no displacement (ANTs and SCT write 3.4e38 where a field is not defined)


def read_field(path: Path) -> Displacement:
    """The displacement in an image file; undefined vectors become zero, with an `InputWarning`.

    Raises
    ------
    InputError : no field of vectors, or one of another program's conventions.
    """
    header = read_header(path)
    intent = _intent(path) if header.format.startswith("NIfTI") else _VECTOR
    for note in header.notes:
        warnings.warn(note, InputWarning, stacklevel=3)
    dim = header.grid.dim
    if intent != _VECTOR or header.channels != dim or header.frames != 1:
        raise refuse(path, f"an image of {header.channels} channels, {header.frames} frames, intent {intent}: expected an ITK "
                           f"displacement field ({dim} channels; as NIfTI of intent {_VECTOR}; convert FSL and AFNI warps first)")
    slope, intercept = header.scale
    data = np.array(header.read(0), np.float32, order="C")
    if (slope, intercept) != (1.0, 0.0):
        data = (data * slope + intercept).astype(np.float32)
    data *= flips(dim).astype(np.float32).reshape(-1, *(1,) * dim)
    return Displacement(Field(_defined(data, path), header.grid))


def write_nifti(displacement: Displacement, path: Path) -> None:
    """Write a displacement as 5-D NIfTI, atomically."""
    field = displacement.field
    lps = field.data * flips(field.grid.dim).astype(np.float32).reshape(-1, *(1,) * field.grid.dim)
    write_bytes(path, nifti.write(Image(lps + 0, field.grid), path, path.name.endswith(".gz")))


def _intent(path: Path) -> int:
    """What the header says the numbers are."""
    with Stream(path) as stream:
        first = stream.peek_bytes(540)
    at, size = (504, 4) if first[4:7] == b"n+2" else (68, 2)
    return int.from_bytes(first[at : at + size], "little" if first[:2] != b"\0\0" else "big")


def _defined(data: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    """Vectors that are no displacement as zero."""
    bad = ~(np.abs(data) < _UNDEFINED).all(0)
    if bad.all():
        raise refuse(path, "the displacement field is undefined everywhere: damaged, or of another kind")
    if bad.any():
        counts = f"{int(bad.sum())} of {bad.size} voxels"
        warnings.warn(f"{shown(path)}: the displacement is undefined at {counts}; zero is used there", InputWarning, stacklevel=4)
    return np.where(bad, np.float32(0), data) + 0
