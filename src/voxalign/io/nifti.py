"""NIfTI-1, NIfTI-2 and Analyze 7.5, read and written strictly (nibabel is the oracle in the tests).

The world of NIfTI is RAS+ mm, as ours. The sform wins where its code is positive, then the qform; with neither, the
voxel sizes say everything and the first axis is taken to run from right to left, the image centred (as nibabel does).
Format: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h
"""
from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Image
from .header import Header, check_spacing, flatten, make_grid, note, refuse, warn
from .stream import Stream, pack

_NIFTI1 = np.dtype([
    ("sizeof_hdr", "i4"), ("data_type", "S10"), ("db_name", "S18"), ("extents", "i4"), ("session_error", "i2"), ("regular", "S1"),
    ("dim_info", "u1"), ("dim", "i2", 8), ("intent_p", "f4", 3), ("intent_code", "i2"), ("datatype", "i2"), ("bitpix", "i2"),
    ("slice_start", "i2"), ("pixdim", "f4", 8), ("vox_offset", "f4"), ("scl_slope", "f4"), ("scl_inter", "f4"),
    ("slice_end", "i2"), ("slice_code", "u1"), ("xyzt_units", "u1"), ("cal_max", "f4"), ("cal_min", "f4"),
    ("slice_duration", "f4"), ("toffset", "f4"), ("glmax", "i4"), ("glmin", "i4"), ("descrip", "S80"), ("aux_file", "S24"),
    ("qform_code", "i2"), ("sform_code", "i2"), ("quatern", "f4", 3), ("qoffset", "f4", 3), ("srow", "f4", (3, 4)),
    ("intent_name", "S16"), ("magic", "S4")])
_NIFTI2 = np.dtype([
    ("sizeof_hdr", "i4"), ("magic", "S8"), ("datatype", "i2"), ("bitpix", "i2"), ("dim", "i8", 8), ("intent_p", "f8", 3),
    ("pixdim", "f8", 8), ("vox_offset", "i8"), ("scl_slope", "f8"), ("scl_inter", "f8"), ("cal_max", "f8"), ("cal_min", "f8"),
    ("slice_duration", "f8"), ("toffset", "f8"), ("slice_start", "i8"), ("slice_end", "i8"), ("descrip", "S80"),
    ("aux_file", "S24"), ("qform_code", "i4"), ("sform_code", "i4"), ("quatern", "f8", 3), ("qoffset", "f8", 3),
    ("srow", "f8", (3, 4)), ("slice_code", "i4"), ("xyzt_units", "i4"), ("intent_code", "i4"), ("intent_name", "S16"),
    ("dim_info", "u1"), ("unused", "S15")])
_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 32: "c8", 64: "f8", 128: "u1", 256: "i1", 512: "u2", 768: "u4", 1024: "i8",
          1280: "u8", 1792: "c16", 2304: "u1"}
