"""One DICOM series as an image, placed by its physical geometry: classic slices or one enhanced multi-frame file.

Slices are ordered along their normal by Image Position (Patient), never by file name or instance number. What a
registration must not build on silently is refused: missing slices, several series, orientations or volumes.
Geometry: DICOM PS3.3 C.7.6.2 (image plane) and C.7.6.16 (functional groups). DICOM is LPS mm.
No name, date or other identity of a patient appears in messages or details.
"""
from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from ..core import SecurityError, VoxalignError
from .header import Header, check_spacing, from_lps, make_grid, note, refuse, shown
from .stream import open_file

_DEFLATED = "1.2.840.10008.1.2.1.99"
_NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", _DEFLATED}
_LOSSY = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81"}
_PLACE_GROUPS = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
_JPEG_12_BIT = "1.2.840.10008.1.2.4.51"  # pydicom's decoder, Pillow, knows its 8-bit kind only
_MAX_INFLATED = 1 << 30
_SAME_MM = 0.01  # nearer slices are one; more than this off a regular lattice is said
_MISSING = 1.5  # a gap of more than this many usual ones is a missing slice
_TILT = 1e-3  # the tangent of the gantry tilt from which slices count as sheared


@dataclass(frozen=True, eq=False)
class _Slice:
    """One plane: where it is and how to get its values."""

    path: Path
    frame: int | None  # None: the file holds this plane only
    position: NDArray[np.float64]  # LPS mm of the first pixel
    axes: NDArray[np.float64]  # (3, 2) unit vectors along a row (x) and down the columns (y)
    spacing: tuple[float, float]  # along x and y, mm
    shape: tuple[int, int]  # columns, rows
    scale: tuple[float, float]


def read_header(path: Path, series: str | None = None) -> Header:
    """Understand a folder with one series, or a single file.

    Parameters
    ----------
    series : SeriesInstanceUID to take where a folder holds several.

    Raises
    ------
    InputError : no images, several series, orientations, sizes or volumes, missing slices, colour, damaged.
    SecurityError : absurdly nested or packed.
    """
    with _strictly(path):
        return _header(path, series)


def _header(path: Path, series: str | None) -> Header:
    files, notes = _files(path, series)
    if "ImagePositionPatient" not in files[0][1] and "PerFrameFunctionalGroupsSequence" not in files[0][1]:
        return _projection(path, files, notes)
    planes = [plane for file, dataset in files for plane in _slices(file, dataset)]
    _check_same(path, planes)
    slices, twin_notes = _without_twins(path, sorted(planes, key=_height))
    affine, place_notes = _affine(path, slices)
    grid = make_grid(path, (*slices[0].shape, len(slices)), affine)
    datasets = [dataset for _, dataset in files]
    scale = slices[0].scale if len({plane.scale for plane in slices}) == 1 else (1.0, 0.0)
    return Header("DICOM", grid, _dtype(datasets[0]), partial(_read, slices, scale), scale=scale,
                  notes=(*notes, *_notes(path, datasets), *twin_notes, *place_notes), details=_details(datasets))


# ---------------------------------------------------------------- files
def _files(path: Path, series: str | None) -> tuple[list[tuple[Path, Dataset]], tuple[str, ...]]:
    """The image files of one series with their headers."""
    if not path.is_dir():
        _refuse_index(path)
        return [(path, _checked(path, _dataset(path)))], _preamble_note(path)
    found = [(file, dataset) for file in sorted(path.iterdir()) if file.is_file() and _looks_dicom(file)
             for dataset in [_dataset(file)] if "DirectoryRecordSequence" not in dataset]
    images = [(file, dataset) for file, dataset in found if "Rows" in dataset and "Columns" in dataset]
    if not images:
        raise refuse(path, "the folder holds no DICOM images: expected the files of one series (not folders of them)")
    others = len(found) - len(images)
    notes = (note(path, f"{others} DICOM files without an image were ignored"),) if others else ()
    kept = _one_series(path, images, series)
    return [(file, _checked(file, dataset)) for file, dataset in kept], notes


