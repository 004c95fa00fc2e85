"""Arrays, tensors, nibabel and SimpleITK images, in and out."""
from __future__ import annotations

import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from spaces import itk_image
from tolerances import SAME_PLACE_MM

from voxalign import io
from voxalign.core import Grid, Image, InputError, InputWarning


def test_arrays_and_tensors(rng: np.random.Generator) -> None:
    values = rng.integers(0, 9, (4, 5, 6)).astype(np.int16)
    for thing in (values, torch.from_numpy(values), torch.tensor(values, dtype=torch.float32, requires_grad=True)):
        image = io.as_image(thing)
        assert np.array_equal(image.array, values) and np.array_equal(image.grid.affine, np.eye(4)) and not image.is_label
    assert io.as_image(values, is_label=True).data.dtype == np.int16
    assert io.as_image(values[0]).dim == 2


def test_images_and_paths(tmp_path: Path, rng: np.random.Generator) -> None:
    image = Image.from_array(rng.integers(0, 9, (6, 7, 8)))
    assert io.as_image(image) is image
    assert io.as_image(image, is_label=True).is_label
    io.save(image, tmp_path / "a.nii.gz")
    for path in (tmp_path / "a.nii.gz", str(tmp_path / "a.nii.gz")):
        assert np.array_equal(io.as_image(path).data, image.data) and io.as_image(path, is_label=True).is_label


@pytest.mark.parametrize("thing", [None, 3, [[1, 2], [3, 4]], np.ones(3), np.ones((2, 2, 2, 2)), np.ones((3, 3), complex), object()])
def test_other_things_are_refused(thing: object) -> None:
    with pytest.raises(InputError):
        io.as_image(thing)


def test_nibabel(grid3: Grid, rng: np.random.Generator) -> None:
    values = rng.random(grid3.shape).astype(np.float32)
    for kind in (nib.Nifti1Image, nib.Nifti2Image, nib.MGHImage):
        image = io.as_image(kind(values if kind is nib.Nifti1Image else values[..., None], grid3.affine))
        assert np.array_equal(image.array, values) and image.grid.is_close(grid3, SAME_PLACE_MM)
    back = io.to_nibabel(image)
    assert np.array_equal(np.asarray(back.dataobj), values) and np.allclose(back.affine, grid3.affine, atol=SAME_PLACE_MM)


def test_nibabel_frames_units_and_planes(rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="slicer"):
        io.as_image(nib.Nifti1Image(np.ones((4, 5, 6, 2), np.float32), np.eye(4)))
    metres = nib.Nifti1Image(np.ones((4, 5, 6), np.float32), np.diag([0.002, 0.002, 0.002, 1]))
    metres.header.set_xyzt_units("meter")
    with pytest.warns(InputWarning, match="meter"):
        assert np.allclose(io.as_image(metres).grid.spacing, 2)
    flat = io.as_image(nib.Nifti1Image(rng.random((4, 5)).astype(np.float32), np.diag([2.0, 3, 1, 1])))
    assert flat.dim == 2 and np.allclose(flat.grid.spacing, (2, 3))


def test_to_nibabel_is_what_save_writes(grid: Grid, rng: np.random.Generator, tmp_path: Path) -> None:
    labels = Image(rng.integers(0, 999, grid.shape), grid, is_label=True)
    for image in (Image(rng.random(grid.shape), grid), Image(rng.random((3, *grid.shape)), grid), labels):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)
            io.save(image, tmp_path / "a.nii")
        stored, made = nib.load(tmp_path / "a.nii"), io.to_nibabel(image)
        assert stored.shape == made.shape and stored.get_data_dtype() == made.get_data_dtype()
        assert np.array_equal(np.asarray(stored.dataobj), np.asarray(made.dataobj))
        assert np.allclose(stored.affine, made.affine, atol=1e-5)


def test_simpleitk(grid_orthogonal: Grid, rng: np.random.Generator) -> None:
    values = rng.random(grid_orthogonal.shape).astype(np.float32)
    image = io.as_image(itk_image(values, grid_orthogonal))
    assert np.array_equal(image.array, values) and image.grid.is_close(grid_orthogonal, SAME_PLACE_MM)
    back = io.to_sitk(image)
    assert np.array_equal(sitk.GetArrayFromImage(back).T, values)
    index = [n - 1 for n in grid_orthogonal.shape]
    lps = grid_orthogonal.world(index) * [-1, -1, 1][:grid_orthogonal.dim]
    assert np.allclose(back.TransformIndexToPhysicalPoint(index), lps, atol=SAME_PLACE_MM)


def test_simpleitk_vectors_labels_and_frames(grid_orthogonal: Grid, rng: np.random.Generator) -> None:
    values = rng.random((3, *grid_orthogonal.shape)).astype(np.float32)
    image = io.as_image(itk_image(values, grid_orthogonal, vector=True))
    assert np.array_equal(image.data, values)
    assert np.array_equal(io.as_image(io.to_sitk(image)).data, values)
    labels = Image(rng.integers(0, 300, grid_orthogonal.shape), grid_orthogonal, is_label=True)
    assert io.to_sitk(labels).GetPixelID() == sitk.sitkInt16
    with pytest.raises(InputError, match="4-D"):
        io.as_image(sitk.Image([2, 2, 2, 2], sitk.sitkFloat32))


def test_sheared_grid_to_simpleitk_is_said(rng: np.random.Generator) -> None:
    grid = Grid((4, 5, 6), [[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    with pytest.warns(InputWarning, match="sheared"):
        back = io.to_sitk(Image(rng.random((4, 5, 6)), grid))
    assert io.as_image(back).grid.is_close(grid)
