import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from filters.inputs import FINE, FLAT, THICK, blob
from spaces import GRIDS, SPATIAL, itk_image, smooth_image
from tolerances import FILTER_PHYSICAL, WORLD_MM

from voxalign import filters
from voxalign.core import Grid, Image, InputError, UsageError, sample


@pytest.mark.parametrize("axes", ["RAS", "LPI", "SAR", "PIL"])
def test_reorient_equals_nibabel_and_itk(grid3, axes, rng):
    image = smooth_image(grid3, rng)
    found = filters.reorient(image, axes=axes)
    turn = nib.orientations.ornt_transform(nib.orientations.io_orientation(grid3.affine), nib.orientations.axcodes2ornt(axes))
    expected = nib.Nifti1Image(image.array, grid3.affine).as_reoriented(turn)
    assert found.grid.axes == axes and np.array_equal(found.array, np.asarray(expected.dataobj))
    assert np.abs(found.grid.affine - expected.affine).max() < WORLD_MM
    if grid3.is_orthogonal and not grid3.is_left_handed:
        other = sitk.DICOMOrient(itk_image(image.array, grid3), axes)
        assert np.array_equal(sitk.GetArrayFromImage(other).T, found.array)


def test_reorient_to_the_nearest_canonical(grid3, rng):
    image = smooth_image(grid3, rng)
    expected = nib.as_closest_canonical(nib.Nifti1Image(image.array, grid3.affine))
    found = filters.reorient(image)
    assert np.array_equal(found.array, np.asarray(expected.dataobj)) and np.abs(found.grid.affine - expected.affine).max() < WORLD_MM


def test_reorient_there_and_back_is_exact(grid, rng):
    image = smooth_image(grid, rng).with_mask(rng.random(grid.shape) > 0.3)
    back = filters.reorient(filters.reorient(image, axes="RAS"[:grid.dim]), axes=grid.axes)
    assert np.array_equal(back.data, image.data) and np.array_equal(back.mask, image.mask)
    assert np.abs(back.grid.affine - grid.affine).max() < WORLD_MM
    with pytest.raises(UsageError, match="one letter each"):
        filters.reorient(image, axes="RRS"[:grid.dim])


def where(image, value) -> np.ndarray:
    """World mm of the voxel with a value."""
    return image.grid.world(np.argwhere(image.array == value)[0])


def numbered(grid) -> Image:
    return Image(np.arange(grid.size, dtype=np.int32).reshape(grid.shape), grid, is_label=True)


def test_crop_and_pad_keep_places(grid):
    labels, value = numbered(grid), grid.size // 2 + grid.shape[-1] // 2
    place, low, high = where(labels, value), *np.sort([grid.points().reshape(-1, grid.dim)[[grid.size // 2 + 1, 3 * grid.size // 5]]], 1)[0]
    assert np.abs(where(filters.pad(labels, margin=3.0), value) - place).max() < WORLD_MM
    cropped = filters.crop(labels, low=tuple(low - 3), high=tuple(high + 3))
    inside = ((grid.points() >= low - 3) & (grid.points() <= high + 3)).all(-1)
    assert set(labels.array[inside]) <= set(cropped.array.ravel())
    for v in labels.array[inside][:5]:
        assert np.abs(where(cropped, v) - where(labels, v)).max() < WORLD_MM


def test_margins_are_mm():
    labels = Image((np.abs(THICK.points()) < 6).all(-1).astype(np.uint8), THICK, is_label=True)
    found = filters.crop_to_foreground(labels, margin=5.0)
    assert (found.array != 0).sum() == (labels.array != 0).sum()
    around = np.argwhere(found.array).min(0) * THICK.spacing
    assert (around >= 5).all() and (around < 5 + THICK.spacing).all()
    assert filters.crop_to_foreground(filters.pad(blob(FINE), margin=20.0)).grid.size < FINE.size


def test_padding_is_air_or_what_is_asked():
    image = Image(np.full(FLAT.shape, -1000.0) + np.eye(*FLAT.shape), FLAT)
    assert filters.pad(image, margin=4.0).array[0, 0] == -1000
    assert filters.pad(image, margin=4.0, value=7).array[0, 0] == 7
    masked = filters.pad(image.with_mask(np.ones(FLAT.shape)), margin=4.0)
    assert not masked.mask[0, 0] and masked.mask.sum() == FLAT.size
    with pytest.raises(UsageError, match="fits uint8"):
        filters.pad(Image(np.zeros(FLAT.shape, np.uint8), FLAT, is_label=True), margin=4.0, value=300)


@pytest.mark.parametrize("name", SPATIAL)
def test_resampled_images_are_at_the_same_place(name):
    turned = GRIDS[name]
    grid = Grid((36, 30, 20), turned.affine)
    image = blob(grid, grid.centre, 6.0)
    found = filters.resample_to(image, spacing=2.0)
    points = grid.centre + np.random.default_rng(0).uniform(-8, 8, (300, 3))
    assert np.abs(sample(found.data, found.grid, points) - sample(image.data, grid, points)).max() < 3 * FILTER_PHYSICAL * 100
    assert np.abs(found.grid.spacing - 2).max() < 0.1


def test_labels_stay_labels_and_coarse_voxels_are_means(rng):
    labels = filters.resample_to(Image(rng.integers(0, 2, FINE.shape) * 7, FINE, is_label=True), spacing=2.7)
    assert labels.is_label and set(np.unique(labels.array)) == {0, 7}
    noise = Image(rng.standard_normal(FINE.shape), FINE)
    assert filters.resample_to(noise, spacing=4.0).array.std() < 0.2


def test_misuse():
    with pytest.raises(InputError, match="no voxel lies in the box"):
        filters.crop(blob(FINE), low=(500, 0, 0), high=(510, 9, 9))
    with pytest.raises(UsageError, match="spacing"):
        filters.resample_to(blob(FINE), spacing=0.0)
    with pytest.raises(InputError, match="no foreground"):
        filters.crop_to_foreground(Image(np.zeros(FLAT.shape, np.uint8), FLAT, is_label=True))
