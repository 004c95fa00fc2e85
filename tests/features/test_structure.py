import numpy as np
import pytest
from filters.inputs import FINE, THICK, blob, noisy
from scipy import ndimage
from spaces import GRIDS
from tolerances import FILTER_FLOAT, FILTER_PHYSICAL

from voxalign import features
from voxalign.core import Grid, Image, kernels, sample


@pytest.mark.parametrize("name", GRIDS)
def test_slopes_are_per_mm_on_every_grid(name):
    grid = GRIDS[name]
    way = np.array([2.0, -1.0, 0.5])[:grid.dim]
    ramp = Image(grid.points() @ way, grid)
    inside = (slice(1, -1),) * grid.dim
    found = features.gradient_magnitude(ramp, sigma=0.0).array[inside]
    assert found == pytest.approx(np.full(found.shape, np.linalg.norm(way)), rel=1e-4)
    directions = features.ngf(ramp, sigma=0.0, edge=1e-6).data[(slice(None), *inside)]
    assert np.abs(directions - (way / np.linalg.norm(way))[(slice(None), *(None,) * grid.dim)]).max() < 1e-3


def test_gradient_equals_scipy():
    image = noisy(FINE)
    expected = ndimage.gaussian_gradient_magnitude(image.array.astype(float), 2.5)
    found = features.gradient_magnitude(image, sigma=2.5).array
    inside = (slice(10, -10),) * 3
    assert np.abs(found - expected)[inside].max() < 0.03 * expected.max()  # differences over a voxel against the derivative


@pytest.mark.parametrize("function", [features.gradient_magnitude, features.ngf], ids=lambda f: f.__name__)
def test_the_same_on_another_grid(function):
    points = np.random.default_rng(0).uniform(-8, 8, (300, 3))
    one, other = (function(blob(grid, width=9.0), sigma=4.0) for grid in (FINE, THICK))
    values = [sample(image.data, image.grid, points) for image in (one, other)]
    assert np.abs(values[0] - values[1]).max() < 4 * FILTER_PHYSICAL * np.abs(one.data).max()


def test_mind_is_that_of_the_kernels_and_blind_to_contrast():
    image = noisy(FINE)
    found = features.mind(image)
    low, high = np.percentile(image.array, (1, 99))
    unit = np.clip((image.array - low) / (high - low), 0, 1).astype(np.float32)
    assert np.abs(found.data - kernels.mind(unit, (2, 2, 2), (2, 2, 2))).max() < 1e-3
    assert np.abs(features.mind(image.with_data(-3 * image.data + 7)).data - found.data).max() < 1e-3
    assert found.channels == 12 and features.mind(noisy(Grid((40, 30), np.eye(3)))).channels == 4


@pytest.mark.parametrize("function", list(features.FEATURES.values()), ids=features.FEATURES)
def test_masked_voxels_have_no_influence(function):
    image, mask = noisy(Grid((60, 44), np.eye(3))), np.ones((60, 44), bool)
    mask[20:28, 10:25] = False
    wild = np.where(mask, image.array, 1e5)
    one, other = (function(Image(values, image.grid, mask)) for values in (image.array, wild))
    assert np.abs(one.data.astype(float) - other.data)[:, mask].max() <= FILTER_FLOAT * np.abs(one.data).max()
