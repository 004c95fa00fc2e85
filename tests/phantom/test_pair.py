import numpy as np
import pytest
from tolerances import PHANTOM_INVERSE_MM

from voxalign import phantom
from voxalign.core import Grid, Identity, compose, resample
from voxalign.phantom import BRAIN, LimbLabel, ThoraxLabel

PAIRS = {
    "head": (lambda: phantom.head_pair(2, 2.5), BRAIN, 0.965),
    "slice": (lambda: phantom.slice_pair(2, 1.0), BRAIN, 0.985),
    "thorax": (lambda: phantom.thorax_pair(2, 5.0), (ThoraxLabel.LEFT_LUNG, ThoraxLabel.RIGHT_LUNG), 0.95),
    "limb": (lambda: phantom.limb_pair(2, 4.0), tuple(label for label in LimbLabel if label), 0.96),
}


@pytest.fixture(scope="module", params=PAIRS)
def named(request):
    make, labels, dice = PAIRS[request.param]
    return make(), labels, dice


def test_truth_joins_the_labels(named):
    pair, labels, least = named
    back = resample(pair.moving_labels, pair.fixed.grid, pair.truth).array
    here, there = np.isin(pair.fixed_labels.array, labels), np.isin(back, labels)
    assert 2 * (here & there).sum() / (here.sum() + there.sum()) > least


def test_truth_has_an_inverse(named):
    pair, labels, _ = named
    points = pair.fixed.grid.world(np.argwhere(np.isin(pair.fixed_labels.array, labels)))[::7]
    there = pair.truth(points)
    assert np.linalg.norm(pair.truth.inverse()(there) - points, axis=1).max() < PHANTOM_INVERSE_MM


def test_images_differ_in_size_and_place(named):
    pair, _, _ = named
    assert pair.fixed.grid.shape != pair.moving.grid.shape
    assert not np.allclose(pair.fixed.grid.spacing, pair.moving.grid.spacing)
    assert pair.fixed.grid == pair.fixed_labels.grid and pair.moving.grid == pair.moving_labels.grid


def test_error_is_none_for_the_truth_and_large_without_registration(named):
    pair, labels, _ = named
    assert phantom.error_mm(pair.truth, pair.truth, pair.fixed_labels, labels).max() == 0
    assert phantom.error_mm(Identity(pair.truth.dim), pair.truth, pair.fixed_labels, labels).mean() > 8


def test_error_is_measured_at_the_points_given():
    truth, found = phantom.rigid(0, shift=(1, 2, 3)), phantom.rigid(0, shift=(1, 2, 7))
    assert phantom.error_mm(found, truth, np.zeros((5, 3))) == pytest.approx(np.full(5, 4.0))


def test_pairs_are_determined_by_seed_and_motion():
    still = phantom.Motion(0.0, shift=(0.0, 0.0, 0.0), amplitude_mm=0.0)
    first, again, other = (phantom.slice_pair(s, 3.0, "T1", "T2", still) for s in (1, 1, 2))
    assert np.array_equal(first.moving.array, again.moving.array)
    assert not np.array_equal(first.moving.array, other.moving.array)
    assert np.allclose(first.truth(np.ones((1, 2))), 1)


def test_a_pair_of_anything():
    affine = np.diag([6.0, 6.0, 6.0, 1.0])
    affine[:3, 3] = (-90, -90, -60)
    grid = Grid((30, 30, 20), affine)
    truth = compose([phantom.rigid(10, (0, 0, 1), (1, 2, 3))])
    clean = phantom.Appearance(0.0, 0.0, 0.0)
    pair = phantom.image_pair(phantom.limb_anatomy(np.random.default_rng(0)), (grid, grid), truth, ("CT", "T1"), phantom.Scan(0, clean))
    assert pair.fixed.array.min() < -900 and (pair.moving_labels.array == LimbLabel.PATELLA).any()