_COLOURS = {128: 3, 2304: 4}
_CODES = {np.dtype(t): code for code, t in _TYPES.items() if code not in _COLOURS}
_MILLIMETRES = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_SECONDS = {8: 1.0, 16: 1e-3, 24: 1e-6}
_UNIT_NAMES = {0: "unknown", 1: "metre", 2: "mm", 3: "micrometre"}
_FORM_NAMES = {0: "unknown", 1: "scanner", 2: "aligned", 3: "Talairach", 4: "MNI 152", 5: "template"}
_VECTOR, _LABEL = 1007, 1002
_CIFTI = range(3000, 3100)
_ASSUMED = "the first axis is taken to run right to left, the second to anterior, the third up, the image centred"
_ATOL_MM = 0.01  # more than this between sform and qform is said


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where the voxels are in a file and in memory."""

    path: Path
    offset: int
    dtype: np.dtype  # of one value, in the byte order of the file
    shape: tuple[int, ...]  # spatial
    frames: int
    channels: int
    colours: int  # values that lie together at each voxel (1, or 3 and 4 for colour)

    @property
    def kind(self) -> str:
        if self.colours > 1:
            return "colour"
        return "complex" if self.dtype.kind == "c" else "vector" if self.channels > 1 else "scalar"

    @property
    def volume(self) -> int:
        """Bytes of one channel of one frame."""
        return math.prod(self.shape) * self.dtype.itemsize * self.colours

    @property
    def total(self) -> int:
        """Bytes from the start of the file to the end of the voxels."""
        return self.offset + self.volume * self.frames * self.channels


def is_nifti(first: bytes) -> bool:
    """Whether these (unpacked) first bytes of a file are those of NIfTI-1 or -2."""
    return first[344:348] in (b"n+1\0", b"ni1\0") or first[4:8] in (b"n+2\0", b"ni2\0")


def read_header(path: Path) -> Header:
    """Understand a ``.nii``, ``.nii.gz`` or ``.hdr`` file.

    Raises
    ------
    InputError : damaged, truncated, or of a kind that is not an image.  SecurityError : it unpacks to absurdly much.
    """
    with Stream(path) as stream:
        first = stream.peek_bytes(_NIFTI2.itemsize)
        raw = _parse(path, first)
        layout, single = _layout(path, raw)
        notes = _extension_notes(path, stream, first, layout) if single else ()
        if single:
            stream.expect(layout.total)
    affine, flat_notes = _affine(path, raw, len(layout.shape))
    scale, scale_notes = _scale(path, raw)
    grid = make_grid(path, layout.shape, affine)
    return Header(_format(raw), grid, layout.dtype, partial(_read, layout), layout.frames, layout.channels * layout.colours,
                  layout.kind, scale, (*notes, *flat_notes, *scale_notes), _details(raw),
                  partial(_each, layout) if layout.channels == 1 else None)


# ---------------------------------------------------------------- header
def header_of_pair(path: Path) -> Path:
    """The ``.hdr`` of an ``.img``; other paths as they are."""
    name = path.name.lower()
    if not name.endswith((".img", ".img.gz")):
        return path
    cut = 7 if name.endswith(".gz") else 4
    for suffix in (".hdr", ".HDR", ".hdr.gz"):
        found = path.with_name(path.name[:-cut] + suffix)
        if found.exists():
            return found
    raise refuse(path, "an .img needs the .hdr of the same name beside it")


def _parse(path: Path, first: bytes) -> NDArray:
    """The header as a record in its own byte order."""
    if not first:
        raise refuse(path, "the file is empty")
    for order in "<>":
        for layout, size in ((_NIFTI1, 348), (_NIFTI2, 540)):
            if int.from_bytes(first[:4], "little" if order == "<" else "big") == size:
                if len(first) < size:
                    raise refuse(path, f"truncated: {len(first)} bytes of a {size}-byte NIfTI header")
                return np.frombuffer(first[:size], layout.newbyteorder(order))[0]
    raise refuse(path, "not a NIfTI file (its first bytes are not those of a NIfTI header); check what it is")


def _format(raw: NDArray) -> str:
    magic = bytes(raw["magic"])
    return "NIfTI-2" if int(raw["sizeof_hdr"]) == 540 else "NIfTI-1" if magic in (b"n+1", b"ni1") else "Analyze 7.5"


def _layout(path: Path, raw: NDArray) -> tuple[_Layout, bool]:
    """Where the voxels are, and whether that is in the header's own file."""
    magic = bytes(raw["magic"])[:3]
    if magic not in (b"n+1", b"n+2", b"ni1", b"ni2", b""):
        raise refuse(path, f"wrong NIfTI magic {magic!r}: damaged, or not a NIfTI file")
    single = magic[1:2] == b"+"
    shape, frames, channels = _shape(path, raw)
    code = int(raw["datatype"])
    if code not in _TYPES:
        raise refuse(path, f"NIfTI datatype {code} is not supported: expected integers, float32/64, RGB or complex; convert it")
    dtype = np.dtype(_TYPES[code]).newbyteorder(raw.dtype["dim"].base.byteorder)
    offset = float(raw["vox_offset"])
    least = int(raw["sizeof_hdr"]) + 4 if single else 0
    if not (math.isfinite(offset) and offset == int(offset) and offset >= least):
        raise refuse(path, f"vox_offset is {offset:g}: expected a whole number from {least}; the header is damaged")
    data = path if single else path.with_name(_data_name(path.name))
    return _Layout(data, int(offset), dtype, shape, frames, channels, _COLOURS.get(code, 1)), single


def _data_name(name: str) -> str:
    cut = 7 if name.lower().endswith(".gz") else 4
    return name[:-cut] + (".IMG" if name.endswith(".HDR") else ".img")


def _shape(path: Path, raw: NDArray) -> tuple[tuple[int, ...], int, int]:
    """Spatial shape, frames and channels of the eight ``dim`` entries."""
    dim = [int(n) for n in raw["dim"]]
    count = dim[0]
    if not 1 <= count <= 7:
        raise refuse(path, f"dim[0] is {count}: expected 1 to 7; the header is damaged")
    sizes = dim[1:count + 1]
    if min(sizes) < 1:
        raise refuse(path, f"dim is {dim}: expected positive sizes; the header is damaged")
    if int(raw["intent_code"]) in _CIFTI:
        raise refuse(path, "a CIFTI file (surfaces and connectivity), not an image: export the volume first")
    sizes += [1] * (7 - count)
    if count < 2 or math.prod(sizes[5:]) > 1:
        given = "x".join(map(str, dim[1:count + 1]))
        raise refuse(path, f"an image of size {given}: expected 2 or 3 axes, then frames, then channels")
    flat = count == 2 or (count == 5 and sizes[2] == sizes[3] == 1 and int(raw["intent_code"]) == _VECTOR)
    return tuple(sizes[:2] if flat else sizes[:3]), sizes[3], sizes[4]