def _looks_dicom(path: Path) -> bool:
    with open_file(path) as file:
        first = file.read(132)
    return first[128:] == b"DICM" or (path.suffix.lower() in (".dcm", ".ima") and _bare(first))


def _bare(first: bytes) -> bool:
    """Whether these bytes start a dataset that lacks the preamble."""
    return first[:2] in (b"\x02\0", b"\x08\0") or first[:4] == b"\0\x08\0\x05"


def _preamble_note(path: Path) -> tuple[str, ...]:
    with open_file(path) as file:
        bare = file.read(132)[128:] != b"DICM"
    return (note(path, "a DICOM file without its preamble; read all the same"),) if bare else ()


def _refuse_index(path: Path) -> None:
    """A DICOMDIR names other files; they are never followed."""
    if path.name.upper() != "DICOMDIR":
        return
    records = _dataset(path).get("DirectoryRecordSequence", [])
    names = [part for record in records for part in np.atleast_1d(record.get("ReferencedFileID", []))]
    if any(part in ("..", ".") or "/" in part or "\\" in part for part in map(str, names)):
        raise SecurityError(note(path, "it points outside its folder: refused"))
    raise refuse(path, "an index of a DICOM medium: give the folder of one series instead")


def _dataset(path: Path) -> Dataset:
    """The header of a file, without pixels."""
    with _strictly(path):
        _check_deflated(path)
        return pydicom.dcmread(path, stop_before_pixels=True, force=True)


