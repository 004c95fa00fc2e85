"""World coordinates of voxels: ours, nibabel's and SimpleITK's, on every kind of grid, both ways."""
from __future__ import annotations

import itertools
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from spaces import flip, itk_image
from tolerances import SAME_PLACE_MM

from voxalign import io
from voxalign.core import Grid, Image, InputWarning


def values(grid: Grid) -> np.ndarray:
    """A different number at each voxel."""
    return np.arange(grid.size, dtype=np.float32).reshape(grid.shape)


def corners(grid: Grid) -> list[tuple[int, ...]]:
    return list(itertools.product(*[(0, n - 1) for n in grid.shape]))


def world_by_nibabel(image: nib.spatialimages.SpatialImage, index: tuple[int, ...]) -> np.ndarray:
    return nib.affines.apply_affine(image.affine, (*index, 0)[:3])[:len(index)]


def world_by_itk(image: sitk.Image, index: tuple[int, ...]) -> np.ndarray:
    return flip(len(index)) @ image.TransformIndexToPhysicalPoint([int(i) for i in index])


@pytest.mark.parametrize("codes", [(1, 1), (1, 0), (0, 1)], ids=["both", "sform", "qform"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_nifti_by_nibabel(codes: tuple[int, int], kind: type, grid3: Grid, tmp_path: Path) -> None:
    if not grid3.is_orthogonal and codes[1]:
        pytest.skip("a qform cannot be sheared")
    other = kind(values(grid3), grid3.affine)
    other.set_sform(grid3.affine, codes[0])
    other.set_qform(grid3.affine, codes[1])
    nib.save(other, tmp_path / "a.nii.gz")
    image, other = io.load(tmp_path / "a.nii.gz"), nib.load(tmp_path / "a.nii.gz")
    assert np.array_equal(image.array, values(grid3))
    for index in corners(grid3):
        assert np.allclose(image.grid.world(index), world_by_nibabel(other, index), atol=1e-6)
        assert np.allclose(image.grid.world(index), grid3.world(index), atol=SAME_PLACE_MM)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd"])
def test_files_by_simpleitk(suffix: str, grid_orthogonal: Grid, tmp_path: Path) -> None:
    sitk.WriteImage(itk_image(values(grid_orthogonal), grid_orthogonal), str(tmp_path / f"a{suffix}"))
    image, other = io.load(tmp_path / f"a{suffix}"), sitk.ReadImage(str(tmp_path / f"a{suffix}"))
    assert np.array_equal(image.array, values(grid_orthogonal))
    for index in corners(grid_orthogonal):
        assert np.allclose(image.grid.world(index), world_by_itk(other, index), atol=SAME_PLACE_MM)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd"])
def test_ours_read_by_simpleitk(suffix: str, grid_orthogonal: Grid, tmp_path: Path) -> None:
    io.save(Image(values(grid_orthogonal), grid_orthogonal), tmp_path / f"a{suffix}")
    other = sitk.ReadImage(str(tmp_path / f"a{suffix}"))
    assert other.GetDimension() == grid_orthogonal.dim
    assert np.array_equal(sitk.GetArrayFromImage(other).T, values(grid_orthogonal))
    for index in corners(grid_orthogonal):
        assert np.allclose(world_by_itk(other, index), grid_orthogonal.world(index), atol=SAME_PLACE_MM)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgz"])
def test_ours_read_by_nibabel(suffix: str, grid3: Grid, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if not grid3.is_orthogonal else "error", InputWarning)
        io.save(Image(values(grid3), grid3), tmp_path / f"a{suffix}")
    other = nib.load(tmp_path / f"a{suffix}")
    assert np.array_equal(np.asarray(other.dataobj), values(grid3))
    for index in corners(grid3):
        assert np.allclose(world_by_nibabel(other, index), grid3.world(index), atol=SAME_PLACE_MM)


def test_both_forms_agree_in_what_is_written(grid_orthogonal: Grid, tmp_path: Path) -> None:
    io.save(Image(values(grid_orthogonal), grid_orthogonal), tmp_path / "a.nii")
    header = nib.load(tmp_path / "a.nii").header
    assert np.allclose(header.get_sform(), header.get_qform(), atol=1e-5)


def test_the_same_head_in_any_orientation_is_at_the_same_place(tmp_path: Path) -> None:
    """Flipped and permuted copies of one image agree at every world point."""
    grid = Grid((8, 9, 10), np.diag([1.5, 2.0, 2.5, 1]))
    first = nib.Nifti1Image(values(grid), grid.affine)
    points = grid.points()[2:6, 3:7, 1:9]
    for code in itertools.islice(itertools.product("RL", "AP", "SI"), 8):
        for order in itertools.permutations(range(3)):
            turn = nib.orientations.axcodes2ornt([code[k] for k in order])
            nib.save(first.as_reoriented(nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), turn)), tmp_path / "a.nii")
            image = io.load(tmp_path / "a.nii")
            assert image.grid.axes == "".join(code[k] for k in order)
            index = np.rint(image.grid.index(points)).astype(int)
            assert np.array_equal(image.array[tuple(np.moveaxis(index, -1, 0))], values(grid)[2:6, 3:7, 1:9])
