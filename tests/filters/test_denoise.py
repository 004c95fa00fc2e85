import numpy as np
import pytest
import SimpleITK as sitk
from filters.inputs import CUBIC, FINE, FLAT, THICK, blob, itk, noisy, of_itk
from scipy import ndimage
from skimage import restoration
from tolerances import FILTER_FLOAT, FILTER_OTHER_PROGRAM, FILTER_PHYSICAL

from voxalign import filters
from voxalign.core import Image, InputWarning, sample

ALL = [filters.gaussian, filters.median, filters.bilateral, filters.non_local_means, filters.wavelet]


def range_of(image):
    return float(np.ptp(image.data))


@pytest.mark.parametrize("grid", [CUBIC, THICK, FLAT], ids=["cubic", "thick", "2-D"])
def test_gaussian_equals_scipy(grid):
    image = noisy(grid)
    radius = [int(np.ceil(4 * 2.3 / s)) for s in grid.spacing]
    expected = ndimage.gaussian_filter(image.array.astype(float), 2.3 / grid.spacing, radius=radius, mode="nearest")
    assert np.abs(filters.gaussian(image, sigma=2.3).array - expected).max() < FILTER_FLOAT * range_of(image)


def test_gaussian_equals_itk():
    image = noisy(THICK)
    expected = of_itk(sitk.DiscreteGaussian(itk(image), variance=9.0, maximumKernelWidth=64, maximumError=1e-4))
    inside = (slice(8, -8), slice(6, -6), slice(4, -4))
    assert np.abs(filters.gaussian(image, sigma=3.0).array - expected)[inside].max() < FILTER_OTHER_PROGRAM * range_of(image)


def test_median_equals_scipy():
    image = noisy(THICK)
    ball = np.hypot(np.hypot(*np.mgrid[-2:3, -1:2] * np.array([1.0, 1.5])[:, None, None])[..., None], 0) <= 2.4
    assert np.array_equal(filters.median(image, radius=2.4).array, ndimage.median_filter(image.array, footprint=ball, mode="nearest"))


def test_median_of_no_neighbours_says_so():
    with pytest.warns(InputWarning, match="nothing changes"):
        filters.median(blob(THICK), radius=0.5)


def test_median_of_what_counts():
    image = noisy(FLAT)
    mask = np.random.default_rng(1).random(FLAT.shape) > 0.3
    found = filters.median(image.with_mask(mask), radius=1.5).array
    i, j = np.argwhere(mask[2:-2, 2:-2])[100] + 2
    near = [(i + a, j + b) for a in (-1, 0, 1) for b in (-1, 0, 1) if np.hypot(0.8 * a, 1.2 * b) <= 1.5 and mask[i + a, j + b]]
    assert found[i, j] == pytest.approx(np.median([image.array[at] for at in near]), rel=1e-6)


def test_non_local_means_equals_scikit_image():
    image = Image.from_array(noisy(FLAT).array)
    expected = restoration.denoise_nl_means(image.array.astype(float), patch_size=3, patch_distance=2, h=5.0, sigma=5.0, fast_mode=True)
    found = filters.non_local_means(image, strength=1.0, noise=5.0, patch=1.0, search=2.0).array
    assert np.abs(found - expected)[4:-4, 4:-4].mean() < 2 * FILTER_OTHER_PROGRAM * range_of(image)


def by_hand(image, at, reach, weight):
    """The mean of the neighbours of one voxel, weighed one by one."""
    steps = np.argwhere(np.ones(2 * np.array(reach) + 1)) - reach
    weights = [weight(at + step, step) for step in steps]
    return float(np.average([image.array[tuple(at + step)] for step in steps], weights=weights))


def test_non_local_means_by_hand():
    image, at, sigma = noisy(THICK), np.array([20, 12, 8]), 5.0
    window = [np.arange(-2, 3), np.arange(-1, 2), np.arange(-1, 2)]  # 2 mm, at least a voxel

    def patch(centre):
        return image.array[np.ix_(*[c + w for c, w in zip(centre, window, strict=True)])].astype(float)

    expected = by_hand(image, at, (4, 3, 2), lambda there, step: np.exp(
        -max(((patch(at) - patch(there)) ** 2).mean() - 2 * sigma**2, 0) / (1.2 * sigma) ** 2))
    found = filters.non_local_means(image, strength=1.2, noise=sigma, patch=2.0, search=4.1).array
    assert found[tuple(at)] == pytest.approx(expected, rel=1e-4)


