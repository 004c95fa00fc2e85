import numpy as np
import pytest
from filters.inputs import CUBIC, FINE, FLAT, blob, box, noisy
from skimage import exposure
from skimage import filters as skimage_filters
from tolerances import FILTER_FLOAT

from voxalign import filters, phantom
from voxalign.core import Image, InputError


def unit(image):
    return (image.array.astype(float) - image.array.min()) / float(np.ptp(image.array))


@pytest.mark.parametrize("grid", [CUBIC, FLAT], ids=["3-D", "2-D"])
def test_equals_scikit_image(grid):
    image = noisy(grid)
    low, span = float(image.array.min()), float(np.ptp(image.array))
    kernel = tuple(np.rint(12 / grid.spacing).astype(int))
    a, b = np.percentile(image.array, (2, 97))
    for found, expected in (
            (filters.equalise(image), exposure.equalize_hist(image.array.astype(float))),
            (filters.clahe(image, kernel=12.0), exposure.equalize_adapthist(unit(image), kernel)),
            (filters.gamma(image, gamma=0.6), exposure.adjust_gamma(unit(image), 0.6)),
            (filters.stretch(image, low=2, high=97), exposure.rescale_intensity(image.array.astype(float), (a, b), (0, 1)))):
        assert np.abs((found.array - low) / span - expected).max() < FILTER_FLOAT


def test_unsharp_mask_equals_scikit_image():
    image = noisy(CUBIC)
    expected = skimage_filters.unsharp_mask(unit(image), radius=2.0, amount=1.5, preserve_range=True)
    found = (filters.sharpen(image, sigma=2.0, amount=1.5).array - image.array.min()) / float(np.ptp(image.array))
    assert np.abs(found - np.clip(expected, 0, 1))[9:-9, 9:-9, 9:-9].max() < FILTER_FLOAT  # it mirrors the image at its faces


def test_statistics_are_of_what_counts():
    image, mask = noisy(FLAT), np.ones(FLAT.shape, bool)
    mask[:10] = False
    wild = image.array.copy()
    wild[~mask] = 1e6
    for function in (filters.equalise, filters.clahe, filters.stretch, filters.gamma, filters.sharpen):
        calm, found = function(image.with_mask(mask)), function(Image(wild, FLAT, mask))
        assert np.abs(calm.array - found.array)[mask].max() < FILTER_FLOAT * np.ptp(image.array), function.__name__
        assert found.array[mask].max() <= image.array[mask].max() * 1.0001


def test_bias_is_taken_off():
    grid = box((3.0, 3.5, 4.0), (60, 62, 44))
    labels = phantom.head(grid, 0)
    flat = phantom.contrast(labels, "T1", 0, phantom.Appearance(0.01, 0.0, 0.02))
    shade = np.exp(0.3 * np.sin(grid.points() @ [0.012, 0.016, 0.01])).astype(np.float32)
    white = np.isin(labels.array, (2, 41))
    image = flat.with_data(flat.data * shade)
    found = filters.correct_bias(image, spacing=7.0, levels=3, iterations=25)
    spread = [float(values[white].std() / values[white].mean()) for values in (flat.array, image.array, found.array)]
    assert spread[1] > 4 * spread[0] and spread[2] < 0.4 * spread[1]


def test_bias_twice_gives_the_same_bits():
    image = blob(FINE).with_data(blob(FINE).data + 20)
    one, other = (filters.correct_bias(image, spacing=4.0, levels=1, iterations=5) for _ in range(2))
    assert np.array_equal(one.data, other.data)


def test_bias_needs_voxels():
    with pytest.raises(InputError, match="bright"):
        filters.correct_bias(blob(FINE), spacing=30.0)
