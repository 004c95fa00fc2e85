"""Loading, saving and describing, whatever the format."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import voxalign.io as vio
from voxalign.core import Grid, Image, InputError, InputWarning

SUFFIXES = (".nii", ".nii.gz", ".mha", ".nrrd", ".mgz", ".mgh")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["image", "labels"])
def test_round_trip(suffix: str, kind: str, grid: Grid, rng: np.random.Generator, tmp_path: Path) -> None:
    if grid.dim == 2 and suffix.startswith(".mg"):
        pytest.skip("MGH is 3-D")
    image = Image(rng.normal(size=grid.shape), grid) if kind == "image" else Image(rng.integers(0, 2035, grid.shape), grid, is_label=True)
    path = tmp_path / f"a{suffix}"
    with warnings.catch_warnings():
        if not grid.is_orthogonal:
            warnings.simplefilter("ignore", InputWarning)
        vio.save(image, path)
        loaded = vio.load(path, is_label=image.is_label)
    assert np.array_equal(loaded.data, image.data) and loaded.is_label == image.is_label
    assert loaded.grid.is_close(grid, 1e-4)
    assert loaded.data.flags.c_contiguous and loaded.mask is None


@pytest.mark.parametrize("name", ["a", "a.txt", "a.jpg", "a.mhd", "a.gz", "a.nii.bz2"])
def test_unknown_suffix_is_refused_on_writing(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.nii\.gz"):
        vio.save(Image.from_array(np.ones((9, 9, 9))), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["-a.nii.gz", "sp ace.nii", "Bär 🧠.mha", "new\nline.nrrd", "UPPER.NII.GZ"])
def test_odd_names(name: str, tmp_path: Path) -> None:
    image = Image.from_array(np.arange(729.0).reshape(9, 9, 9))
    vio.save(image, tmp_path / name)
    assert np.array_equal(vio.load(tmp_path / name).data, image.data)
    assert np.array_equal(vio.load(str(tmp_path / name)).data, image.data)


@pytest.mark.parametrize("suffix", ".nii .nii.gz .hdr .mha .mhd .nrrd .nhdr .mgz .png .jpg .tif .dcm .txt .".split())
@pytest.mark.parametrize("content", [b"", b"\0", b"plain text\n" * 100, bytes(range(256)) * 8, b"\x1f\x8b" + bytes(500)])
def test_renamed_rubbish_is_refused_in_one_line(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    for read in (vio.load, vio.describe):
        with pytest.raises(InputError) as error:
            read(path)
        assert "\n" not in str(error.value) and str(path) in str(error.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.nii")
    with pytest.raises(InputError, match="not an ordinary file"):
        vio.load(tmp_path / "a.nii")


def test_describe_is_json_and_reads_no_voxels(tmp_path: Path, rng: np.random.Generator) -> None:
    affine = np.array([[0, 0, 3, 5], [-2, 0, 0, 6], [0, 1.5, 0, 7], [0, 0, 0, 1.0]])
    nib.save(nib.Nifti1Image(rng.integers(0, 9, (8, 9, 10, 3)).astype(np.int16), affine), tmp_path / "a.nii")
    whole = vio.describe(tmp_path / "a.nii")
    assert json.loads(json.dumps(whole)) == whole
    assert whole["shape"] == [8, 9, 10] and whole["frames"] == 3 and whole["axes"] == "PSR" and whole["type"] == "int16"
    assert whole["orientation"][0] == "axis 0 runs from anterior to posterior"
    assert np.allclose(whole["spacing_mm"], [2, 1.5, 3]) and whole["format"] == "NIfTI-1" and whole["sform_code"] == "aligned"


def test_describe_repeats_the_warnings(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.ones((8, 9, 10), np.float32), np.eye(4))
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "a.nii")
    assert any("metre" in text for text in vio.describe(tmp_path / "a.nii")["warnings"])


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").write_bytes(b"")
    assert vio.sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    before = vio.sha256(tmp_path)
    (tmp_path / "b").write_bytes(b"x")
    assert vio.sha256(tmp_path) != before
    with pytest.raises(InputError):
        vio.sha256(tmp_path / "missing")


def test_anything_that_is_an_image_is_saved(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.random((6, 7, 8)).astype(np.float32)
    for thing in (values, nib.Nifti1Image(values, np.eye(4))):
        vio.save(thing, tmp_path / "a.nii.gz")
        assert np.array_equal(vio.load(tmp_path / "a.nii.gz").array, values)
    with pytest.raises(InputError):
        vio.save("missing.nii", tmp_path / "b.nii")


def test_negative_values_stay(tmp_path: Path) -> None:
    values = np.linspace(-1024, -200, 512).reshape(8, 8, 8).astype(np.int16)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii.gz")
    assert np.array_equal(vio.load(tmp_path / "a.nii.gz").array, values)


def test_import_is_cheap() -> None:
    heavy = "nibabel SimpleITK pydicom torch PIL h5py matplotlib".split()
    code = f"import sys, voxalign.io as io; io.load, io.save; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert set(vio.__all__) <= set(dir(vio))


def test_mgh_is_what_nibabel_writes_and_reads(grid3: Grid, rng: np.random.Generator, tmp_path: Path) -> None:
    values = rng.integers(0, 99, (*grid3.shape, 2)).astype(np.int16)
    nib.save(nib.MGHImage(values, grid3.affine), tmp_path / "a.mgz")
    loaded = vio.load(tmp_path / "a.mgz", frame=1)
    assert np.array_equal(loaded.array, values[..., 1]) and np.allclose(loaded.grid.affine, nib.load(tmp_path / "a.mgz").affine, atol=1e-5)
    vio.save(loaded, tmp_path / "b.mgz")
    back = nib.load(tmp_path / "b.mgz")
    assert np.allclose(back.affine, grid3.affine, atol=1e-4) and np.array_equal(np.asarray(back.dataobj), values[..., 1])


def test_mgh_without_orientation_is_said(tmp_path: Path) -> None:
    nib.save(nib.MGHImage(np.ones((8, 9, 10), np.float32), np.eye(4)), tmp_path / "a.mgh")
    raw = bytearray((tmp_path / "a.mgh").read_bytes())
    raw[28:30] = b"\0\0"
    (tmp_path / "a.mgh").write_bytes(raw)
    with pytest.warns(InputWarning, match="nothing of orientation"):
        loaded = vio.load(tmp_path / "a.mgh")
    assert loaded.grid.axes == "LIA"  # FreeSurfer's coronal default; nibabel 5.4 has its transpose
    assert np.allclose(loaded.grid.world((4, 4.5, 5)), 0)


@pytest.mark.parametrize("cut", [10, 100, 283, 290, 3000])
def test_truncated_mgh_is_refused(cut: int, tmp_path: Path) -> None:
    nib.save(nib.MGHImage(np.ones((8, 9, 10), np.float32), np.eye(4)), tmp_path / "a.mgh")
    (tmp_path / "a.mgh").write_bytes((tmp_path / "a.mgh").read_bytes()[:min(cut, 2900)])
    with pytest.raises(InputError):
        vio.load(tmp_path / "a.mgh")
