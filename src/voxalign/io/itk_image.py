"""MetaImage (.mha, .mhd) and NRRD (.nrrd, .nhdr), read and written strictly (SimpleITK is the oracle in the tests).

Both state positions in LPS mm (NRRD can name other spaces) and can hold sheared grids, which are kept; SimpleITK would
take a missing or zero spacing for 1.
Formats: https://itk.org/Wiki/ITK/MetaIO/Documentation, https://teem.sourceforge.net/nrrd/format.html
"""
from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Image, SecurityError
from .header import Header, check_spacing, from_lps, make_grid, note, refuse, warn
from .nifti import fortran, packing, stored_type
from .stream import Stream, open_file, pack

_HEADER_BYTES = 1 << 20
_META_TYPES = {"CHAR": "i1", "UCHAR": "u1", "SHORT": "i2", "USHORT": "u2", "INT": "i4", "UINT": "u4", "LONG": "i4", "ULONG": "u4",
               "LONG_LONG": "i8", "ULONG_LONG": "u8", "FLOAT": "f4", "DOUBLE": "f8"}
_META_NAMES = {"u1": "MET_UCHAR", "i2": "MET_SHORT", "u2": "MET_USHORT", "i4": "MET_INT", "f4": "MET_FLOAT"}
_NRRD_NAMES = {"u1": "uint8", "i2": "int16", "u2": "uint16", "i4": "int32", "f4": "float"}
_NRRD_TYPES = {
    "i1": ("signed char", "int8", "int8_t"), "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"), "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), "f4": ("float",), "f8": ("double",)}
_SPACES = {"left-posterior-superior": "LPS", "lps": "LPS", "left-anterior-superior": "LAS", "las": "LAS",
           "right-anterior-superior": "RAS", "ras": "RAS"}
_UNITS = {"mm": 1.0, "um": 0.001, "µm": 0.001, "micrometer": 0.001, "cm": 10.0, "m": 1000.0}


@dataclass(frozen=True, eq=False)
class _Voxels:
    """Where the values are and what the axes of the file (fastest first) mean."""

    path: Path
    start: int
    packed: bool
    dtype: np.dtype
    sizes: tuple[int, ...]
    channel_axis: int | None = None
    frame_axis: int | None = None

    @property
    def nbytes(self) -> int:
        return math.prod(self.sizes) * self.dtype.itemsize

    def checked(self) -> _Voxels:
        """Itself, if the file can hold it."""
        with Stream(self.path, self.start, self.packed) as stream:
            stream.expect(self.nbytes)
        return self


@contextmanager
def _parsing(path: Path) -> Iterator[None]:
    """A field that is not the number it should be, as an error that names the file."""
    try:
        yield
    except (ValueError, OverflowError, OSError) as error:
        reason = str(error).splitlines()[0][:80]
        raise refuse(path, f"a field of its header cannot be understood ({reason}); it is damaged") from None


# ---------------------------------------------------------------- MetaImage
def read_meta(path: Path) -> Header:
    """Understand a ``.mha`` or ``.mhd`` file.

    Raises
    ------
    InputError : damaged, truncated, or not an image.  SecurityError : its data file lies outside its folder.
    """
    with _parsing(path):
        return _meta(path)


def _meta(path: Path) -> Header:
    fields, start = _meta_fields(path)
    dim = _meta_int(path, fields, "NDims")
    sizes = tuple(_numbers(path, fields, ("DimSize",), dim, whole=True))
    if dim not in (2, 3, 4) or min(sizes) < 1:
        raise refuse(path, f"DimSize is {' '.join(map(str, sizes))}: expected 2 or 3 positive sizes, or 4 with frames")
    space = min(dim, 3)
    affine, notes = _meta_affine(path, fields, dim, space)
    channels = int(fields.get("ElementNumberOfChannels", "1"))
    voxels = _meta_voxels(path, fields, start, (channels, *sizes), dim).checked()
    kind = "scalar" if channels == 1 else "colour" if voxels.dtype.kind == "u" and channels in (3, 4) else "vector"
    return Header("MetaImage", make_grid(path, sizes[:space], affine), voxels.dtype, partial(_read, voxels),
                  sizes[3] if dim == 4 else 1, channels, kind, notes=notes, details={"units": fields.get("DistanceUnits", "mm")})


