"""One DICOM series by its physical geometry; what must not be built on silently is refused."""
from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from spaces import rotation
from tolerances import SAME_PLACE_MM

from voxalign import io
from voxalign.core import InputError, InputWarning, SecurityError

SHAPE = (12, 9, 6)  # columns, rows, slices
SPACING = (0.8, 1.1, 2.5)
ORIGIN = np.array([-30.0, 20.0, -100.0])  # LPS
SECRET = "Canary^Patient"


def plane(k: int, pixels: np.ndarray, axes: np.ndarray, series: str = "1.2.3.4") -> Dataset:
    """One classic CT slice at index ``k`` along the third column of ``axes`` (LPS)."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.PatientName, data.PatientID, data.Modality = SECRET, SECRET, "CT"
    data.SeriesInstanceUID, data.FrameOfReferenceUID, data.InstanceNumber = series, "1.2.3.9", 100 - int(k)
    data.ImagePositionPatient = [f"{v:.8g}" for v in ORIGIN + axes[:, 2] * SPACING[2] * k]
    data.ImageOrientationPatient = [f"{v:.10g}" for v in axes[:, :2].T.ravel()]
    data.PixelSpacing, data.SliceThickness = [SPACING[1], SPACING[0]], SPACING[2]
    data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = *pixels.shape, 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.PixelData = pixels.astype("<i2").tobytes()
    return data


@pytest.fixture
def voxels(rng: np.random.Generator) -> np.ndarray:
    """Stored values, (columns, rows, slices)."""
    return rng.integers(0, 2000, SHAPE).astype(np.int16)


@pytest.fixture
def axes() -> np.ndarray:
    return rotation((12, -21, 33))


@pytest.fixture
def series(voxels: np.ndarray, axes: np.ndarray) -> list[Dataset]:
    return [plane(k, voxels[..., k].T, axes) for k in range(SHAPE[2])]


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[list[Dataset]], Path]:
    def write(datasets: list[Dataset]) -> Path:
        order = np.random.default_rng(3).permutation(len(datasets))
        for k, dataset in enumerate(datasets):
            dataset.save_as(tmp_path / f"{order[k]:03d}.dcm", enforce_file_format=True)
        return tmp_path
    return write


def test_placed_by_physical_geometry(series, folder, voxels, axes) -> None:
    path = folder(series)
    image = io.load(path)
    assert np.array_equal(image.array, voxels.astype(np.float32) - 1024)
    lps = ORIGIN + axes @ (np.array(SPACING) * [11, 8, 5])
    assert np.allclose(image.grid.world((11, 8, 5)) * [-1, -1, 1], lps, atol=SAME_PLACE_MM)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
    assert io.as_image(reader.Execute()).grid.is_close(image.grid, SAME_PLACE_MM)


def test_slices_in_any_direction(folder, voxels) -> None:
    """Positions along the negative normal: the grid is the same whichever way they are numbered."""
    image = io.load(folder([plane(-k, voxels[..., k].T, np.eye(3)) for k in range(SHAPE[2])]))
    assert np.array_equal(image.array, voxels[..., ::-1].astype(np.float32) - 1024) and image.grid.origin[2] == -100 - 5 * 2.5


def test_one_file(series, folder) -> None:
    image = io.load(sorted(folder(series[:1]).iterdir())[0])
    assert image.data.shape == (1, 12, 9, 1) and np.allclose(image.grid.spacing, SPACING)


@pytest.mark.parametrize("gone", [1, 2, 4])
def test_missing_slice_is_refused(gone: int, series, folder) -> None:
    with pytest.raises(InputError, match=r"slice is missing: 5\.00 mm"):
        io.load(folder(series[:gone] + series[gone + 1:]))


def test_identical_copies_are_dropped_aloud(series, folder, voxels) -> None:
    with pytest.warns(InputWarning, match="1 identical"):
        assert io.load(folder([*series, series[2]])).grid.shape == SHAPE


def test_different_slices_at_one_place_are_refused(series, folder, voxels, axes) -> None:
    with pytest.raises(InputError, match="several different slices at one position"):
        io.load(folder([*series, plane(2, voxels[..., 3].T, axes)]))


def test_several_series_are_refused_unless_one_is_chosen(series, folder, voxels) -> None:
    path = folder([*series, *(plane(k, voxels[..., k].T, np.eye(3), "1.2.3.5") for k in range(3))])
    with pytest.raises(InputError, match=r"2 series.*1\.2\.3\.5 \(3 CT images\)"):
        io.load(path)
    assert io.load(path, series="1.2.3.5").grid.shape == (12, 9, 3)
    with pytest.raises(InputError, match="no series"):
        io.load(path, series="1.2.3.6")


def test_localiser_and_other_sizes_are_refused(series, folder, voxels, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="orientations"):
        io.load(folder([*series, plane(9, voxels[..., 0].T, np.eye(3)[:, [1, 2, 0]])]))
    series[3].Rows, series[3].Columns = 12, 9
    with pytest.raises(InputError, match="sizes"):
        io.load(folder(series))


def test_gantry_tilt_stays_sheared(voxels, folder) -> None:
    tilted = np.eye(3)
    tilted[1, 2] = np.tan(np.radians(12))
    with pytest.warns(InputWarning, match=r"gantry tilt of 12\.00"):
        image = io.load(folder([plane(k, voxels[..., k].T, tilted) for k in range(SHAPE[2])]))
    assert not image.grid.is_orthogonal
    assert np.allclose(image.grid.world((0, 0, 5)) * [-1, -1, 1], ORIGIN + tilted[:, 2] * 2.5 * 5, atol=SAME_PLACE_MM)


def test_uneven_spacing_is_said(voxels, folder, axes) -> None:
    heights = [0, 1, 2.1, 3, 4, 5]
    with pytest.warns(InputWarning, match=r"apart.*wrong by up to 0\.25 mm"):
        io.load(folder([plane(h, voxels[..., k].T, axes) for k, h in enumerate(heights)]))


def test_slope_of_each_slice(series, folder, voxels) -> None:
    for k, dataset in enumerate(series):
        dataset.Modality, dataset.RescaleSlope, dataset.RescaleIntercept = "PT", 0.5 + k / 8, 0
    expected = voxels * (0.5 + np.arange(SHAPE[2]) / 8)
    assert np.allclose(io.load(folder(series)).array, expected, rtol=1e-6)


def test_bits_that_are_not_stored_are_ignored(series, folder, voxels) -> None:
    for dataset in series:
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 1
        stored = np.frombuffer(dataset.PixelData, "<i2") - 1000
        dataset.PixelData = ((stored & 0x0FFF) | 0x5000).astype("<i2").tobytes()
    assert np.array_equal(io.load(folder(series)).array, voxels.astype(np.float32) - 1000 - 1024)


@pytest.mark.parametrize(("change", "words"), [
    ({"LossyImageCompression": "01"}, "lossy"), ({"RescaleIntercept": None, "RescaleSlope": None}, "Hounsfield"),
    ({"BurnedInAnnotation": "YES"}, "burned"), ({"PhotometricInterpretation": "MONOCHROME1"}, "inverted")])
def test_remarks(change: dict, words: str, series, folder) -> None:
    for dataset in series:
        for name, value in change.items():
            if value is None:
                delattr(dataset, name)
            else:
                setattr(dataset, name, value)
    path = folder(series)
    with pytest.warns(InputWarning, match=words):
        io.load(path)
    assert any(words in text for text in io.describe(path)["warnings"])


@pytest.mark.parametrize("change", [
    {"PixelSpacing": [0, 1]}, {"PixelSpacing": [-1, 1]}, {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
    {"ImageOrientationPatient": [1, 0, 0, 0, 2, 0]}, {"ImageOrientationPatient": [0] * 6}, {"RescaleSlope": 0},
    {"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, {"SamplesPerPixel": 3},
    {"PhotometricInterpretation": "PALETTE COLOR"}, {"Modality": "SEG"}, {"PixelData": b"\0" * 20}, {"PixelData": b""}])
def test_unusable_slices_are_refused(change: dict, series, folder) -> None:
    for name, value in change.items():
        setattr(series[2], name, value)
    with pytest.raises(InputError) as error:
        io.load(folder(series))
    assert "\n" not in str(error.value) and "Canary" not in str(error.value)


@pytest.mark.parametrize("name", ["PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "PixelData"])
def test_missing_elements_are_refused(name: str, series, folder) -> None:
    for dataset in series:
        delattr(dataset, name)
    with pytest.raises(InputError):
        io.load(folder(series))


def test_other_files_in_the_folder(series, folder, tmp_path: Path) -> None:
    report = plane(0, np.zeros((9, 12)), np.eye(3))
    for name in ("Rows", "Columns", "PixelData"):
        delattr(report, name)
    report.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    (tmp_path / "README.txt").write_text("hello")
    (tmp_path / "deeper").mkdir()
    with pytest.warns(InputWarning, match="1 DICOM files without an image"):
        assert io.load(folder(series)).grid.shape == SHAPE


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no DICOM images"):
        io.load(tmp_path)


@pytest.mark.parametrize("cut", [20, 140, 300, 700, -100, -1])
def test_truncated_file_is_refused(cut: int, series, tmp_path: Path) -> None:
    series[0].save_as(tmp_path / "a.dcm", enforce_file_format=True)
    raw = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(raw[:cut])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        with pytest.raises(InputError):
            io.load(tmp_path / "a.dcm")


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_without_preamble(syntax: str, series, voxels, tmp_path: Path) -> None:
    series[0].file_meta.TransferSyntaxUID = syntax
    del series[0].file_meta
    pydicom.dcmwrite(tmp_path / "a.dcm", series[0], implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    with pytest.warns(InputWarning, match="preamble"):
        assert np.array_equal(io.load(tmp_path / "a.dcm").array[..., 0], voxels[..., 0].astype(np.float32) - 1024)


def test_nested_bomb_is_a_security_error(series, tmp_path: Path) -> None:
    series[0].save_as(tmp_path / "a.dcm", enforce_file_format=True)
    raw = (tmp_path / "a.dcm").read_bytes()
    opened = b"\x09\x00\x10\x10SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    at = raw.index(b"\x10\x00\x10\x00PN")
    (tmp_path / "a.dcm").write_bytes(raw[:at] + opened * 20000)
    with pytest.raises((SecurityError, InputError)):
        io.load(tmp_path / "a.dcm")


def test_deflated_bomb_is_a_security_error(series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series[0].file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    series[0].PixelData = bytes(9 << 20)
    series[0].Rows, series[0].Columns = 2048, 2304
    series[0].save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert (tmp_path / "a.dcm").stat().st_size < 1 << 20
    io.load(tmp_path / "a.dcm")
    from voxalign.io import dicom

    monkeypatch.setattr(dicom, "_MAX_INFLATED", 1 << 20)
    with pytest.raises(SecurityError):
        io.load(tmp_path / "a.dcm")


def test_index_is_never_followed(tmp_path: Path) -> None:
    for parts, error in ((["IMAGES", "A"], InputError), (["..", "..", "etc"], SecurityError)):
        index = Dataset()
        index.file_meta = FileMetaDataset()
        index.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        index.file_meta.MediaStorageSOPClassUID, index.file_meta.MediaStorageSOPInstanceUID = "1.2.840.10008.1.3.10", "1.2.3"
        record = Dataset()
        record.DirectoryRecordType = "IMAGE"
        record.add(DataElement("ReferencedFileID", "CS", parts, validation_mode=pydicom.config.IGNORE))
        index.DirectoryRecordSequence = Sequence([record])
        index.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
        with pytest.raises(error):
            io.load(tmp_path / "DICOMDIR")


def enhanced(voxels: np.ndarray, axes: np.ndarray) -> Dataset:
    """A multi-frame file whose frames are stored in a scrambled order, each with its own scale."""
    data = plane(0, voxels[..., 0].T, axes)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(data, name)
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    data.Modality, data.NumberOfFrames = "MR", SHAPE[2]
    shared, tilt, size = Dataset(), Dataset(), Dataset()
    tilt.ImageOrientationPatient = [f"{v:.10g}" for v in axes[:, :2].T.ravel()]
    size.PixelSpacing, size.SliceThickness = [SPACING[1], SPACING[0]], 9
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([tilt]), Sequence([size])
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    order, groups = [3, 0, 5, 1, 4, 2], []
    for k in order:
        own, where, scale = Dataset(), Dataset(), Dataset()
        where.ImagePositionPatient = [f"{v:.8g}" for v in ORIGIN + axes[:, 2] * SPACING[2] * k]
        scale.RescaleSlope, scale.RescaleIntercept = 1 + k, 7
        own.PlanePositionSequence, own.PixelValueTransformationSequence = Sequence([where]), Sequence([scale])
        groups.append(own)
    data.PerFrameFunctionalGroupsSequence = Sequence(groups)
    data.PixelData = np.stack([voxels[..., k].T for k in order]).astype("<i2").tobytes()
    return data


def test_enhanced_multi_frame(voxels, axes, tmp_path: Path) -> None:
    enhanced(voxels, axes).save_as(tmp_path / "a.dcm", enforce_file_format=True)
    for path in (tmp_path / "a.dcm", tmp_path):
        image = io.load(path)
        assert np.allclose(image.array, voxels * (1.0 + np.arange(SHAPE[2])) + 7)
        assert np.allclose(image.grid.spacing, SPACING, atol=1e-5)
        assert np.allclose(image.grid.world((0, 0, 0)) * [-1, -1, 1], ORIGIN, atol=SAME_PLACE_MM)


def test_nothing_of_the_patient_is_told(series, folder) -> None:
    path = folder(series)
    assert "Canary" not in str(io.describe(path)) and io.describe(path)["frame_of_reference"] == "1.2.3.9"


def test_real_series_agrees_with_simpleitk(data: Path) -> None:
    path = data / "abdomen" / "example_ct_dicom"
    image = io.load(path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
    itk = io.as_image(reader.Execute())
    assert np.array_equal(itk.data, image.data) and itk.grid.is_close(image.grid, SAME_PLACE_MM)
    labels = io.load(data / "abdomen" / "example_seg_dicom.nii.gz", is_label=True)
    assert sorted(labels.grid.shape) == sorted(image.grid.shape) and np.allclose(labels.grid.centre, image.grid.centre, atol=0.5)