@contextmanager
def _strictly(path: Path) -> Iterator[None]:
    """pydicom's many ways to fail as errors that name the file; its remarks about odd headers are dropped."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except VoxalignError:
        raise
    except (RecursionError, MemoryError):
        raise SecurityError(note(path, "absurdly nested or long DICOM elements: refused")) from None
    except InvalidDicomError:
        raise refuse(path, "not a DICOM file, or damaged") from None
    except OSError as error:
        raise refuse(path, f"cannot be read ({error.strerror or 'damaged'}); copy it again") from None
    except Exception as error:  # pydicom raises whatever its parsing runs into
        raise refuse(path, f"damaged or unusual DICOM file ({type(error).__name__}); copy it again or convert it") from None


def _check_deflated(path: Path) -> None:
    """Refuse a deflated file that unpacks to absurdly much, as pydicom would unpack it whole."""
    with open_file(path) as file:
        if file.read(132)[128:] != b"DICM":
            return
        file.seek(0)
        meta = pydicom.filereader.read_partial(file, stop_when=lambda tag, vr, length: tag.group != 2).file_meta
        if meta.get("TransferSyntaxUID") != _DEFLATED:
            return
        file.seek(144 + meta.get("FileMetaInformationGroupLength", 0))
        engine, total = zlib.decompressobj(-15), 0
        while not engine.eof and (block := engine.unconsumed_tail or file.read(1 << 16)):
            total += len(engine.decompress(block, 1 << 20))
            if total > _MAX_INFLATED:
                raise SecurityError(note(path, f"it unpacks to more than {_MAX_INFLATED} bytes: refused"))


def _one_series(path: Path, images: list[tuple[Path, Dataset]], series: str | None) -> list[tuple[Path, Dataset]]:
    groups: dict[str, list[tuple[Path, Dataset]]] = {}
    for file, dataset in images:
        groups.setdefault(str(dataset.get("SeriesInstanceUID", "")), []).append((file, dataset))
    if series is not None and series in groups:
        return groups[series]
    listed = "; ".join(f"{uid or 'none'} ({len(found)} {found[0][1].get('Modality', '')} images)" for uid, found in groups.items())
    if series is not None:
        raise refuse(path, f"no series {series!r} here: expected one of {listed}")
    if len(groups) > 1:
        raise refuse(path, f"the folder holds {len(groups)} series: {listed}; choose one with series=UID or separate them")
    return images


def _checked(path: Path, dataset: Dataset) -> Dataset:
    """Refuse what is not a plane of grey values."""
    if "Rows" not in dataset or "Columns" not in dataset:
        raise refuse(path, f"a DICOM object without an image ({dataset.get('Modality', 'unknown')}): expected CT, MR, PET or the like")
    colour = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if dataset.get("SamplesPerPixel", 1) != 1 or not colour.startswith("MONOCHROME"):
        raise refuse(path, f"colour pixels ({colour}): expected grey values; convert it to a picture first")
    if dataset.get("Modality") == "SEG" or dataset.get("BitsAllocated") == 1:
        raise refuse(path, "a DICOM segmentation: convert it to a NIfTI label map first")
    if "MOSAIC" in [str(word).upper() for word in np.atleast_1d(dataset.get("ImageType", []))]:
        raise refuse(path, "a Siemens mosaic (a volume as tiles of one picture): convert it with dcm2niix first")
    return dataset


# ---------------------------------------------------------------- planes
def _slices(path: Path, dataset: Dataset) -> list[_Slice]:
    with _strictly(path):
        if "PerFrameFunctionalGroupsSequence" in dataset:
            return _enhanced(path, dataset)
        if int(dataset.get("NumberOfFrames") or 1) > 1:
            return _offset_frames(path, dataset)
        return [_plane(path, dataset)]


def _plane(path: Path, dataset: Dataset) -> _Slice:
    """The plane of a classic file."""
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        if not dataset.get(name):
            raise refuse(path, f"it lacks {name}: where it lies in the patient is unknown")
    scale = (float(dataset.DoseGridScaling), 0.0) if "DoseGridScaling" in dataset else _rescale(dataset)
    position, axes, spacing = _checked_place(path, dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.PixelSpacing)
    return _Slice(path, None, position, axes, spacing, _size(dataset), _checked_scale(path, scale))


def _rescale(dataset: Dataset) -> tuple[float, float]:
    """Slope and intercept; what is not given changes nothing."""
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    return float(1 if slope is None else slope), float(0 if intercept is None else intercept)


def _checked_scale(path: Path, scale: tuple[float, float]) -> tuple[float, float]:
    if not all(np.isfinite(scale)) or scale[0] == 0:
        raise refuse(path, f"rescale slope and intercept are {scale}: expected finite numbers, the slope not 0")
    return scale


def _size(dataset: Dataset) -> tuple[int, int]:
    return int(dataset.Columns), int(dataset.Rows)


def _checked_place(path: Path, position: Sequence, orientation: Sequence,
                   spacing: Sequence) -> tuple[NDArray, NDArray, tuple[float, float]]:
    """Position (3,), unit axes (3, 2) and spacing along x and y of a plane."""
    axes = np.array(orientation, np.float64).reshape(2, 3).T
    lengths = np.linalg.norm(axes, axis=0)
    if not np.isfinite(axes).all() or np.abs(lengths - 1).max() > 1e-2 or abs(axes[:, 0] @ axes[:, 1]) > 1e-2:
        raise refuse(path, f"ImageOrientationPatient is {axes.T.ravel().tolist()}: expected two unit vectors at right angles")
    check_spacing(path, "PixelSpacing", [float(v) for v in spacing])
    place = np.array(position, np.float64)
    if place.shape != (3,) or not np.isfinite(place).all():
        raise refuse(path, f"ImagePositionPatient is {[str(v) for v in position]}: expected three numbers")
    return place, axes / lengths, (float(spacing[1]), float(spacing[0]))


def _offset_frames(path: Path, dataset: Dataset) -> list[_Slice]:
    """Frames of a dose grid, which are stacked along the normal."""
    first = _plane(path, dataset)
    count = int(dataset.NumberOfFrames)
    offsets = np.array(dataset.get("GridFrameOffsetVector") or [], np.float64)
    if len(offsets) != count:
        raise refuse(path, f"{count} frames without positions: where they lie in the patient is unknown")
    offsets = offsets - offsets[0]
    return [replace(first, frame=k, position=first.position + offset * _normal(first)) for k, offset in enumerate(offsets)]


def _enhanced(path: Path, dataset: Dataset) -> list[_Slice]:
    """Planes of an enhanced multi-frame file; each functional group is per frame, or shared."""
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    planes = []
    for k, own in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        where, tilt, size = (_group(own, shared, name) for name in _PLACE_GROUPS)
        if where is None or tilt is None or size is None:
            raise refuse(path, f"frame {k} lacks its position, orientation or spacing: where it lies in the patient is unknown")
        scale = _checked_scale(path, _rescale(_group(own, shared, "PixelValueTransformationSequence") or Dataset()))
        place = _checked_place(path, where.ImagePositionPatient, tilt.ImageOrientationPatient, size.PixelSpacing)
        planes.append(_Slice(path, k, *place, _size(dataset), scale))
    return planes


def _group(own: Dataset, shared: Dataset, name: str) -> Dataset | None:
    sequence = own.get(name) or shared.get(name)
    return sequence[0] if sequence else None


def _normal(plane: _Slice) -> NDArray[np.float64]:
    return np.cross(plane.axes[:, 0], plane.axes[:, 1])


def _height(plane: _Slice) -> float:
    return float(plane.position @ _normal(plane))


def _check_same(path: Path, slices: list[_Slice]) -> None:
    """All planes must be parallel, of one size and spacing."""
    first = slices[0]
    for plane in slices[1:]:
        if np.abs(plane.axes - first.axes).max() > 1e-3:
            raise refuse(path, f"slices of several orientations (a localiser?): {shown(plane.path.name)} differs; separate them")
        if plane.shape != first.shape or np.abs(np.subtract(plane.spacing, first.spacing)).max() > 1e-4:
            raise refuse(path, f"slices of several sizes: {_say(plane)}, {_say(first)}; separate them")


def _say(plane: _Slice) -> str:
    return f"{shown(plane.path.name)} has {plane.shape[0]}x{plane.shape[1]} pixels of {plane.spacing[0]:g}x{plane.spacing[1]:g} mm"


def _without_twins(path: Path, slices: list[_Slice]) -> tuple[list[_Slice], tuple[str, ...]]:
    """Identical slices at one place once; different ones are several volumes."""
    kept = slices[:1]
    for plane in slices[1:]:
        if np.linalg.norm(plane.position - kept[-1].position) >= _SAME_MM:
            kept.append(plane)
        elif not np.array_equal(_real(plane), _real(kept[-1])):
            raise refuse(path, f"several different slices at one position ({_height(plane):.2f} mm along the normal): time points, "
                               "echoes or directions? separate them")
    dropped = len(slices) - len(kept)
    return kept, (note(path, f"{dropped} identical copies of slices were dropped"),) if dropped else ()


def _real(plane: _Slice) -> NDArray:
    """Values of a plane, rescaled."""
    return _pixels([plane])[0] * plane.scale[0] + plane.scale[1]


# ---------------------------------------------------------------- geometry
def _affine(path: Path, slices: list[_Slice]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Index (column, row, slice) -> RAS mm; slices that shift sideways (gantry tilt) stay sheared."""
    first, last = slices[0], slices[-1]
    affine = np.eye(4)
    affine[:3, :2] = first.axes * first.spacing
    affine[:3, 3] = first.position
    step, notes = _step(path, slices)
    affine[:3, 2] = step
    sideways = np.linalg.norm(np.cross(step, _normal(first))) / np.linalg.norm(step)
    if len(slices) > 1 and sideways > _TILT:
        degrees = np.degrees(np.arcsin(min(sideways, 1.0)))
        notes += (note(path, f"slices shift sideways (gantry tilt of {degrees:.2f} degrees); the sheared geometry is kept exactly"),)
    if not np.allclose(last.position, first.position + (len(slices) - 1) * step, atol=1e-6):
        raise refuse(path, "the positions of its slices cannot be put on a lattice")
    return from_lps(affine), notes