def _extension_notes(path: Path, stream: Stream, first: bytes, layout: _Layout) -> tuple[str, ...]:
    """A note if the extension blocks between header and voxels are not as they should be."""
    size = 540 if first[4:7] in (b"n+2", b"ni2") else 348
    stream.expect(layout.offset)
    gap = (first + stream.peek_bytes(max(min(layout.offset, 1 << 24) - len(first), 0)))[size:layout.offset]
    if len(gap) < 4 or not gap[0]:
        return ()
    at = 4
    order = "little" if first[:1] != b"\0" else "big"
    while at + 8 <= len(gap):
        length = int.from_bytes(gap[at:at + 4], order)
        if length < 8 or length % 16 or at + length > len(gap):
            return (note(path, f"a header extension of {length} bytes (expected a multiple of 16 before the voxels) was ignored"),)
        at += length
    return ()


def _scale(path: Path, raw: NDArray) -> tuple[tuple[float, float], tuple[str, ...]]:
    """Slope and intercept; a slope of 0 or NaN means none."""
    if bytes(raw["magic"]) == b"":
        return (1.0, 0.0), ()
    slope, inter = float(raw["scl_slope"]), float(raw["scl_inter"])
    if slope == 0 or math.isnan(slope):
        return (1.0, 0.0), ()
    if not (math.isfinite(slope) and math.isfinite(inter)):
        return (1.0, 0.0), (note(path, f"intensity scaling {slope:g} * value + {inter:g} is not finite and was ignored"),)
    return (slope, inter), ()


def _details(raw: NDArray) -> dict:
    if _format(raw) == "Analyze 7.5":
        return {}
    unit = int(raw["xyzt_units"]) & 7
    forms = {name: _FORM_NAMES.get(int(raw[name]), str(int(raw[name]))) for name in ("sform_code", "qform_code")}
    difference = _form_difference(raw, _used_shape(raw))
    return {"units": _UNIT_NAMES.get(unit, str(unit)), **forms, "sform_qform_difference_mm": difference,
            "frame_spacing": float(raw["pixdim"][4]) if raw["dim"][0] > 3 else None, "frame_seconds": _frame_seconds(raw)}


def _frame_seconds(raw: NDArray) -> float | None:
    """Between frames; None if the header does not say."""
    factor = _SECONDS.get(int(raw["xyzt_units"]) & 56)
    step = float(raw["pixdim"][4])
    return step * factor if raw["dim"][0] > 3 and factor and math.isfinite(step) and step > 0 else None


