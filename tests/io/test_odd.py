"""Every file of the collection of odd and damaged ones gets the outcome it should."""
from __future__ import annotations

import os
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from voxalign import io
from voxalign.core import InputError, InputWarning
from voxalign.io.image import _SUFFIXES, _suffix

ROOT = Path(os.environ.get("VOXALIGN_TEST_DATA", "")) / "odd" if os.environ.get("VOXALIGN_TEST_DATA") else None
FILES = sorted(p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if p.is_file()) if ROOT else []

# file name -> (shape, axes, words of the warnings); whatever else loads fails the test
LOADED = {
    "anatomical.nii": ((33, 41, 25), "LAS", ()),  # big-endian
    "reoriented_anat_moved.nii": ((21, 26, 22), "RAS", ()),
    "resampled_anat_moved.nii": ((17, 21, 3), "LAS", ("153 voxels",)),
    "standard.nii.gz": ((4, 5, 7), "RAS", ()),
    "FLAIR.nrrd": ((124, 160, 140), "RAS", ()),
    "avg152T1_RL_nifti.nii.gz": ((91, 109, 91), "RAS", ()),
    "mha.mha": ((64, 64, 37), "LAS", ()),
    "ras.hdr": ((62, 41, 34), "RAS", ()),
    "ras.img": ((62, 41, 34), "RAS", ()),
    "shear.nii.gz": ((306, 422, 54), "RAS", ("disagree by up to 35.6 mm",)),
    "enh.dcm": ((64, 64, 6), "LPS", ()),
    "slicethickness_empty_string.dcm": ((384, 384, 1), "PIR", ()),
    "decimal_rescale.dcm": ((128, 96, 1), "LPS", ()),
}
REFUSED = {  # file name -> words of the message
    "example4d.nii.gz": "2 frames", "example_nifti2.nii.gz": "2 frames", "functional.nii": "20 frames", "test.mgz": "2 frames",
    "row_major.dconn.nii": "CIFTI", "complex.nii.gz": "magnitude", "ct_perfusion.nii.gz": "colour",
    "analyze.hdr": "both files", "nifti1.hdr": "both files", "nifti2.hdr": "both files",
    "0.dcm": "mosaic", "1.dcm": "mosaic", "csa_slice_norm.dcm": "mosaic",
}


@pytest.mark.skipif(not FILES, reason="needs real images: set VOXALIGN_TEST_DATA to their folder")
@pytest.mark.parametrize("name", FILES or ["none"])
def test_outcome(name: str) -> None:
    path = ROOT / name
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        if path.name in LOADED:
            image = io.load(path)
            shape, axes, words = LOADED[path.name]
            assert (image.grid.shape, image.grid.axes) == (shape, axes)
            assert len(said) == len(words) and all(w in str(s.message) for w, s in zip(words, said, strict=True))
            return
        with pytest.raises(InputError) as error:
            io.load(path)
    message = str(error.value)
    assert path.name in message and "\n" not in message
    expected = REFUSED.get(path.name, "gunzip" if _suffix(path) == ".dcm.gz" else "not known")
    assert expected in message
    assert _suffix(path) not in _SUFFIXES or path.name in REFUSED
    assert all(issubclass(s.category, InputWarning) for s in said)


def nifti_files(data: Path) -> list[Path]:
    known = ("anatomical.nii", "reoriented_anat_moved.nii", "standard.nii.gz", "avg152T1_RL_nifti.nii.gz", "ras.hdr", "shear.nii.gz")
    return [p for p in (data / "odd").rglob("*") if p.name in known]


def test_values_and_places_are_nibabels(data: Path) -> None:
    for path in nifti_files(data):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)
            image = io.load(path)
        other = nib.load(path)
        assert np.array_equal(image.array, other.get_fdata(dtype=np.float32)) and np.array_equal(image.grid.affine, other.affine)


def test_frames_are_nibabels(data: Path) -> None:
    folder = data / "odd" / "nibabel" / "nibabel" / "tests" / "data"
    for name in ("example4d.nii.gz", "example_nifti2.nii.gz", "functional.nii", "test.mgz"):
        other = nib.load(folder / name)
        for k in (0, other.shape[3] - 1):
            image = io.load(folder / name, frame=k)
            assert np.array_equal(image.array, other.get_fdata()[..., k].astype(np.float32))
            assert np.allclose(image.grid.affine, other.affine, atol=1e-6)


def test_itk_formats_and_dicom_are_simpleitks(data: Path) -> None:
    for name in ("FLAIR.nrrd", "mha.mha", "enh.dcm"):
        image, other = io.load(data / "odd" / "niivue" / name), io.as_image(sitk.ReadImage(str(data / "odd" / "niivue" / name)))
        assert np.array_equal(image.data, other.data) and image.grid.is_close(other.grid)


def test_pictures_and_headers_of_known_transforms_are_simpleitks(data: Path) -> None:
    paths = [p for p in sorted((data / "slices2d").rglob("*")) if p.suffix in (".png", ".mhd", ".mha", ".nhdr", ".jpg")]
    assert paths
    for path in paths:
        try:
            other = io.as_image(sitk.ReadImage(str(path)))
        except RuntimeError:  # its data file is not in the collection
            with pytest.raises(InputError):
                io.load(path)
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)
            image = io.load(path, channel="all" if io.describe(path)["kind"] == "colour" else None)
        assert image.grid.is_close(other.grid), path
        values = other.data[:1] if image.channels < other.channels else other.data  # a palette of greys is colour to ITK
        assert np.array_equal(image.data, values) if path.suffix != ".jpg" else np.abs(image.data - values).max() <= 2


def test_landmarks_of_histology(data: Path) -> None:
    folder = data / "histology" / "landmarks"
    with pytest.warns(InputWarning, match="pixels"):
        table = io.load_points(folder / "artificial_reference.csv")
    assert np.array_equal(table.coordinates, io.load_points(folder / "artificial_reference.pts").coordinates)
    image = io.load(data / "histology" / "images" / "artificial_reference.jpg", channel="grey")
    assert image.grid.contains(table.coordinates).all()


def test_a_brain_is_read_exactly(data: Path) -> None:
    path = data / "brain" / "subject-a" / "labels.nii.gz"
    labels, other = io.load(path, is_label=True), nib.load(path)
    assert labels.data.dtype == np.int16 and np.array_equal(labels.array, np.asarray(other.dataobj))
    assert np.array_equal(labels.grid.affine, other.affine)
