import warnings

import numpy as np
import pytest
from pairs import blobs

from voxalign.core import Grid, Image, InputError, InputWarning
from voxalign.run.checks import check_image, check_pair, looks_like_labels, masked, overlap


def moved(image: Image, shift) -> Image:
    affine = image.grid.affine.copy()
    affine[:-1, -1] += shift
    return Image(image.data, Grid(image.grid.shape, affine))


def ball(grid: Grid, radius: float) -> Image:
    return Image((np.linalg.norm(grid.points(), axis=-1) < radius).astype(np.uint8), grid)


@pytest.mark.parametrize("data, words", [
    (np.full((5, 5, 5), 7.0), "every voxel is 7"),
    (np.zeros((5, 5, 5)), "every voxel is 0"),
    (np.full((5, 5, 5), np.nan), "no voxel is usable"),
    (np.zeros((2, 5, 5, 5)), "2 channels"),
    (np.arange(25.0).reshape(5, 5, 1), "2 or more along each axis"),
])
def test_images_refused(data, words):
    with pytest.raises(InputError, match=words):
        check_image(Image(data, Grid(data.shape[-3:], np.eye(4))), "x.nii")


def test_images_accepted_without_a_word():
    check_image(blobs(), "x.nii")
    rng = np.random.default_rng(0)
    check_image(Image.from_array(rng.integers(0, 255, (20, 20, 20)).astype(np.float32)), "x.nii")
    check_image(Image.from_array(-1000 + rng.integers(0, 255, (20, 20, 20)).astype(np.float32)), "x.nii")


def test_label_maps_are_noticed():
    with pytest.warns(InputWarning, match="label map"):
        check_image(Image(blobs(is_label=True).data.astype(np.float32), blobs().grid), "x.nii")
    assert not looks_like_labels(blobs().array)


def test_dimensions_differ():
    with pytest.raises(InputError, match="fixed is 2-D and moving is 3-D"):
        check_pair(blobs(shape=(20, 22)), blobs(), "search")


def test_disjoint_fields_of_view():
    far = moved(blobs(), (500, 0, 0))
    with pytest.warns(InputWarning, match="do not overlap .centres 500 mm apart"):
        check_pair(blobs(), far, "search")
    with pytest.raises(InputError, match="do not overlap"):
        check_pair(blobs(), far, "none")


def test_a_small_field_of_view_within_a_large_one_overlaps():
    large = Grid((50, 50, 50), np.diag([10.0, 10, 10, 1]))
    assert overlap(large, Grid((3, 3, 3), np.array([[1, 0, 0, 203], [0, 1, 0, 203], [0, 0, 1, 203], [0, 0, 0, 1.0]]))) > 0


def test_mask_on_its_own_grid():
    image = blobs()
    mask = ball(image.grid, 15)
    assert np.array_equal(masked(image, mask, "m").mask, mask.array > 0)
    assert masked(image, None, "m") is image


def test_mask_on_another_grid_is_matched_in_the_world():
    image = blobs()
    finer = image.grid.with_spacing(1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inside = masked(image, ball(finer, 15), "m").mask
    assert (inside != (ball(image.grid, 15).array > 0)).mean() < 0.01
    with pytest.warns(InputWarning, match="field of view differs"):
        masked(image, ball(Grid((10, 10, 10), np.diag([3.0, 3, 3, 1])), 15), "m")


def test_masks_refused_and_noticed():
    image = blobs()
    with pytest.raises(InputError, match="no voxel of the image lies in the mask"):
        masked(image, ball(image.grid, -1), "m")
    with pytest.warns(InputWarning, match="only 8 voxels"):
        masked(image, ball(image.grid, 2), "m")
    with pytest.warns(InputWarning, match="4 different values"):
        masked(image, blobs(is_label=True), "m")
    with pytest.raises(InputError, match="mask is 2-D"):
        masked(image, blobs(shape=(20, 22), is_label=True).with_data(np.ones((1, 20, 22), np.uint8)), "m")