# ---------------------------------------------------------------- geometry
def _affine(path: Path, raw: NDArray, dim: int) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Index -> world mm, (dim + 1, dim + 1), and what was odd about it."""
    check_spacing(path, "pixdim", raw["pixdim"][1:dim + 1])
    affine, notes = _chosen(path, raw)
    if not np.isfinite(affine).all():
        raise refuse(path, "its orientation holds NaN or infinity: the header is damaged")
    if dim == 2:
        affine, flat_notes = flatten(path, affine)
        notes += flat_notes
    return affine, notes


def _chosen(path: Path, raw: NDArray) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """sform, qform or neither, in mm, (4, 4)."""
    if _format(raw) == "Analyze 7.5":
        return _centred(raw), (note(path, f"Analyze 7.5 says nothing of orientation; {_ASSUMED}"),)
    factor, notes = _unit_factor(path, raw)
    if raw["sform_code"] > 0:
        difference = _form_difference(raw, _used_shape(raw))
        if difference is not None and not difference <= _ATOL_MM:
            notes += (note(path, f"sform and qform disagree by up to {difference:.3g} mm; the sform is used"),)
        return _in_mm(_sform(raw), factor), notes
    if raw["qform_code"] > 0:
        return _in_mm(_qform(raw), factor), notes
    return _in_mm(_centred(raw), factor), (*notes, note(path, f"neither sform nor qform is set; voxel sizes are used, {_ASSUMED}"))


def _unit_factor(path: Path, raw: NDArray) -> tuple[float, tuple[str, ...]]:
    unit = int(raw["xyzt_units"]) & 7
    if unit not in _MILLIMETRES:
        return 1.0, (note(path, f"unknown unit of length {unit} is taken for mm"),)
    factor = _MILLIMETRES[unit]
    return factor, () if factor == 1 else (note(path, f"converted from {_UNIT_NAMES[unit]} to mm"),)


def _in_mm(affine: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    return affine * [[factor], [factor], [factor], [1.0]]


def _sform(raw: NDArray) -> NDArray[np.float64]:
    return np.vstack([raw["srow"].astype(np.float64), [0, 0, 0, 1]])


def _qform(raw: NDArray) -> NDArray[np.float64]:
    """Method 2 of nifti1.h: a unit quaternion, the voxel sizes, and the handedness in pixdim[0]."""
    b, c, d = (float(q) for q in raw["quatern"])
    a = 1.0 - (b * b + c * c + d * d)
    if not math.isfinite(a):
        return np.full((4, 4), np.nan)
    if a < 1e-7:  # a half turn
        b, c, d = np.array([b, c, d]) / math.sqrt(b * b + c * c + d * d)
        a = 0.0
    a = math.sqrt(a)
    rotation = np.array([[a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                         [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                         [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c]])
    affine = np.eye(4)
    affine[:3, :3] = rotation * _voxel_sizes(raw) * [1, 1, -1 if raw["pixdim"][0] < 0 else 1]
    affine[:3, 3] = raw["qoffset"]
    return affine


def _centred(raw: NDArray) -> NDArray[np.float64]:
    sizes = _voxel_sizes(raw) * [-1, 1, 1]
    affine = np.diag([*sizes, 1.0])
    affine[:3, 3] = -sizes * (np.array(_used_shape(raw)) - 1) / 2
    return affine


def _voxel_sizes(raw: NDArray) -> NDArray[np.float64]:
    """(3,), 1 along axes that the file does not have."""
    sizes = raw["pixdim"][1:4].astype(np.float64)
    return np.where(np.arange(3) < int(raw["dim"][0]), sizes, 1.0)


def _used_shape(raw: NDArray) -> tuple[int, ...]:
    return tuple(int(n) if k < int(raw["dim"][0]) else 1 for k, n in enumerate(raw["dim"][1:4]))


def _form_difference(raw: NDArray, shape: tuple[int, ...]) -> float | None:
    """Largest distance in mm between the corners as the sform and as the qform place them; None unless both are set."""
    if not (raw["sform_code"] > 0 and raw["qform_code"] > 0):
        return None
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij"), -1).reshape(-1, 3)
    with np.errstate(invalid="ignore", over="ignore"):  # a damaged qform beside a good sform gives NaN
        apart = corners @ (_sform(raw) - _qform(raw))[:3, :3].T + (_sform(raw) - _qform(raw))[:3, 3]
    return float(np.linalg.norm(apart, axis=1).max()) * _MILLIMETRES.get(int(raw["xyzt_units"]) & 7, 1.0)


# ---------------------------------------------------------------- voxels
def _read(layout: _Layout, frame: int) -> NDArray:
    """One frame as stored, (channels, *shape), a view in the order of the file."""
    _check_there(layout)
    volumes = []
    with Stream(layout.path) as stream:
        stream.expect(layout.total)
        stream.skip(layout.offset)
        for _ in range(layout.channels):
            stream.skip(frame * layout.volume)
            volumes.append(stream.take(layout.volume))
            stream.skip((layout.frames - 1 - frame) * layout.volume)
        stream.finish()
    return np.concatenate([_view(volume, layout) for volume in volumes]) if len(volumes) > 1 else _view(volumes[0], layout)


def _each(layout: _Layout) -> Iterator[NDArray]:
    """Every frame as of `_read`, one in memory at a time; the file is unpacked once."""
    _check_there(layout)
    with Stream(layout.path) as stream:
        stream.expect(layout.total)
        stream.skip(layout.offset)
        for _ in range(layout.frames):
            yield _view(stream.take(layout.volume), layout)
        stream.finish()


def _check_there(layout: _Layout) -> None:
    if not layout.path.exists():
        raise refuse(layout.path, f"missing, and it holds the voxels of {layout.path.stem}.hdr; both files are needed")


def _view(volume: NDArray[np.uint8], layout: _Layout) -> NDArray:
    """(colours, *shape), without copying."""
    return volume.view(layout.dtype).reshape(*layout.shape[::-1], layout.colours).T


# ---------------------------------------------------------------- writing
def write(image: Image, path: Path, packed: bool) -> list[bytes | memoryview]:
    """The parts of the file that hold ``image`` (to be written one after the other).

    sform and qform are both set, and equal; a sheared grid is exact in the sform alone, with an `InputWarning`.
    """
    voxels = [fortran(channel.astype(stored_type(image), copy=False)) for channel in image.data]
    parts = [header_bytes(image, voxels[0].dtype, path), *map(memoryview, voxels)]
    return pack(parts, strategy=packing(image)) if packed else parts


def packing(image: Image) -> int:
    """zlib's strategy: among floats longer matches are rare, and searching for them takes most of the time."""
    return zlib.Z_DEFAULT_STRATEGY if image.is_label else zlib.Z_RLE


