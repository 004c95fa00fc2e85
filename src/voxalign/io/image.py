"""Images from files and back: which format a file has, and what all formats share.

A file's first bytes say what it is; the name is believed only for formats without a signature, and a name that
disagrees is said in an `InputWarning`. Nothing is guessed.
"""
from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Image, InputError
from .atomic import write_bytes
from .convert import as_image
from .header import Header, note, refuse, say, shown, warn
from .stream import GZIP, Stream, open_file

_NAMES = {"nifti": ".nii .nii.gz .hdr .hdr.gz .img .img.gz", "mgh": ".mgz .mgh .mgh.gz", "meta": ".mha .mhd", "nrrd": ".nrrd .nhdr",
          "raster": ".png .jpg .jpeg .tif .tiff", "dicom": ".dcm .ima"}
_SUFFIXES = {suffix: kind for kind, suffixes in _NAMES.items() for suffix in suffixes.split()}
_READERS = {"nifti": ("nifti", "read_header"), "mgh": ("mgh", "read_header"), "meta": ("itk_image", "read_meta"),
            "nrrd": ("itk_image", "read_nrrd"), "raster": ("raster", "read_header"), "dicom": ("dicom", "read_header")}
_RASTER_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")
_READABLE = ".nii .nii.gz .mgz .mha .mhd .nrrd .png .jpg .tif or a folder of DICOM files"
_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # luminance, ITU-R BT.601
_FLOAT_MAX = float(np.finfo(np.float32).max)
_ORIENTATION = {"R": "right", "L": "left", "A": "anterior", "P": "posterior", "S": "superior", "I": "inferior"}


def load(path: str | os.PathLike[str], is_label: bool | None = None, frame: int | None = None, channel: int | str | None = None,
         series: str | None = None) -> Image:
    """Read an image or a label map.

    A NIfTI whose header says two axes is 2-D, and so is a picture; a third axis of one voxel makes a 3-D grid of one
    slice. Missing values (NaN, infinity) are masked out, and counted in a warning.

    Parameters
    ----------
    path : file, or folder with the DICOM files of one series.
    is_label : True keeps integers and marks the image as labels; None and False give float32 intensities.
    frame : which volume of a file with several, from 0.
    channel : of files with several values a voxel: a number from 0, ``"all"``, ``"grey"`` (luminance of a colour
        picture) or ``"magnitude"`` (of complex data).
    series : SeriesInstanceUID to take from a DICOM folder that holds more than one.

    Raises
    ------
    InputError : damaged, of an unknown kind, or more than one image (the message says which argument chooses).
    SecurityError : it would unpack to absurdly much, or names files elsewhere.  ResourceError : too large for memory.
    """
    path = Path(path)
    header = read_header(path, series)
    for text in header.notes:
        say(text)
    frame = _chosen_frame(path, header, frame)
    _check_channel(path, header, channel)
    raw = _chosen_channel(header.read(frame), channel)
    if is_label:
        return as_labels(path, raw, header)
    return as_intensities(path, raw, header)


def save(image: Any, path: str | os.PathLike[str]) -> None:
    """Write an image, or whatever `as_image` takes for one: ``.nii .nii.gz .mha .nrrd .mgz .mgh``, or ``.png`` in 2-D; whole or not at all.

    Intensities are stored as float32, labels as the smallest integer type that holds them, channels as vectors. The
    mask is not stored.

    Raises
    ------
    InputError : unknown suffix, a missing folder, an image the format cannot hold.  SecurityError : ``path`` is a
        symbolic link.  ResourceError : disk full.
    """
    path, image = Path(path), as_image(image)
    suffix = _suffix(path)
    writers: dict[str, Callable[[], list]] = {
        ".nii": lambda: _module("nifti").write(image, path, packed=False),
        ".nii.gz": lambda: _module("nifti").write(image, path, packed=True),
        ".mha": lambda: _module("itk_image").write_meta(image, path),
        ".nrrd": lambda: _module("itk_image").write_nrrd(image, path),
        ".mgz": lambda: _module("mgh").write(image, path, packed=True),
        ".mgh": lambda: _module("mgh").write(image, path, packed=False),
        ".png": lambda: _module("raster").write_png(image, path)}
    if suffix not in writers:
        raise InputError(f"cannot write {shown(path)}: expected a name ending in {' '.join(writers)}")
    write_bytes(path, writers[suffix]())


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What is known about an image without reading its voxels, in JSON types; errors as in `load`."""
    header = read_header(Path(path))
    grid = header.grid
    place = {"dimension": grid.dim, "shape": list(grid.shape), "spacing_mm": grid.spacing.tolist(), "extent_mm": grid.extent.tolist(),
             "axes": grid.axes, "orientation": _words(grid), "oblique_degrees": _oblique(grid), "sheared": not grid.is_orthogonal,
             "left_handed": grid.is_left_handed, "origin_mm": grid.origin.tolist(), "centre_mm": grid.centre.tolist(),
             "affine": grid.affine.tolist()}
    content = {"type": header.dtype.newbyteorder("=").name, "kind": header.kind, "channels": header.channels, "frames": header.frames,
               "scale": list(header.scale)}
    return {"path": os.fspath(path), "format": header.format, **place, **content, **header.details, "warnings": list(header.notes)}


def sha256(path: str | os.PathLike[str]) -> str:
    """Hash of a file's bytes; of a folder, that of the names and hashes of the files in it."""
    path = Path(path)
    if path.is_dir():
        lines = [f"{sha256(file)}  {file.name}" for file in sorted(path.iterdir()) if file.is_file()]
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_header(path: Path, series: str | None = None) -> Header:
    """Understand a file by its content, without reading voxels; errors as in `load`."""
    if path.is_dir():
        return _module("dicom").read_header(path, series)
    if _suffix(path) in (".img", ".img.gz"):
        path = _module("nifti").header_of_pair(path)
    kind, notes = _kind(path)
    module, name = _READERS[kind]
    header = getattr(_module(module), name)(path)
    if kind != "raster":
        notes += _size_notes(path, header.grid)
    return Header(**{**vars(header), "notes": (*notes, *header.notes)})