def _step(path: Path, slices: list[_Slice]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """From one slice to the next, LPS mm, after checking that the steps are equal."""
    if len(slices) == 1:
        return _normal(slices[0]) * _thickness(slices[0]), ()
    positions = np.stack([plane.position for plane in slices])
    gaps = np.diff([_height(plane) for plane in slices])
    usual = float(np.median(gaps))
    if gaps.max() > _MISSING * usual:
        k = int(gaps.argmax())
        where = f"between {shown(slices[k].path.name)} and {shown(slices[k + 1].path.name)}"
        raise refuse(path, f"a slice is missing: {gaps[k]:.2f} mm {where}, {usual:.2f} mm elsewhere; complete the series")
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    off = np.linalg.norm(positions - (positions[0] + np.arange(len(slices))[:, None] * step), axis=1).max()
    if off <= max(_SAME_MM, 1e-3 * usual):
        return step, ()
    uneven = f"slices are {gaps.min():.3f} to {gaps.max():.3f} mm apart"
    return step, (note(path, f"{uneven}; equal steps are assumed, wrong by up to {off:.3g} mm"),)


def _thickness(plane: _Slice) -> float:
    """mm a lone slice stands for."""
    dataset = _dataset(plane.path)
    with _strictly(plane.path):
        for name in ("SpacingBetweenSlices", "SliceThickness"):
            if dataset.get(name) and abs(float(dataset[name].value)) > 0:
                return abs(float(dataset[name].value))
    return 1.0


def _projection(path: Path, files: list[tuple[Path, Dataset]], notes: tuple[str, ...]) -> Header:
    """A picture without a place in the patient (radiograph): 2-D, as pictures are, in mm of the detector if stated."""
    file, dataset = files[0]
    if len(files) > 1:
        raise refuse(path, "its files lack ImagePositionPatient: where they lie in the patient is unknown")
    with _strictly(file):
        spacing = [float(v) for v in dataset.get("PixelSpacing") or dataset.get("ImagerPixelSpacing") or [1, 1]]
        check_spacing(file, "PixelSpacing", spacing)
        grid = make_grid(file, _size(dataset), np.diag([-spacing[1], -spacing[0], 1.0]))
        notes += (*_notes(path, [dataset]), note(path, "it has no position in a patient; a 2-D image from its first pixel is made of it"))
        return Header("DICOM", grid, _dtype(dataset), partial(_read_picture, file), int(dataset.get("NumberOfFrames") or 1),
                      scale=_checked_scale(file, _rescale(dataset)), notes=notes, details=_details([dataset]))


# ---------------------------------------------------------------- remarks
def _notes(path: Path, datasets: list[Dataset]) -> tuple[str, ...]:
    first = datasets[0]
    no_scale = first.get("Modality") == "CT" and "RescaleIntercept" not in first and "PerFrameFunctionalGroupsSequence" not in first
    found = {
        "the pixels went through lossy compression":
            any(str(d.get("LossyImageCompression", "")) == "01" or _syntax(d) in _LOSSY for d in datasets),
        "CT without rescale slope and intercept: values may not be Hounsfield units": no_scale,
        "its header says that text is burned into the pixels (it may identify the patient)":
            any(d.get("BurnedInAnnotation") == "YES" for d in datasets),
        "grey values are inverted (MONOCHROME1); they are kept as stored":
            first.get("PhotometricInterpretation") == "MONOCHROME1",
        "slices of several frames of reference: the patient may have been repositioned":
            len({d.get("FrameOfReferenceUID") for d in datasets}) > 1}
    return tuple(note(path, text) for text, holds in found.items() if holds)


def _syntax(dataset: Dataset) -> str:
    return str(getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID", ""))


def _details(datasets: list[Dataset]) -> dict:
    """What may be shown: nothing that identifies a patient."""
    words = {"modality": "Modality", "series": "SeriesInstanceUID", "frame_of_reference": "FrameOfReferenceUID"}
    shown_words = {key: str(datasets[0].get(name, "")) for key, name in words.items()}
    return {"units": "mm", **shown_words, "files": len(datasets), "transfer_syntax": _syntax(datasets[0])}


def _dtype(dataset: Dataset) -> np.dtype:
    bits, sign = int(dataset.get("BitsAllocated", 16)), "i" if dataset.get("PixelRepresentation") else "u"
    return np.dtype(f"{sign}{bits // 8}") if bits in (8, 16, 32) else np.dtype(np.float32)


# ---------------------------------------------------------------- pixels
def _read(slices: list[_Slice], scale: tuple[float, float], frame: int) -> NDArray:
    """(1, columns, rows, slices); stored values, or real ones where each slice has its own scale."""
    planes = _pixels(slices)
    if any(plane.scale != scale for plane in slices):
        planes = [(p * plane.scale[0] + plane.scale[1]).astype(np.float32) for p, plane in zip(planes, slices, strict=True)]
    return np.stack(planes).transpose(2, 1, 0)[None]


def _read_picture(path: Path, frame: int) -> NDArray:
    pixels = _decoded(path)
    return (pixels if pixels.ndim == 2 else pixels[frame]).T[None]


def _pixels(slices: list[_Slice]) -> list[NDArray]:
    """(rows, columns) of each plane; each file is decoded once."""
    decoded: dict[Path, NDArray] = {}
    planes = []
    for plane in slices:
        if plane.path not in decoded:
            decoded = {plane.path: _decoded(plane.path)}
        pixels = decoded[plane.path]
        planes.append(pixels if pixels.ndim == 2 else pixels[plane.frame or 0])
    return planes


def _decoded(path: Path) -> NDArray:
    """Stored values of a file, (rows, columns) or (frames, rows, columns)."""
    with _strictly(path):
        dataset = pydicom.dcmread(path, force=True)
        if not {"PixelData", "FloatPixelData", "DoubleFloatPixelData"} & {element.keyword for element in dataset}:
            raise refuse(path, "it has a header and no pixels")
        if not _syntax(dataset):
            implicit, little = dataset.original_encoding
            dataset.file_meta = pydicom.dataset.FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2" + ("" if implicit else ".1" if little else ".2")
        if _syntax(dataset) in _NATIVE:
            return _stored_bits(dataset, _native(path, dataset))
        return _unpacked(path, dataset)


def _native(path: Path, dataset: Dataset) -> NDArray:
    try:
        return dataset.pixel_array
    except ValueError as error:
        if "less than expected" not in str(error) and "bytes of pixel data" not in str(error):
            raise
        raise refuse(path, "truncated: it has fewer pixels than its header says; copy it again") from None


def _stored_bits(dataset: Dataset, pixels: NDArray) -> NDArray:
    """Only the bits that are stored: others may hold overlays, or lack the sign."""
    unused = pixels.dtype.itemsize * 8 - int(dataset.get("BitsStored", pixels.dtype.itemsize * 8))
    if unused <= 0 or pixels.dtype.kind not in "iu":
        return pixels
    shifted = np.left_shift(pixels, unused, dtype=pixels.dtype, casting="unsafe")
    return np.right_shift(shifted, unused, dtype=pixels.dtype, casting="unsafe")


def _unpacked(path: Path, dataset: Dataset) -> NDArray:
    """Compressed pixels, by pydicom's decoders where it has them, else by SimpleITK's (slow on damaged files)."""
    from pydicom.pixels import get_decoder

    try:
        decoder = get_decoder(_syntax(dataset))
        has_one = decoder.is_available
    except NotImplementedError:
        has_one = False
    if has_one and _syntax(dataset) != _JPEG_12_BIT:
        with _decoding(path, dataset):
            return dataset.pixel_array
    return _by_itk(path, dataset)


@contextmanager
def _decoding(path: Path, dataset: Dataset) -> Iterator[None]:
    """Whatever decoders raise, as an error that names the transfer syntax."""
    try:
        yield
    except Exception:  # there is no end to what they raise
        syntax = pydicom.uid.UID(_syntax(dataset))
        raise refuse(path, "its pixels are damaged, or compressed in a way that cannot be read here (transfer syntax "
                           f"{syntax}, {syntax.name}); decompress it first") from None


def _by_itk(path: Path, dataset: Dataset) -> NDArray:
    import SimpleITK as sitk

    with _decoding(path, dataset):
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(os.fspath(path))
        pixels = sitk.GetArrayFromImage(reader.Execute())
    slope, intercept = _rescale(dataset)  # ITK has applied them
    if (slope, intercept) != (1.0, 0.0):
        pixels = np.rint((pixels.astype(np.float64) - intercept) / slope)
    return pixels[0] if pixels.shape[0] == 1 else pixels