def stored_type(image: Image) -> np.dtype:
    """float32 for intensities, the smallest integer that holds all labels otherwise."""
    if not image.is_label:
        return np.dtype(np.float32)
    low, high = (int(image.data.min()), int(image.data.max())) if image.data.size else (0, 0)
    types = (np.uint8, np.int16, np.uint16, np.int32)
    return np.dtype(next(t for t in types if np.iinfo(t).min <= low and high <= np.iinfo(t).max))


def fortran(array: NDArray) -> NDArray:
    """A C-ordered array with its axes reversed, C-ordered: the bytes of Fortran order, plane by plane to stay in the cache."""
    if array.ndim < 3:
        return np.ascontiguousarray(array.T)
    out = np.empty(array.shape[::-1], array.dtype)
    for j in range(array.shape[1]):
        out[:, j] = array[:, j].T
    return out


def header_bytes(image: Image, dtype: np.dtype, path: Path, frames: int = 1, step: float = 1.0) -> bytes:
    """Header and empty extension flag of a single-file NIfTI, version 2 where a size needs it; ``frames`` images, ``step`` s apart."""
    second = max(*image.grid.shape, frames) > 32767
    raw = np.zeros((), (_NIFTI2 if second else _NIFTI1).newbyteorder("<"))
    size = raw.dtype.itemsize
    raw["sizeof_hdr"], raw["vox_offset"], raw["magic"] = size, size + 4, b"n+2\0\r\n\x1a\n" if second else b"n+1"
    raw["datatype"], raw["bitpix"] = _CODES[dtype], dtype.itemsize * 8
    raw["scl_slope"], raw["descrip"] = 1, b"voxalign"
    shape = image.grid.shape
    if image.channels > 1 or frames > 1:
        shape = (*shape, *(1,) * (3 - image.dim), frames, *((image.channels,) if image.channels > 1 else ()))
    raw["dim"] = [len(shape), *shape, *(1,) * (7 - len(shape))]
    raw["intent_code"] = _VECTOR if image.channels > 1 else _LABEL if image.is_label else 0
    affine = embed(image.grid.affine)
    handedness, quaternion = _nearest_rotation(affine)
    raw["pixdim"] = [handedness, *np.linalg.norm(affine[:3, :3], axis=0), step, *(1,) * 3]
    raw["xyzt_units"] = 10 if frames > 1 else 2  # seconds; mm
    raw["quatern"], raw["qoffset"], raw["srow"] = quaternion, affine[:3, 3], affine[:3]
    raw["qform_code"] = raw["sform_code"] = 1
    _warn_sheared(image.grid, path)
    return raw.tobytes() + b"\0" * 4


def embed(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """A (3, 3) affine of a plane as (4, 4): the axial plane z = 0, 1 mm thick; (4, 4) as it is."""
    if len(affine) == 4:
        return affine
    out = np.eye(4)
    out[np.ix_([0, 1, 3], [0, 1, 3])] = affine
    return out


def _warn_sheared(grid: Grid, path: Path) -> None:
    if not grid.is_orthogonal:
        warn(path, "the grid is sheared; the sform holds it exactly, the qform the nearest rotation "
                   "(programs that read the qform only will be off)")


def _nearest_rotation(affine: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Handedness (1 or -1) and the quaternion (b, c, d) of the rotation nearest to the axes of ``affine``."""
    direction = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(direction)
    rotation = left @ right
    handedness = -1.0 if np.linalg.det(rotation) < 0 else 1.0
    rotation[:, 2] *= handedness
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    symmetric = np.array([[xx + yy + zz, zy - yz, xz - zx, yx - xy], [0, xx - yy - zz, xy + yx, xz + zx],
                          [0, 0, yy - xx - zz, yz + zy], [0, 0, 0, zz - xx - yy]])
    quaternion = np.linalg.eigh(symmetric, "U")[1][:, -1]  # of the largest eigenvalue: stable for every angle (Bar-Itzhack 2000)
    return handedness, quaternion[1:] * (-1 if quaternion[0] < 0 else 1)
