"""Registration in which neither image is preferred."""
import numpy as np
import pytest
import tolerances

from voxalign.core import Image, InputError
from voxalign.phantom import error_mm, head_pair, slice_pair
from voxalign.register import Guide, Settings, register
from voxalign.register.prepare import foreground, scale
from voxalign.register.symmetric import halves, mean_linear
from voxalign.transforms import Affine, Displacement, Rigid

SYMMETRIC = Settings(direction="symmetric", device="cpu")


def _body(image: Image) -> np.ndarray:
    return image.grid.world(np.argwhere(foreground(scale(image)))[::5])


@pytest.fixture(scope="module")
def pair():
    return head_pair(spacing=4)


@pytest.fixture(scope="module")
def both_ways(pair):
    return register(pair.fixed, pair.moving, SYMMETRIC).transform, register(pair.moving, pair.fixed, SYMMETRIC).transform


def test_swapping_the_images_inverts_the_map(pair, both_ways):
    there, back = both_ways
    points = _body(pair.fixed)
    missed = np.linalg.norm(back(there(points)) - points, axis=1) / pair.fixed.grid.spacing.min()
    forward = [register(*images, Settings(device="cpu")).transform for images in ((pair.fixed, pair.moving), (pair.moving, pair.fixed))]
    of_forward = np.linalg.norm(forward[1](forward[0](points)) - points, axis=1) / pair.fixed.grid.spacing.min()
    assert np.percentile(missed, 99.9) < tolerances.INVERSE_BETWEEN_VOXELS < np.percentile(of_forward, 50)


def test_it_is_as_accurate_as_one_direction(pair, both_ways):
    forward = register(pair.fixed, pair.moving, Settings(device="cpu")).transform
    errors = [error_mm(found, pair.truth, pair.fixed_labels).mean() for found in (both_ways[0], forward)]
    assert errors[0] < 1.1 * errors[1]


@pytest.mark.parametrize("transform", ["rigid", "affine"])
def test_linear_maps_are_symmetric_too(pair, transform):
    settings = Settings(direction="symmetric", transform=transform, device="cpu")
    there, back = (register(*images, settings).transform for images in ((pair.fixed, pair.moving), (pair.moving, pair.fixed)))
    assert np.allclose(there.matrix @ back.matrix, np.eye(4), atol=1e-6)


def test_swapping_images_of_two_modalities_inverts_the_map():
    pair = slice_pair(0, 3.0, "T1", "T2")
    settings = Settings(direction="symmetric", loss="lncc(adapted)", device="cpu")
    there, back = (register(*images, settings).transform for images in ((pair.fixed, pair.moving), (pair.moving, pair.fixed)))
    points = _body(pair.fixed)
    missed = np.linalg.norm(back(there(points)) - points, axis=1) / pair.fixed.grid.spacing.min()
    assert np.percentile(missed, 99.9) < tolerances.INVERSE_BETWEEN_VOXELS
    assert error_mm(there, pair.truth, points).mean() < pair.fixed.grid.spacing.max() / 2


def test_slices_and_masks_take_part():
    pair = slice_pair()
    rest = np.ones(pair.moving.grid.shape, bool)
    rest[: len(rest) // 4] = False
    found = register(pair.fixed, pair.moving.with_mask(rest), SYMMETRIC)
    assert error_mm(found.transform, pair.truth, _body(pair.fixed)).mean() < 2 * pair.fixed.grid.spacing.max()


def test_the_deformation_can_be_written_with_the_linear_map_after_it(both_ways):
    first, second = both_ways[0].transforms
    assert isinstance(first, Displacement) and isinstance(second, Affine)


def test_what_it_cannot_do_is_refused(pair):
    with pytest.raises(InputError, match="take part"):
        register(pair.fixed, pair.moving, SYMMETRIC, guide=Guide())
    bent = Displacement.from_array(np.zeros((3, *pair.fixed.grid.shape)), pair.fixed.grid)
    with pytest.raises(InputError, match="not linear"):
        register(pair.fixed, pair.moving, SYMMETRIC, initial=bent)


# -------------------------------------------------------------------- linear maps
def _turn(degrees: float, shift: float) -> Rigid:
    return Rigid.from_params([0, 0, np.radians(degrees), shift, 0, 0], [3.0, 4.0, 5.0])


def test_the_mean_of_two_directions_lies_between_them():
    mean = mean_linear(_turn(20, 4), _turn(10, 2).inverse())
    assert np.allclose(mean.matrix, _turn(15, 3).matrix, atol=0.05)  # turning and shifting do not commute
    back = mean_linear(_turn(10, 2).inverse(), _turn(20, 4))
    assert np.allclose(mean.matrix @ back.matrix, np.eye(4), atol=1e-9)


def test_halves_are_half_of_the_way_and_half_a_turn_is_no_trouble():
    there = Affine(np.diag([1.44, 1, 1, 1]), np.zeros(3))
    first, second = halves(there)
    assert np.allclose(second.matrix, np.diag([1.2, 1, 1, 1])) and np.allclose(first.matrix, np.diag([1 / 1.2, 1, 1, 1]))
    for degrees in (179.0, 180.0):
        first, second = halves(_turn(degrees, 7))
        assert np.allclose(second.matrix @ np.linalg.inv(first.matrix), _turn(degrees, 7).matrix, atol=1e-8)
