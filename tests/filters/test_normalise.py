import numpy as np
import pytest
from filters.inputs import CUBIC, FLAT, blob, noisy
from skimage import exposure
from tolerances import FILTER_FLOAT

from voxalign import filters
from voxalign.core import Image, InputError, UsageError


def test_ranges():
    image = noisy(CUBIC)
    assert (filters.to_unit(image).array.min(), filters.to_unit(image).array.max()) == (0, 1)
    z = filters.z_score(image).array.astype(float)
    assert abs(z.mean()) < 1e-5 and z.std() == pytest.approx(1, abs=1e-5)
    low, high = np.percentile(image.array, (5, 90))
    clipped = filters.clip_percentiles(image, low=5, high=90).array
    assert clipped.min() == pytest.approx(low, rel=1e-5) and clipped.max() == pytest.approx(high, rel=1e-5)


def test_statistics_are_of_what_counts():
    image, mask = noisy(FLAT), np.ones(FLAT.shape, bool)
    mask[:10] = False
    wild = image.array.copy()
    wild[~mask] = -1e6
    for function in (filters.to_unit, filters.z_score, filters.clip_percentiles, lambda i: filters.match_histogram(i, like=noisy(CUBIC))):
        assert np.array_equal(function(Image(wild, FLAT, mask)).array[mask], function(image.with_mask(mask)).array[mask])


def test_histogram_matching_equals_scikit_image():
    image, like = noisy(CUBIC), Image.from_array(np.random.default_rng(1).gamma(2.0, 50, (30, 20, 25)))
    expected = exposure.match_histograms(image.array, like.array)
    assert np.abs(filters.match_histogram(image, like=like).array - expected).max() < FILTER_FLOAT * np.ptp(like.array)


def test_ct_windows():
    image = Image.from_array(np.array([[-1000.0, 0, 20, 40, 80, 3000]]).repeat(2, 0))
    assert filters.ct_window(image, centre=40, width=80).array[0] == pytest.approx([0, 0, 0.25, 0.5, 1, 1])
    assert np.array_equal(filters.ct_preset(image, name="brain").data, filters.ct_window(image, centre=40, width=80).data)
    with pytest.raises(UsageError, match="did you mean 'lung'"):
        filters.ct_preset(image, name="lungs")


def test_values_near_the_end_of_float32_do_not_overflow():
    image = Image.from_array(np.array([[-3e38, 0, 3e38], [1e38, 2e38, -1e38]]))
    for function in (filters.to_unit, filters.z_score, filters.stretch, filters.gamma, filters.equalise):
        found = function(image)
        assert found.mask is None and np.isfinite(found.data).all(), function.__name__


def test_percentiles_without_contrast():
    data = np.zeros((40, 40))
    data[3, 4] = 1
    with pytest.raises(InputError, match="both 0"):
        filters.stretch(Image.from_array(data))
    with pytest.raises(UsageError, match="high"):
        filters.clip_percentiles(blob(FLAT), low=60, high=40)
