import numpy as np
import pytest
import SimpleITK as sitk
from filters.inputs import CUBIC, FINE, FLAT, THICK, blob, box, itk, noisy, of_itk
from scipy import ndimage
from skimage import filters as skimage_filters
from skimage import measure

from voxalign import filters, phantom
from voxalign.core import Image, InputError, Points, UsageError


def labels_of(array, grid):
    return Image(np.asarray(array, np.uint8), grid, is_label=True)


def test_thresholds_equal_scikit_image():
    image = noisy(CUBIC)
    assert np.mean((filters.otsu(image).array > 0) != (image.array > skimage_filters.threshold_otsu(image.array))) < 4e-3  # half a bin
    expected = np.digitize(image.array, skimage_filters.threshold_multiotsu(image.array, 4))
    assert np.array_equal(filters.multi_otsu(image, classes=4).array, expected)
    assert np.array_equal(filters.threshold(image, low=10, high=60).array, (image.array >= 10) & (image.array <= 60))


def test_region_growing_equals_itk():
    image, seeds = noisy(THICK, level=2.0), Points([[3.0, -2.0, 4.0], [5.0, 0.0, 4.0]])
    at = np.rint(THICK.index(seeds.coordinates)).astype(int)
    mean = float(np.mean([image.array[tuple(i)] for i in at]))
    expected = of_itk(sitk.ConnectedThreshold(itk(image), [tuple(map(int, i)) for i in at], mean - 30, mean + 30))
    found = filters.region_growing(image, seeds=seeds, tolerance=30)
    assert found.is_label and np.array_equal(found.array, expected) and found.array.any()
    with pytest.raises(InputError, match="lies outside"):
        filters.region_growing(image, seeds=Points([[300.0, 0, 0]]), tolerance=30)


@pytest.mark.parametrize(("connectivity", "number"), [("face", 1), ("edge", 2), ("corner", 3)])
def test_components_equal_scikit_image(connectivity, number):
    array = np.random.default_rng(2).random(CUBIC.shape) < 0.14
    found = filters.connected_components(labels_of(array, CUBIC), connectivity=connectivity).array
    expected = measure.label(array, connectivity=number)
    sizes = np.bincount(found.ravel())[1:]
    assert found.max() == expected.max() and (np.diff(sizes) <= 0).all()
    assert len(np.unique(found[array].astype(np.int64) * 100_000 + expected[array])) == expected.max()  # the same parts


def test_component_sizes_are_mm3():
    array = np.zeros(THICK.shape)
    array[2:4, 2:4, 2:4], array[20, 20, 10], array[30, 20, 10] = 1, 3, 3
    labels = labels_of(array, THICK)
    assert filters.connected_components(labels, least=4.0).array.max() == 1  # a voxel has 3.75 mm^3
    assert set(np.unique(filters.largest_component(labels).array)) == {0, 1}


def test_many_components_do_not_overflow():
    array = np.zeros((530, 530), np.uint8)
    array[::2, ::2] = 1
    assert filters.connected_components(Image.from_array(array, is_label=True)).array.max() == 265**2


@pytest.mark.parametrize("grid", [THICK, FLAT], ids=["3-D", "2-D"])
def test_morphology_equals_scipy(grid):
    array = noisy(grid, level=20.0).array > 35
    labels, ball = labels_of(array, grid), filters.denoise.footprint(3.0 / grid.spacing)
    wide = ndimage.binary_dilation(array, ball)
    assert np.array_equal(filters.dilate(labels, radius=3.0).array, wide)
    assert np.array_equal(filters.erode(labels, radius=3.0).array, ndimage.binary_erosion(array, ball, border_value=1))
    padded = np.pad(array, 5)
    closed = ndimage.binary_erosion(ndimage.binary_dilation(padded, ball), ball)[(slice(5, -5),) * grid.dim]
    assert np.array_equal(filters.closing(labels, radius=3.0).array, closed)
    opened = ndimage.binary_dilation(ndimage.binary_erosion(array, ball, border_value=1), ball)
    assert np.array_equal(filters.opening(labels, radius=3.0).array, opened)


def test_morphology_keeps_labels_apart():
    array = np.zeros((40, 40), np.uint8)
    array[10:20, 10:20], array[10:20, 22:30], array[14:16, 14:16] = 5, 9, 0
    labels = Image.from_array(array, is_label=True)
    grown = filters.dilate(labels, radius=3.0).array
    assert (grown[12, 20], grown[12, 21]) == (5, 9) and set(np.unique(grown)) == {0, 5, 9}
    assert (filters.fill_holes(labels).array[14:16, 14:16] == 5).all()
    assert set(np.unique(filters.erode(labels, radius=2.0).array)) == {0, 5, 9}
    assert (filters.closing(labels, radius=3.0).array == 9).sum() == 80  # what is 5 stays 5


def test_radius_is_mm():
    volumes = []
    for grid in (FINE, THICK):
        ball = (grid.points() ** 2).sum(-1) < 8**2
        volumes.append(filters.dilate(labels_of(ball, grid), radius=4.0).array.sum() * grid.voxel_volume)
    assert volumes == pytest.approx([4 / 3 * np.pi * 12**3] * 2, rel=0.15)  # between the centres of voxels: a little less


def test_what_is_masked_out_belongs_to_nothing():
    mask = np.ones(FLAT.shape, bool)
    mask[:, :20] = False
    image = noisy(FLAT).with_mask(mask)
    for found in (filters.otsu(image), filters.multi_otsu(image), filters.threshold(image, low=-1e9), filters.body_mask(image)):
        assert found.is_label and not found.array[~mask].any() and np.array_equal(found.mask, mask)


def test_misuse():
    with pytest.raises(UsageError, match="at least one"):
        filters.threshold(blob(FLAT))
    with pytest.raises(InputError, match="fewer than 3"):
        filters.multi_otsu(Image.from_array(np.eye(20)))
    with pytest.raises(UsageError, match="did you mean 'face'"):
        filters.largest_component(filters.otsu(blob(FLAT)), connectivity="faces")


# -------------------------------------------------------------------- body and brain
def dice(a, b):
    return 2 * np.sum(a & b) / (np.sum(a) + np.sum(b))


@pytest.mark.parametrize("spacing", [(2.5, 2.5, 2.5), (1.8, 2.2, 4.0)], ids=["cubic", "thick"])
def test_brain_of_the_phantom(spacing):
    grid = box(spacing, np.round(np.array([176, 224, 200]) / spacing).astype(int), (-1, 1, 1))
    labels = phantom.head(grid, 1)
    brain = filters.brain_mask(phantom.contrast(labels, "T1", 3))
    truth = ndimage.binary_fill_holes(filters.segment.closed(np.isin(labels.array, phantom.BRAIN), grid, 6.0))
    assert dice(brain.array > 0, truth) > 0.96


def test_brain_needs_a_head():
    with pytest.raises(InputError, match="no brain"):
        filters.brain_mask(blob(FINE, width=2.0))


@pytest.mark.parametrize(("make", "modality"), [(phantom.head, "T1"), (phantom.head, "CT"), (phantom.thorax, "CT"), (phantom.limb, "T2")])
def test_body_of_the_phantom(make, modality):
    labels = make(box((4, 4, 4), (90, 80, 60)), 1)
    found = filters.body_mask(phantom.contrast(labels, modality, 2)).array > 0
    truth = ndimage.binary_fill_holes(labels.array > 0)
    assert dice(found, truth) > 0.97
