"""MetaImage and NRRD: the same as SimpleITK where that is right, refusals where it guesses."""
from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from spaces import itk_image
from tolerances import SAME_PLACE_MM

from voxalign import io
from voxalign.core import Grid, Image, InputError, InputWarning, SecurityError


@pytest.fixture
def meta(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A good uncompressed .mha of 6 x 7 x 8 int16."""
    image = sitk.GetImageFromArray(rng.integers(0, 99, (8, 7, 6)).astype(np.int16))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    return tmp_path / "a.mha"


@pytest.fixture
def nrrd(tmp_path: Path, rng: np.random.Generator) -> Path:
    image = sitk.GetImageFromArray(rng.integers(0, 99, (8, 7, 6)).astype(np.int16))
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    return tmp_path / "a.nrrd"


def edited(path: Path, old: str, new: str) -> Path:
    raw = path.read_bytes()
    assert old.encode() in raw
    path.write_bytes(raw.replace(old.encode(), new.encode(), 1))
    return path


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd", ".nhdr"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_what_simpleitk_writes(suffix: str, packed: bool, dtype: str, grid_orthogonal: Grid, rng, tmp_path: Path) -> None:
    values = rng.integers(0, 100, grid_orthogonal.shape).astype(dtype)
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(itk_image(values, grid_orthogonal), str(path), packed)
    loaded = io.load(path)
    assert np.array_equal(loaded.array, values) and loaded.grid.is_close(grid_orthogonal, SAME_PLACE_MM)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd", ".nhdr", ".mhd"])
def test_vectors(suffix: str, grid_orthogonal: Grid, rng: np.random.Generator, tmp_path: Path) -> None:
    values = rng.random((grid_orthogonal.dim, *grid_orthogonal.shape)).astype(np.float32)
    sitk.WriteImage(itk_image(values, grid_orthogonal, vector=True), str(tmp_path / f"a{suffix}"), True)
    with pytest.raises(InputError, match="values a voxel"):
        io.load(tmp_path / f"a{suffix}")
    assert np.array_equal(io.load(tmp_path / f"a{suffix}", channel="all").data, values)
    assert np.array_equal(io.load(tmp_path / f"a{suffix}", channel=1).array, values[1])


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_simpleitk_reads_what_is_written(suffix: str, grid_orthogonal: Grid, rng: np.random.Generator, tmp_path: Path) -> None:
    image = Image(rng.random((2, *grid_orthogonal.shape)), grid_orthogonal)
    io.save(image, tmp_path / f"a{suffix}")
    read = sitk.ReadImage(str(tmp_path / f"a{suffix}"))
    order = (grid_orthogonal.dim, *range(grid_orthogonal.dim - 1, -1, -1))
    assert np.array_equal(sitk.GetArrayFromImage(read).transpose(order), image.data)
    assert io.as_image(read).grid.is_close(grid_orthogonal, SAME_PLACE_MM)


def test_frames(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.random((3, 5, 6, 7)).astype(np.float32)
    whole = sitk.JoinSeries([sitk.GetImageFromArray(v) for v in values])
    for suffix in (".mha", ".nrrd"):
        sitk.WriteImage(whole, str(tmp_path / f"a{suffix}"))
    with pytest.raises(InputError, match="3 frames"):
        io.load(tmp_path / "a.mha")
    assert np.array_equal(io.load(tmp_path / "a.mha", frame=2).array, values[2].T)


@pytest.mark.parametrize(("old", "new"), [
    ("ElementSpacing = 1 1 1", "ElementSpacing = 1 0 1"), ("ElementSpacing = 1 1 1", "ElementSpacing = 1 -1 1"),
    ("ElementSpacing = 1 1 1", "ElementSpacing = 1 nan 1"), ("ElementSpacing = 1 1 1", "ElementSpacing = 1 1"),
    ("ElementSpacing = 1 1 1\n", ""), ("DimSize = 6 7 8", "DimSize = 6 7 9000"), ("DimSize = 6 7 8", "DimSize = 6 7 -8"),
    ("DimSize = 6 7 8", "DimSize = 6 7 x"), ("NDims = 3", "NDims = 7"), ("MET_SHORT", "MET_SHIRT"),
    ("BinaryData = True", "BinaryData = False"),
    ("TransformMatrix = 1 0 0 0 1 0 0 0 1", "TransformMatrix = 1 0 0 1 0 0 0 0 1"), ("Offset = 0 0 0", "Offset = 0 nan 0"),
    ("ElementDataFile = LOCAL", "ElementDataFile = LIST"), ("ElementDataFile = LOCAL", "ElementDataFile = gone.raw"),
    ("CompressedData = False", "CompressedData = True")])
def test_damaged_meta_is_refused(old: str, new: str, meta: Path) -> None:
    with pytest.raises(InputError):
        io.load(edited(meta, old, new))


@pytest.mark.parametrize(("old", "new"), [
    ("(1,0,0)", "(0,0,0)"), ("(1,0,0)", "(nan,0,0)"), ("(1,0,0)", "(0,1,0)"), ("(1,0,0)", "(1,0)"), ("sizes: 6 7 8", "sizes: 6 7 9000"),
    ("sizes: 6 7 8", "sizes: 6 7"), ("sizes: 6 7 8", "sizes: 0 7 8"), ("type: short", "type: block"), ("encoding: raw", "encoding: hex"),
    ("endian: little", "endian: middle"), ("endian: little\n", ""), ("left-posterior-superior", "scanner-xyz"),
    ("(0,0,0)\n\n", "(0,inf,0)\n\n"),
    ("NRRD000", "NRDR000"), ("encoding: raw", "encoding: gzip")])
def test_damaged_nrrd_is_refused(old: str, new: str, nrrd: Path) -> None:
    with pytest.raises(InputError):
        io.load(edited(nrrd, old, new))


def test_truncated_files_are_refused(meta: Path, nrrd: Path) -> None:
    for path in (meta, nrrd):
        raw = path.read_bytes()
        for cut in (0, 5, 60, len(raw) - 700, len(raw) - 1):
            path.write_bytes(raw[:cut])
            with pytest.raises(InputError):
                io.load(path)


def test_trailing_bytes_are_said(meta: Path, nrrd: Path) -> None:
    for path in (meta, nrrd):
        path.write_bytes(path.read_bytes() + b"more")
        with pytest.warns(InputWarning, match="4 bytes after"):
            io.load(path)


@pytest.mark.parametrize("name", ["../secret.raw", "/etc/passwd", "sub/../../secret.raw"])
def test_data_files_elsewhere_are_refused(name: str, meta: Path, nrrd: Path, tmp_path: Path) -> None:
    with pytest.raises(SecurityError, match="outside"):
        io.load(edited(meta, "ElementDataFile = LOCAL", f"ElementDataFile = {name}"))
    with pytest.raises(SecurityError, match="outside"):
        io.load(edited(nrrd, "encoding: raw", f"encoding: raw\ndata file: {name}"))


def test_spaces_and_units_of_nrrd(nrrd: Path) -> None:
    assert io.load(nrrd).grid.axes == "LPS"
    assert io.load(edited(nrrd, "left-posterior-superior", "right-anterior-superior")).grid.axes == "RAS"
    assert io.load(edited(nrrd, "right-anterior-superior", "LAS")).grid.axes == "LAS"
    with pytest.warns(InputWarning, match="converted from cm"):
        grid = io.load(edited(nrrd, "encoding: raw", 'space units: "cm" "cm" "cm"\nencoding: raw')).grid
    assert np.allclose(grid.spacing, 10)


def test_units_and_order_of_meta(meta: Path) -> None:
    values = io.load(meta).array
    with pytest.warns(InputWarning, match="converted from cm"):
        assert np.allclose(io.load(edited(meta, "NDims = 3", "NDims = 3\nDistanceUnits = cm")).grid.spacing, 10)
    swapped = edited(edited(meta, "DistanceUnits = cm\n", ""), "BinaryDataByteOrderMSB = False", "BinaryDataByteOrderMSB = True")
    assert np.array_equal(io.load(swapped).array, values.astype(np.int16).byteswap())


def test_meta_without_orientation_is_said(meta: Path) -> None:
    with pytest.warns(InputWarning, match="nothing of orientation"):
        assert io.load(edited(meta, "TransformMatrix = 1 0 0 0 1 0 0 0 1\n", "")).grid.axes == "LPS"


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_sheared_grids_are_kept(suffix: str, rng: np.random.Generator, tmp_path: Path) -> None:
    affine = np.array([[1, 0.25, 0, 3], [0, 1.5, 0.5, 4], [0, 0, 2, 5], [0, 0, 0, 1.0]])
    image = Image(rng.random((6, 7, 8)), Grid((6, 7, 8), affine))
    with pytest.warns(InputWarning, match="sheared"):
        io.save(image, tmp_path / f"a{suffix}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.allclose(io.load(tmp_path / f"a{suffix}").grid.affine, affine, atol=1e-12)
