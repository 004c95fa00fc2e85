import numpy as np
import pytest

from voxalign.core import Grid, Image, InputError, UsageError
from voxalign.nn import Inputs
from voxalign.nn.inputs import unit


def blank(grid):
    return Image(np.zeros((1, *grid.shape), np.float32), grid)


def test_the_grid_is_isotropic_and_runs_right_anterior_superior(grid):
    common = Inputs().grid(blank(grid))
    assert common.axes == "RAS"[: grid.dim]
    assert np.allclose(common.spacing, np.prod(grid.spacing) ** (1 / grid.dim), rtol=0.15)
    assert np.allclose(sorted(common.extent), sorted(grid.extent)) and np.allclose(common.centre, grid.centre)


def test_its_own_spacing_counts(grid):
    assert np.allclose(Inputs(spacing=2.0).grid(blank(grid)).extent, Inputs().grid(blank(grid)).extent)
    assert np.allclose(Inputs(spacing=0.5).grid(blank(grid)).spacing, 0.5, rtol=0.05)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_what_an_image_shows_has_so_many_voxels_whatever_its_size(grid, scale):
    matrix = grid.affine.copy()
    matrix[:-1] *= scale
    around = Grid(tuple(3 * n for n in grid.shape), matrix)
    data = np.zeros(around.shape, np.float32)
    data[tuple(slice(n, 2 * n) for n in grid.shape)] = 1
    lit = np.argwhere(data)
    found = Inputs(across=40).grid(Image(data[None], around))
    corners = around.world([lit.min(0), lit.max(0)])
    assert found.contains(corners).all() and found.axes == "RAS"[: grid.dim]
    assert np.allclose(found.centre, corners.mean(0), atol=3 * float(found.spacing.max()))
    wide = ((np.ptp(lit, 0) + 1) * around.spacing).max()
    assert max(found.shape) * found.spacing.max() < 1.5 * wide and max(found.shape) >= min(40, 2 * max(grid.shape))


def test_scaling_and_offset_do_not_matter():
    data = np.random.default_rng(0).gamma(2.0, size=(20, 22)).astype(np.float32)
    one, other = Image.from_array(data), Image.from_array(37 * data - 1000)
    assert np.allclose(unit(one).data, unit(other).data, atol=1e-4) and unit(one).data.max() <= 1.5


def test_what_does_not_count_is_dark():
    data = np.random.default_rng(0).random((20, 22)).astype(np.float32)
    mask = np.ones(data.shape, bool)
    mask[:5] = False
    seen = unit(Image.from_array(np.where(mask, data, 1e6), mask=mask))
    assert not seen.data[0, :5].any() and seen.mask is None and seen.data.max() < 1.1


def test_channels_are_features_by_name():
    image = Image.from_array(np.random.default_rng(0).random((20, 22)).astype(np.float32))
    grid = Grid((15, 16), np.eye(3))
    seen = Inputs(channels=("intensity", "canny", "gradient_magnitude")).array(image, grid)
    assert seen.shape == (3, 15, 16) and seen.dtype == np.float32
    assert np.array_equal(seen[:1], Inputs().array(image, grid))


def test_through_json():
    inputs = Inputs(1.5, ("intensity", "mind"), "headers")
    assert Inputs.from_dict(inputs.as_dict()) == inputs and Inputs.from_dict(None) == Inputs()


@pytest.mark.parametrize(("values", "error"), [
    ({"spacing": -1}, InputError), ({"spacing": "a"}, InputError), ({"across": 3}, InputError), ({"across": 40.0}, InputError),
    ({"colour": 1}, InputError), ({"channels": ["intensty"]}, UsageError), ({"start": "afine"}, UsageError)])
def test_nonsense_is_refused(values, error):
    with pytest.raises(error):
        Inputs.from_dict(values)
