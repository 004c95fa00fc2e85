import numpy as np
import pytest
import tolerances as tol

from voxalign.core import Grid, Image, InputError, UsageError
from voxalign.filters import gaussian, pyramid, scale_space

GRID = Grid((24, 20, 10), np.diag([1.0, 1.0, 3.0, 1.0]))


@pytest.fixture
def image(rng):
    return Image(rng.random(GRID.shape).astype(np.float32), GRID)


def test_a_scale_space_is_its_gaussians(image):
    space = scale_space(image, sigma=1.5, levels=3)
    assert space.channels == 3
    for channel, sigma in zip(space.data, (1.5, 3.0, 6.0), strict=True):
        assert np.abs(channel - gaussian(image, sigma=sigma).array).max() < tol.FILTER_FLOAT
    assert list(space.data.std((1, 2, 3))) == sorted(space.data.std((1, 2, 3)), reverse=True)


def test_scales_are_mm_whatever_the_voxels():
    fine = Grid((48, 48), np.diag([1.0, 1.0, 1.0]))
    waves = [Image(np.sin(grid.points()[..., 0] / 4).astype(np.float32), grid) for grid in (fine, fine.with_spacing((2.0, 1.0)))]
    spread = [scale_space(wave, sigma=2.0, levels=2).data[:, 8:-8].std((1, 2)) for wave in waves]
    assert np.allclose(spread[0], spread[1], rtol=0.1)


def test_a_pyramid_halves_and_keeps_the_box_and_the_mean(image):
    levels = pyramid(image, levels=4)
    assert [level.grid.shape for level in levels] == [(24, 20, 10), (12, 10, 10), (6, 5, 7), (3, 2, 4)]
    assert levels[0] is image
    for level in levels:
        assert np.allclose(level.grid.extent, GRID.extent) and np.isclose(level.data.mean(), image.data.mean(), atol=0.02)


def test_labels_stay_labels(rng):
    labels = Image(rng.integers(0, 5, GRID.shape).astype(np.uint8), GRID, is_label=True)
    assert all(level.is_label and set(np.unique(level.data)) <= set(range(5)) for level in pyramid(labels))


def test_refused(image):
    with pytest.raises(UsageError, match="levels"):
        pyramid(image, levels=0)
    with pytest.raises(UsageError, match="step"):
        scale_space(image, step=0.5)
    with pytest.raises(InputError, match="label map"):
        scale_space(Image(np.ones(GRID.shape, np.uint8), GRID, is_label=True))