def test_bilateral_by_hand():
    image, at = noisy(THICK), np.array([20, 12, 8])
    values = image.array.astype(float)
    expected = by_hand(image, at, (4, 3, 2), lambda there, step: np.exp(
        -((step * THICK.spacing / 2.0) ** 2).sum() / 2 - (values[tuple(there)] - values[tuple(at)]) ** 2 / (2 * 15**2)))
    assert filters.bilateral(image, sigma=2.0, contrast=15.0).array[tuple(at)] == pytest.approx(expected, rel=1e-4)


def test_wavelet_equals_scikit_image():
    for image in (noisy(FLAT), noisy(CUBIC)):
        expected = restoration.denoise_wavelet(image.array.astype(float), sigma=5.0, wavelet="db1", wavelet_levels=2, method="BayesShrink",
                                               mode="soft", rescale_sigma=False)
        found = filters.wavelet(image, noise=5.0, name="db1", levels=2).array
        assert np.abs(found - expected).max() < FILTER_FLOAT * 10 * range_of(image)


@pytest.mark.parametrize("grid", [FINE, FLAT], ids=["3-D", "2-D"])
def test_noise_is_found_and_reduced(grid):
    clean, image = blob(grid), noisy(grid, level=6.0)
    assert filters.denoise.noise_level(image.array) == pytest.approx(6.0, rel=0.08)
    before = np.abs(image.array - clean.array).mean()
    for function in ALL:
        assert np.abs(function(image).array - clean.array).mean() < 0.75 * before, function.__name__


def test_rician_noise_does_not_lift_the_dark():
    clean, rng = blob(FINE, width=9.0), np.random.default_rng(3)
    image = clean.with_data(np.hypot(clean.data + 12 * rng.standard_normal(clean.data.shape), 12 * rng.standard_normal(clean.data.shape)))
    dark = clean.array < 8
    bias = [abs(float((filters.non_local_means(image, noise=12.0, rician=r).array - clean.array)[dark].mean())) for r in (False, True)]
    assert bias[1] < 0.5 * bias[0]


@pytest.mark.parametrize("function", ALL, ids=lambda f: f.__name__)
def test_masked_voxels_have_no_influence_and_stay(function):
    image = noisy(FLAT)
    mask = np.ones(FLAT.shape, bool)
    mask[20:30, 10:25] = False
    wild = image.array.copy()
    wild[~mask] = 1e5
    calm, found = function(image.with_mask(mask)), function(Image(wild, FLAT, mask))
    assert np.abs(calm.array - found.array)[mask].max() < FILTER_FLOAT * range_of(image)
    assert np.array_equal(found.array[~mask], wild[~mask]) and np.array_equal(found.mask, mask)


@pytest.mark.parametrize("function", [filters.gaussian, filters.bilateral], ids=lambda f: f.__name__)
def test_lengths_are_mm_whatever_the_grid(function):
    points = np.random.default_rng(0).uniform(-8, 8, (300, 3))
    one, other = (function(blob(grid), sigma=3.0) for grid in (FINE, THICK))
    values = [sample(image.data, image.grid, points) for image in (one, other)]
    assert np.abs(values[0] - values[1]).max() < FILTER_PHYSICAL * 100


@pytest.mark.parametrize("function", ALL, ids=lambda f: f.__name__)
def test_the_same_bits_each_time(function):
    image = noisy(FLAT)
    assert np.array_equal(function(image).data, function(image).data)


@pytest.mark.parametrize("function", ALL, ids=lambda f: f.__name__)
def test_channels_are_filtered_each_by_itself(function):
    image = noisy(FLAT)
    both = function(Image(np.stack([image.array, 2 * image.array]), FLAT))
    assert np.abs(both.data[0] - function(image).array).max() < FILTER_FLOAT * range_of(image)
