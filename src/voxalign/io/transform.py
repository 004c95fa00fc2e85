"""Transform files of every kind, by what is in them (reading) or by their suffix (writing).

    .h5 .hdf5            ITK composite (ANTs, SimpleITK, 3D Slicer, fMRIPrep)      read, write
    .tfm .txt            ITK text                                                  read, write
    .mat                 ANTs (MATLAB level 4)                                     read, write one linear transform
    .nii .nii.gz         displacement field, 5-D, LPS mm (ITK, ANTs, SCT)          read, write
    .mha .mhd .nrrd      the same as an image of vectors (3D Slicer)               read
    .lta                 FreeSurfer                                                read; write with `lta.save_lta`
    .1D                  AFNI                                                      read, write one linear transform
    FSL's matrices       need both images                                          `fsl.load_fsl`, `fsl.save_fsl`
"""
from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..core import Grid, InputError, SecurityError, Transform
from ..transforms import Affine, Displacement, Linear, Velocity
from . import afni, field, h5, itk, lta
from .header import refuse, shown
from .linear import matrix_of
from .stream import GZIP, open_file

_IMAGES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr")
_PICKLES = (b"\x80", b"PK\x03\x04")  # bare, or zipped as torch and NumPy do


def load_transform(path: str | os.PathLike[str], dim: int | None = None) -> Transform:
    """Read a transform: fixed points -> moving points, RAS mm, whatever the file's own conventions.

    Parameters
    ----------
    dim : 2 or 3, if only one of them is of use.

    Raises
    ------
    InputError : missing, damaged, of an unknown kind, NaN, singular, or of another dimension.
    SecurityError : a pickle, or links to other files.
    """
    path = Path(path)
    try:
        transform = _reader(path)(path)
    except (InputError, SecurityError) as error:
        raise error if shown(path) in str(error) else type(error)(f"{shown(path)}: {error}") from None
    if dim is not None and transform.dim != dim:
        raise refuse(path, f"a {transform.dim}-D transform: expected a {dim}-D one")
    return transform


def save_transform(transform: Transform, path: str | os.PathLike[str], grid: Grid | None = None) -> None:
    """Write a transform in the format of the suffix, atomically.

    Parameters
    ----------
    grid : where a displacement field (``.nii``, ``.nii.gz``) is sampled, the fixed image's as a rule; a displacement
        has its own. Maps that have no form of their own in a file need it too.

    Raises
    ------
    InputError : the format cannot hold the transform; an unknown suffix.
    """
    path = Path(path)
    writer = _writer(path)
    try:
        writer(transform, path, grid)
    except InputError as error:
        raise error if shown(path) in str(error) else refuse(path, str(error)) from None


# ---------------------------------------------------------------- reading
def _reader(path: Path) -> Callable[[Path], Transform]:
    with open_file(path) as file:
        first = file.read(1024)
    name = path.name.lower()
    if not first:
        raise refuse(path, "the file is empty")
    if first.startswith(_PICKLES):
        raise SecurityError("a pickle or a zip archive: refusing to load it, it could run code; export an ITK transform instead")
    if first.startswith(h5.MAGIC):
        return lambda p: itk.decode(h5.read_h5(p))
    if first.startswith(itk.TEXT_MAGIC):
        return lambda p: itk.decode(itk.read_text(p))
    if name.endswith(_IMAGES) or first.startswith(GZIP):
        return field.read_field
    if b"nxforms" in first:
        return lta.load_lta
    if name.endswith((".1d", ".afni")):
        return afni.load_afni
    if b"\0" in first and name.endswith(".mat"):
        return lambda p: itk.decode(itk.read_mat(p))
    if name.endswith((".mat", ".fsl")):
        raise refuse(path, "an FSL matrix means nothing without both images: use io.fsl.load_fsl(path, fixed_grid, moving_grid)")
    raise refuse(path, "not a transform of a known kind: expected ITK .h5 or .tfm, ANTs .mat, a field as .nii.gz, .lta, AFNI .1D")


# ---------------------------------------------------------------- writing
def _writer(path: Path) -> Callable[[Transform, Path, Grid | None], None]:
    name = path.name.lower()
    for suffix, writer in _WRITERS.items():
        if name.endswith(suffix):
            return writer
    raise refuse(path, f"cannot tell the format of the transform by this name: expected one of {', '.join(_WRITERS)}")


def _entries(transform: Transform, grid: Grid | None) -> list[itk.Entry]:
    if grid is not None and not itk.holds(transform):
        transform = Displacement.of(transform, grid)
    return itk.encode(transform)


def _save_nifti(transform: Transform, path: Path, grid: Grid | None) -> None:
    if grid is None and isinstance(transform, Displacement | Velocity):
        (part,) = transform.parts()
        return field.write_nifti(Displacement(part), path)
    if grid is None:
        raise refuse(path, "a displacement field needs a grid: give the fixed image's")
    if grid.dim != transform.dim:
        raise refuse(path, f"a {transform.dim}-D transform on a {grid.dim}-D grid")
    field.write_nifti(Displacement.of(transform, grid), path)


def _save_lta(transform: Transform, path: Path, grid: Grid | None) -> None:
    raise refuse(path, "an LTA holds both grids: use voxalign.io.lta.save_lta(transform, path, fixed_grid, moving_grid)")


_WRITERS: dict[str, Callable[[Transform, Path, Grid | None], None]] = {
    ".h5": lambda t, p, g: h5.write_h5(_entries(t, g), p),
    ".hdf5": lambda t, p, g: h5.write_h5(_entries(t, g), p),
    ".tfm": lambda t, p, g: itk.write_tfm(_entries(t, g), p),
    ".txt": lambda t, p, g: itk.write_tfm(_entries(t, g), p),
    ".mat": lambda t, p, g: itk.write_mat(itk.encode(t if isinstance(t, Linear) else Affine(matrix_of(t))), p),
    ".nii": _save_nifti,
    ".nii.gz": _save_nifti,
    ".1d": lambda t, p, g: afni.save_afni(t, p),
    ".lta": _save_lta,
}