# ---------------------------------------------------------------- which format
def _module(name: str):
    return import_module(f".{name}", __package__)


def _suffix(path: Path) -> str:
    """The last suffix, with a ``.gz`` keeping the one before it."""
    name = path.name.lower()
    stem = name.removesuffix(".gz")
    return Path(stem).suffix + name[len(stem):]


def _kind(path: Path) -> tuple[str, tuple[str, ...]]:
    """Name of the format, and a note where the file's name says otherwise."""
    with Stream(path, packed=False) as stream:
        first = stream.peek_bytes(600)
    if not first:
        raise refuse(path, "the file is empty; copy it again")
    packed = first[:2] == GZIP
    if packed:
        with Stream(path) as stream:
            first = stream.peek_bytes(600)
    suffix = _suffix(path)
    named, found = _SUFFIXES.get(suffix), _by_content(first)
    kind = found or _unsigned(path, named, first)
    if packed and kind not in ("nifti", "mgh"):
        raise refuse(path, "it is packed with gzip, which this format does not know: gunzip it first")
    if kind == "dicom" and named is None:
        return kind, ()  # DICOM files have any name, or a number
    if kind != named:
        return kind, (note(path, f"by its content this is {_say(kind)}, whatever its name; read as such"),)
    if kind == "nifti" and packed != suffix.endswith(".gz"):
        return kind, (note(path, f"it is {'' if packed else 'not '}packed with gzip, unlike its name says; read as it is"),)
    return kind, ()


def _by_content(first: bytes) -> str | None:
    """The format by its signature."""
    from .nifti import is_nifti

    if is_nifti(first):
        return "nifti"
    if first[128:132] == b"DICM":
        return "dicom"
    if first.startswith(b"NRRD000"):
        return "nrrd"
    if first.startswith(_RASTER_SIGNATURES):
        return "raster"
    return "meta" if first.lstrip().startswith((b"ObjectType", b"NDims")) else None


def _unsigned(path: Path, named: str | None, first: bytes) -> str:
    """The format by the name, for those whose files need not start with a signature."""
    if named in ("mgh", "dicom", "meta"):
        return named
    if named == "nifti" and 348 in (int.from_bytes(first[:4], "little"), int.from_bytes(first[:4], "big")):
        return named  # Analyze, or damaged beyond its first field, which the reader says
    if named is None:
        raise refuse(path, f"this kind of file is not known: expected {_READABLE}; convert it first")
    raise refuse(path, f"its name says {_say(named)}, its content does not: damaged, or another kind of file renamed")


def _say(kind: str) -> str:
    return {"nifti": "NIfTI", "mgh": "MGH", "meta": "MetaImage", "nrrd": "NRRD", "raster": "a picture", "dicom": "DICOM"}[kind]


# ---------------------------------------------------------------- which frame and channel
def _chosen_frame(path: Path, header: Header, frame: int | None) -> int:
    if frame is None and header.frames > 1:
        choice = f"choose one with frame=0 to {header.frames - 1} (--frame)"
        raise refuse(path, f"it holds {header.frames} frames where one image is expected: {choice}")
    frame = frame or 0
    if not 0 <= frame < header.frames:
        raise refuse(path, f"frame {frame} was asked for: expected 0 to {header.frames - 1}")
    return frame


