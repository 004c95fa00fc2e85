import numpy as np
import pytest
from spaces import GRIDS

from voxalign.core import Grid, Image, InputError, Points

GRID = Grid((3, 4, 5), np.eye(4))


def test_channel_axis_is_added_and_data_are_float32():
    image = Image(np.ones(GRID.shape, np.int16), GRID)
    assert image.data.shape == (1, 3, 4, 5) and image.data.dtype == np.float32
    assert image.array.shape == GRID.shape and image.channels == 1 and image.dim == 3 and image.mask is None


def test_data_become_contiguous():
    image = Image(np.ones((5, 4, 3), np.float32).T, GRID)
    assert image.data.flags.c_contiguous


def test_nan_and_infinity_are_masked_out_and_zero():
    data = np.ones(GRID.shape, np.float32)
    data[0, 0, 0], data[1, 1, 1], data[2, 2, 2] = np.nan, np.inf, -np.inf
    image = Image(data, GRID)
    assert image.mask.sum() == GRID.size - 3 and not image.mask[1, 1, 1]
    assert image.data.sum() == GRID.size - 3
    assert np.isnan(data[0, 0, 0])  # the caller's array is left alone


def test_opposite_infinities_are_noticed():
    data = np.ones(GRID.shape)
    data[0, 0, 0], data[1, 1, 1] = np.inf, -np.inf
    assert Image(data, GRID).mask.sum() == GRID.size - 2


def test_masks_are_combined_with_what_is_not_finite():
    data, mask = np.ones(GRID.shape), np.ones(GRID.shape, bool)
    data[0, 0, 0], mask[1, 1, 1] = np.nan, False
    assert Image(data, GRID, mask).mask.sum() == GRID.size - 2


def test_a_voxel_counts_if_all_its_channels_do():
    data = np.ones((2, *GRID.shape))
    data[1, 0, 0, 0] = np.nan
    assert not Image(data, GRID).mask[0, 0, 0]


def test_float64_beyond_float32_is_masked_out():
    data = np.ones(GRID.shape)
    data[0, 0, 0] = 1e300
    image = Image(data, GRID)
    assert not image.mask[0, 0, 0] and np.isfinite(image.data).all()


def test_labels_of_whole_floats_become_integers():
    image = Image(np.full(GRID.shape, 3.0), GRID, is_label=True)
    assert image.data.dtype == np.int32 and (image.array == 3).all()
    assert Image(np.ones(GRID.shape, np.uint8), GRID, is_label=True).data.dtype == np.uint8
    assert Image(np.ones(GRID.shape, np.int64), GRID, is_label=True).data.dtype == np.int32
    assert Image(np.ones(GRID.shape, bool), GRID, is_label=True).data.dtype == np.uint8


def test_nan_labels_are_background():
    data = np.ones(GRID.shape)
    data[0, 0, 0] = np.nan
    assert Image(data, GRID, is_label=True).array[0, 0, 0] == 0


@pytest.mark.parametrize("data, words", [
    (np.full(GRID.shape, 1.5), "fractions"),
    (np.full(GRID.shape, 2**40), "32 bits"), (np.full(GRID.shape, 1e300), "32 bits"), (np.full(GRID.shape, -2**31 - 1), "32 bits"),
])
def test_refused_labels(data, words):
    with pytest.raises(InputError, match=words):
        Image(data, GRID, is_label=True)


def test_refused_data():
    with pytest.raises(InputError, match="complex"):
        Image(np.ones(GRID.shape, complex), GRID)
    with pytest.raises(InputError, match="grid of shape"):
        Image(np.ones((3, 4, 6)), GRID)
    with pytest.raises(InputError, match="mask of shape"):
        Image(np.ones(GRID.shape), GRID, np.ones((3, 4, 6), bool))


def test_array_protocol_and_channels():
    one, two = Image(np.ones(GRID.shape), GRID), Image(np.ones((2, *GRID.shape)), GRID)
    assert np.asarray(one).shape == GRID.shape and np.asarray(two).shape == (2, *GRID.shape)
    assert np.asarray(one, np.float64).dtype == np.float64
    assert np.mean(one) == 1
    with pytest.raises(InputError, match="2 channels"):
        _ = two.array


def test_copies_with_other_contents():
    image = Image(np.ones(GRID.shape), GRID, np.ones(GRID.shape, bool))
    assert image.with_data(np.zeros(GRID.shape)).data.max() == 0
    assert image.with_mask(None).mask is None and image.mask is not None


def test_bare_arrays():
    assert Image.from_array(np.ones((4, 5))).grid == Grid((4, 5), np.eye(3))
    assert Image.from_array(np.ones(GRID.shape), np.diag([2, 2, 2, 1])).grid.spacing[0] == 2


def test_repr():
    assert repr(Image(np.ones((4, 5), np.uint8), Grid((4, 5), np.eye(3)), is_label=True)) == \
        "Image(labels uint8, 4x5, 1x1 mm, RA, values 1 to 1)"


def test_points_are_a_frozen_copy():
    coordinates = np.zeros((4, 3))
    points = Points(coordinates, names=("a", "b", "c", 4))
    coordinates[0] = 9
    assert len(points) == 4 and points.dim == 3 and points.coordinates.max() == 0 and points.names[3] == "4"
    assert repr(points) == "Points(4 in 3-D, mm)"
    with pytest.raises(ValueError):
        points.coordinates[0] = 1


@pytest.mark.parametrize("coordinates, names, words", [
    (np.zeros(3), None, "expected"),
    (np.zeros((2, 4)), None, "expected"),
    (np.array([[0, 0, np.nan]]), None, "NaN"),
    (np.zeros((2, 3)), ("one",), "names"),
])
def test_refused_points(coordinates, names, words):
    with pytest.raises(InputError, match=words):
        Points(coordinates, names)


def test_every_grid_holds_an_image(grid):
    assert Image(np.zeros(grid.shape), grid).grid is grid
    assert GRIDS["2-D"].dim == 2