def _meta_fields(path: Path) -> tuple[dict[str, str], int]:
    """Fields by name, and where the voxels start if they follow."""
    fields: dict[str, str] = {}
    with open_file(path) as file:
        while file.tell() < _HEADER_BYTES:
            line = file.readline(65536)
            key, sign, value = line.decode("latin-1").partition("=")
            if not sign:
                raise refuse(path, f"not a MetaImage header: line {line[:40]!r} (expected 'name = value'); damaged or another format")
            fields[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile":
                return fields, file.tell()
    raise refuse(path, "its header never names ElementDataFile; it is damaged")


def _meta_int(path: Path, fields: dict[str, str], name: str) -> int:
    return _numbers(path, fields, (name,), 1, whole=True)[0]


def _numbers(path: Path, fields: dict[str, str], names: tuple[str, ...], count: int, whole: bool = False) -> list:
    """The ``count`` numbers of the first of ``names`` that is given."""
    text = next((fields[name] for name in names if name in fields), None)
    if text is None:
        raise refuse(path, f"its header lacks {names[0]}; it is damaged")
    try:
        values = [(int if whole else float)(word) for word in text.split()]
    except ValueError:
        values = []
    if len(values) != count:
        raise refuse(path, f"{names[0]} is {text!r}: expected {count} numbers; the header is damaged")
    return values


def _meta_affine(path: Path, fields: dict[str, str], dim: int, space: int) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    spacing = np.array(_numbers(path, fields, ("ElementSpacing", "ElementSize"), dim))[:space]
    check_spacing(path, "ElementSpacing", spacing)
    origin, notes = np.zeros(dim), ()
    if fields.keys() & {"Offset", "Position", "Origin"}:
        origin = np.array(_numbers(path, fields, ("Offset", "Position", "Origin"), dim))
    rows = np.eye(dim)
    if fields.keys() & {"TransformMatrix", "Rotation", "Orientation"}:
        rows = np.reshape(_numbers(path, fields, ("TransformMatrix", "Rotation", "Orientation"), dim * dim), (dim, dim))
    else:
        notes = (note(path, "it says nothing of orientation; axes to the left, to posterior and up are assumed"),)
    affine = np.eye(space + 1)
    affine[:-1, :-1] = rows[:space, :space].T * spacing
    affine[:-1, -1] = origin[:space]
    factor, unit_notes = _factor(path, fields.get("DistanceUnits", "mm"))
    return from_lps(_scaled(affine, factor)), notes + unit_notes


def _scaled(affine: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """The world of an affine in other units."""
    return affine * np.array([factor] * (len(affine) - 1) + [1.0])[:, None]


def _factor(path: Path, unit: str) -> tuple[float, tuple[str, ...]]:
    """mm a unit, and a note if it is not mm."""
    unit = unit.strip().strip('"').lower()
    if unit in ("mm", "", "?"):
        return 1.0, ()
    if unit not in _UNITS:
        return 1.0, (note(path, f"unknown unit of length {unit!r} is taken for mm"),)
    return _UNITS[unit], (note(path, f"converted from {unit} to mm"),)


def _meta_voxels(path: Path, fields: dict[str, str], start: int, sizes: tuple[int, ...], dim: int) -> _Voxels:
    name = fields.get("ElementType", "").removeprefix("MET_").removesuffix("_ARRAY")
    if name not in _META_TYPES:
        raise refuse(path, f"ElementType is {fields.get('ElementType')!r}: expected MET_UCHAR, MET_SHORT, MET_FLOAT and the like")
    if not _true(fields.get("BinaryData", "True")):
        raise refuse(path, "its voxels are written as text: save it with binary data")
    big = _true(fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False")))
    dtype = np.dtype((">" if big else "<") + _META_TYPES[name])
    local = fields["ElementDataFile"].upper() == "LOCAL"
    data = path if local else _beside(path, fields["ElementDataFile"])
    skip = int(fields.get("HeaderSize", "0"))
    voxels = _Voxels(data, start if local else max(skip, 0), _true(fields.get("CompressedData", "False")), dtype, sizes, 0,
                     4 if dim == 4 else None)
    if skip == -1 and not local:  # the voxels are the end of the file
        start = data.stat().st_size - voxels.nbytes
        return _Voxels(data, max(start, 0), False, dtype, sizes, 0, voxels.frame_axis)
    return voxels


def _true(text: str) -> bool:
    return text.strip().lower() in ("true", "1", "t", "yes")


def _beside(path: Path, name: str) -> Path:
    """The data file a header names, which must lie in the header's own folder."""
    if not name or name.upper().startswith("LIST") or "%" in name:
        raise refuse(path, f"its voxels are spread over several files ({name!r}): save it as one file")
    found = (path.parent / name).resolve()
    if not found.is_relative_to(path.parent.resolve()):
        raise SecurityError(note(path, f"it names a data file outside its folder ({name!r}): refused; put the two files side by side"))
    if not found.is_file():
        raise refuse(path, f"its data file {name!r} is missing; both files are needed")
    return found


# ---------------------------------------------------------------- NRRD
def read_nrrd(path: Path) -> Header:
    """Understand a ``.nrrd`` or ``.nhdr`` file.

    Raises
    ------
    InputError : damaged, truncated, or not an image.  SecurityError : its data file lies outside its folder.
    """
    with _parsing(path):
        return _nrrd(path)


def _nrrd(path: Path) -> Header:
    fields, start = _nrrd_fields(path)
    sizes = tuple(_numbers(path, fields, ("sizes",), _meta_int(path, fields, "dimension"), whole=True))
    if min(sizes) < 1:
        raise refuse(path, f"sizes are {sizes}: expected positive numbers")
    directions, notes = _nrrd_directions(path, fields, len(sizes))
    spatial = [k for k, column in enumerate(directions) if column is not None]
    channel_axis, frame_axis = _nrrd_other_axes(path, fields, sizes, spatial)
    affine, space_notes = _nrrd_affine(path, fields, [directions[k] for k in spatial])
    voxels = _nrrd_voxels(path, fields, start, sizes, (channel_axis, frame_axis)).checked()
    channels = 1 if channel_axis is None else sizes[channel_axis]
    kinds = fields.get("kinds", "").lower()
    kind = "scalar" if channels == 1 else "colour" if "color" in kinds else "complex" if "complex" in kinds else "vector"
    return Header("NRRD", make_grid(path, tuple(sizes[k] for k in spatial), affine), voxels.dtype, partial(_read, voxels),
                  1 if frame_axis is None else sizes[frame_axis], channels, kind, notes=notes + space_notes,
                  details={"space": fields.get("space", "not stated")})


def _nrrd_fields(path: Path) -> tuple[dict[str, str], int]:
    """Fields by name, and where the voxels start if they follow (after an empty line)."""
    fields: dict[str, str] = {}
    with open_file(path) as file:
        if not file.readline(64).startswith(b"NRRD000"):
            raise refuse(path, "not an NRRD file (its first bytes are not 'NRRD000'); check what it is")
        while file.tell() < _HEADER_BYTES:
            line = file.readline(65536)
            if not line.strip():
                return fields, file.tell()
            key, _, value = line.decode("latin-1").partition(":")
            if not line.startswith(b"#") and not value.startswith("="):  # ':=' is free text
                fields[key.strip().lower()] = value.strip()
    raise refuse(path, "its header never ends; it is damaged")


def _nrrd_directions(path: Path, fields: dict[str, str], dim: int) -> tuple[list, tuple[str, ...]]:
    """World column of each axis of the file, None where it is not spatial."""
    text = fields.get("space directions")
    if text is not None:
        found = [None if word == "none" else [float(v) for v in word.strip("()").split(",")]
                 for word in re.findall(r"none|\([^)]*\)", text)]
        if len(found) != dim:
            raise refuse(path, f"space directions are {text!r}: expected {dim} vectors")
        return found, ()
    notes = (note(path, "it says nothing of orientation; axes to the left, to posterior and up are assumed"),)
    spacings = [float(word) for word in fields.get("spacings", "").split()]
    if len(spacings) != dim:
        raise refuse(path, "its header gives neither space directions nor spacings; the size of a voxel is unknown")
    spatial = [k for k, s in enumerate(spacings) if not math.isnan(s)]
    check_spacing(path, "spacings", [spacings[k] for k in spatial])
    axes = np.diag([spacings[k] for k in spatial]).tolist()
    return [axes[spatial.index(k)] if k in spatial else None for k in range(dim)], notes


def _nrrd_other_axes(path: Path, fields: dict[str, str], sizes: tuple[int, ...], spatial: list[int]) -> tuple[int | None, int | None]:
    """Which axis holds channels and which frames."""
    kinds = fields.get("kinds", "").lower().split()
    others = [k for k in range(len(sizes)) if k not in spatial]
    frames = [k for k in others if k > max(spatial, default=-1) or (len(kinds) > k and kinds[k] in ("list", "time"))]
    channels = [k for k in others if k not in frames]
    if len(spatial) not in (2, 3) or len(frames) > 1 or len(channels) > 1:
        raise refuse(path, f"an image of sizes {sizes} with {len(spatial)} spatial axes: expected 2 or 3, and at most one axis of "
                           "channels and one of frames")
    return (channels or [None])[0], (frames or [None])[0]


def _nrrd_affine(path: Path, fields: dict[str, str], columns: list) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    dim = len(columns)
    origin = fields.get("space origin", "(" + ",".join("0" * dim) + ")")
    try:
        affine = np.eye(dim + 1)
        affine[:-1, :-1] = np.array(columns).T
        affine[:-1, -1] = [float(v) for v in origin.strip("()").split(",")]
    except ValueError:
        raise refuse(path, f"space directions or origin {origin!r} do not fit {dim} axes; the header is damaged") from None
    check_spacing(path, "the length of space directions", np.linalg.norm(affine[:-1, :-1], axis=0))
    factor, notes = _factor(path, fields.get("space units", "").split('" "')[0])
    affine = _scaled(affine, factor)
    space = _SPACES.get(fields.get("space", "left-posterior-superior").lower())
    if space is None:
        raise refuse(path, f"space {fields['space']!r} is not supported: expected left-posterior-superior, LAS or RAS")
    if space == "RAS":
        return affine, notes
    affine[0] *= -1
    affine[1] *= -1 if space == "LPS" else 1
    return affine + 0.0, notes


def _nrrd_voxels(path: Path, fields: dict[str, str], start: int, sizes: tuple[int, ...], axes: tuple[int | None, int | None]) -> _Voxels:
    kind = next((t for t, names in _NRRD_TYPES.items() if fields.get("type", "").lower() in names), None)
    encoding = fields.get("encoding", "").lower()
    if kind is None or encoding not in ("raw", "gzip", "gz"):
        given = f"type {fields.get('type')!r}, encoding {fields.get('encoding')!r}"
        raise refuse(path, f"{given}: expected numbers, raw or gzip; save it so")
    endian = fields.get("endian", "little" if kind.endswith("1") else "").lower()
    if endian not in ("little", "big"):
        raise refuse(path, f"endian is {endian!r}: expected little or big")
    name = fields.get("data file", fields.get("datafile"))
    data = path if name is None else _beside(path, name)
    dtype = np.dtype(kind).newbyteorder("<" if endian == "little" else ">")
    skip = int(fields.get("byte skip", fields.get("byteskip", "0")))
    if int(fields.get("line skip", fields.get("lineskip", "0"))) or (skip and encoding != "raw"):
        raise refuse(path, "line skip, or byte skip in packed data, is not supported: save it without")
    begin = (start if name is None else 0) + max(skip, 0)
    voxels = _Voxels(data, begin, encoding != "raw", dtype, sizes, *axes)
    if skip == -1:
        return _Voxels(data, max(data.stat().st_size - voxels.nbytes, 0), False, dtype, sizes, *axes)
    return voxels


# ---------------------------------------------------------------- voxels
def _read(voxels: _Voxels, frame: int) -> NDArray:
    """One frame as stored, (channels, *shape)."""
    with Stream(voxels.path, voxels.start, voxels.packed) as stream:
        stream.expect(voxels.nbytes)
        array = stream.take(voxels.nbytes).view(voxels.dtype).reshape(voxels.sizes[::-1]).T
        stream.finish()
    if voxels.channel_axis is None:
        array = array[None]
        frame_axis = None if voxels.frame_axis is None else voxels.frame_axis + 1
    else:
        array = np.moveaxis(array, voxels.channel_axis, 0)
        frame_axis = voxels.frame_axis  # it lies after the channels
    return array if frame_axis is None else array.take(frame, frame_axis)


# ---------------------------------------------------------------- writing
def write_meta(image: Image, path: Path) -> list[bytes]:
    """The parts of a ``.mha`` file that holds ``image``."""
    voxels = _interleaved(image)
    packed = pack([memoryview(voxels)], "zlib", packing(image))
    lps = _checked_lps(image.grid, path)
    lines = {"ObjectType": "Image", "NDims": image.dim, "BinaryData": True, "BinaryDataByteOrderMSB": False,
             "CompressedData": True, "CompressedDataSize": sum(map(len, packed)),
             "TransformMatrix": _words((lps[:-1, :-1] / image.grid.spacing).T.ravel()), "Offset": _words(lps[:-1, -1]),
             "CenterOfRotation": _words([0] * image.dim), "ElementSpacing": _words(image.grid.spacing),
             "DimSize": _words(image.grid.shape)}
    if image.channels > 1:
        lines["ElementNumberOfChannels"] = image.channels
    lines |= {"ElementType": _META_NAMES[voxels.dtype.str[1:]], "ElementDataFile": "LOCAL"}
    return ["".join(f"{key} = {value}\n" for key, value in lines.items()).encode(), *packed]


def write_nrrd(image: Image, path: Path) -> list[bytes]:
    """The parts of a ``.nrrd`` file that holds ``image``."""
    voxels = _interleaved(image)
    lps = _checked_lps(image.grid, path)
    many = image.channels > 1
    columns = [_vector(column) for column in lps[:-1, :-1].T]
    space = "space: left-posterior-superior" if image.dim == 3 else "space dimension: 2"
    lines = ["NRRD0004", f"type: {_NRRD_NAMES[voxels.dtype.str[1:]]}", f"dimension: {image.dim + many}", space,
             f"sizes: {_words([image.channels] * many + list(image.grid.shape))}",
             f"space directions: {' '.join(['none'] * many + columns)}",
             f"kinds: {' '.join(['vector'] * many + ['domain'] * image.dim)}",
             "endian: little", "encoding: gzip", f"space origin: {_vector(lps[:-1, -1])}", "", ""]
    return ["\n".join(lines).encode(), *pack([memoryview(voxels)], "gzip", packing(image))]


def _interleaved(image: Image) -> NDArray:
    """Little-endian values in the order of the file, the channels of a voxel together."""
    dtype = stored_type(image).newbyteorder("<")
    planes = [fortran(channel.astype(dtype, copy=False)) for channel in image.data]
    return planes[0] if len(planes) == 1 else np.ascontiguousarray(np.stack(planes, -1))


def _checked_lps(grid: Grid, path: Path) -> NDArray[np.float64]:
    if not grid.is_orthogonal:
        warn(path, "the grid is sheared; it is stored exactly, but programs built on ITK may refuse it or read it wrongly")
    return from_lps(grid.affine)


def _vector(values: NDArray) -> str:
    return f"({','.join(repr(float(v)) for v in values)})"


def _words(values) -> str:
    return " ".join(repr(v.item() if isinstance(v, np.generic) else v) for v in values)