def _check_channel(path: Path, header: Header, channel: int | str | None) -> None:
    """Refuse what cannot be chosen, before any voxel is read."""
    if header.kind == "complex" and (channel != "magnitude" or header.dtype.kind != "c"):
        raise refuse(path, "it holds complex numbers: expected real ones; take channel='magnitude' (--channel magnitude)")
    if header.channels > 1 and channel is None:
        hint = "choose channel='grey', 'all'" if header.kind == "colour" else "a displacement field? else choose channel='all'"
        number = f"0 to {header.channels - 1} (--channel)"
        raise refuse(path, f"it holds {header.channels} values a voxel ({header.kind}): {hint} or {number}")
    if channel == "grey" and (header.kind != "colour" or header.channels < 3):
        raise refuse(path, "channel 'grey' was asked for, but it is not a colour image")
    if isinstance(channel, str) and channel not in ("all", "grey", "magnitude"):
        raise refuse(path, f"channel {channel!r} was asked for: expected a number, 'all', 'grey' or 'magnitude'")
    if isinstance(channel, int) and not 0 <= channel < header.channels:
        raise refuse(path, f"channel {channel} was asked for: expected 0 to {header.channels - 1}")


def _chosen_channel(raw: NDArray, channel: int | str | None) -> NDArray:
    """(channels, *shape) of what was chosen."""
    if channel == "grey":
        return np.tensordot(_GREY, raw[:3].astype(np.float32), 1)[None]
    if channel == "magnitude":
        return np.abs(raw)
    return raw[channel:channel + 1] if isinstance(channel, int) else raw


# ---------------------------------------------------------------- stored values -> Image
def as_labels(path: Path, raw: NDArray, header: Header) -> Image:
    """Stored values (C, *shape), in any order, as a label map; errors as in `load`."""
    plain = header.scale == (1.0, 0.0)
    data = _c_order(raw, raw.dtype.newbyteorder("=") if plain else np.dtype(np.float64), header.scale)
    if data.dtype.kind == "f":
        bad = data.size - int(np.isfinite(data).sum())
        if bad:
            warn(path, f"{bad} labels are NaN or infinite and were set to 0")
    try:
        return Image(data, header.grid, is_label=True)
    except InputError as error:
        raise refuse(path, str(error)) from None


def as_intensities(path: Path, raw: NDArray, header: Header) -> Image:
    """Stored values (C, *shape), in any order, as an image; errors as in `load`."""
    data = _c_order(raw, np.dtype(np.float32), header.scale)
    if (raw.dtype.itemsize > 4 or header.scale != (1.0, 0.0)) and np.isinf(data).any():
        data = _shrunk(path, raw, header, data)
    image = Image(data, header.grid)
    if image.mask is not None:
        bad = image.mask.size - int(image.mask.sum())
        if bad == image.mask.size:
            raise refuse(path, "every voxel is NaN or infinite: there is nothing to register")
        warn(path, f"{bad} voxels ({bad / image.mask.size:.1%}) are NaN or infinite and were masked out")
    return image


def _c_order(raw: NDArray, dtype: np.dtype, scale: tuple[float, float]) -> NDArray:
    """(C, *shape) in any order and type -> C-contiguous ``dtype``, scaled in float64."""
    out = np.empty(raw.shape, dtype)
    for channel, wanted in zip(raw, out, strict=True):
        if channel.ndim == 3:
            for j in range(channel.shape[1]):  # converted in the file's order, then turned: a plane at a time stays in the cache
                wanted[:, j] = _scaled(channel[:, j].T, dtype, scale).T
        else:
            wanted[...] = _scaled(channel, dtype, scale)
    return out


def _scaled(block: NDArray, dtype: np.dtype, scale: tuple[float, float]) -> NDArray:
    with np.errstate(over="ignore", invalid="ignore"):
        if scale != (1.0, 0.0):
            block = block.astype(np.float64) * scale[0] + scale[1]
        return block.astype(dtype)


def _shrunk(path: Path, raw: NDArray, header: Header, data: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 of values too large for it, divided by a power of ten."""
    values = raw.astype(np.float64) * header.scale[0] + header.scale[1]
    peak = np.abs(values[np.isfinite(values)]).max(initial=0)
    if peak <= _FLOAT_MAX:
        return data
    factor = 10.0 ** np.ceil(np.log10(peak) - 30)
    warn(path, f"values up to {peak:.3g} are too large for float32 and were divided by {factor:.0g}")
    return np.ascontiguousarray(values / factor, np.float32)


# ---------------------------------------------------------------- words
def _size_notes(path: Path, grid: Grid) -> tuple[str, ...]:
    largest = grid.extent.max()
    if 5 <= largest <= 3000:
        return ()
    return (note(path, f"the image is {largest:.4g} mm long, which no body part is; check the voxel size and its unit"),)


def _words(grid: Grid) -> list[str]:
    """Where each array axis runs, in words."""
    opposite = dict(zip("RLAPSI", "LRPAIS", strict=True))
    return [f"axis {k} runs from {_ORIENTATION[opposite[letter]]} to {_ORIENTATION[letter]}" for k, letter in enumerate(grid.axes)]


def _oblique(grid: Grid) -> float:
    """Largest angle between an array axis and the nearest world axis."""
    return float(np.degrees(np.arccos(np.clip(np.abs(grid.direction).max(0).min(), -1, 1))))
