"""What is meant to fail is as wrong as it says, and no more."""
import numpy as np
import pytest
from pairs import blobs

from voxalign.core import Identity
from voxalign.metrics import jacobian_determinant
from voxalign.phantom import error_mm, failures

IMAGE = blobs()
POINTS = IMAGE.grid.points().reshape(-1, 3)


def test_nothing_is_like_the_image_in_range_only():
    fine, coarse = (failures.nothing(IMAGE, np.random.default_rng(0), grain).array for grain in (0.0, 8.0))
    for noise in (fine, coarse):
        assert abs(np.corrcoef(noise.ravel(), IMAGE.array.ravel())[0, 1]) < 0.2
        assert noise.mean() == pytest.approx(np.percentile(IMAGE.array, (1, 99)).mean(), rel=0.1)
    assert np.abs(np.diff(coarse, axis=0)).mean() < 0.3 * np.abs(np.diff(fine, axis=0)).mean()


def test_a_mirror_image_mirrors_back():
    mirrored = failures.mirror_image(IMAGE, 1)
    assert not np.array_equal(mirrored.array, IMAGE.array)
    assert np.array_equal(failures.mirror_image(mirrored, 1).array, IMAGE.array) and mirrored.grid == IMAGE.grid


@pytest.mark.parametrize("upper", [False, True])
def test_half_a_body_lies_where_it_was(upper):
    inside = np.zeros(IMAGE.grid.shape, bool)
    inside[:, 8:18] = True
    cut = failures.half(IMAGE, inside, 1, upper)
    assert cut.grid.shape[1] == (IMAGE.grid.shape[1] - 12 if upper else 12)
    start = IMAGE.grid.index(cut.grid.origin).round().astype(int)
    box = tuple(slice(a, a + n) for a, n in zip(start, cut.grid.shape, strict=True))
    assert np.array_equal(cut.array, IMAGE.array[box])


def test_a_blotch_covers_a_ball():
    changed = failures.blotched(IMAGE, IMAGE.grid.centre, 10.0, 0.5).array != IMAGE.array
    volume = changed.sum() * IMAGE.grid.voxel_volume
    assert volume == pytest.approx(4 / 3 * np.pi * 1000, rel=0.1)


def test_what_is_left_over_is_as_large_as_said():
    centre = IMAGE.grid.centre
    shifted = failures.left_over(Identity(3), centre, 0.0, (3.0, 0, 4))
    assert np.allclose(error_mm(shifted, Identity(3), POINTS), 5)
    turned = failures.left_over(Identity(3), centre, 30.0, np.zeros(3))
    radius = np.linalg.norm((POINTS - centre)[:, :2], axis=1)
    assert np.allclose(error_mm(turned, Identity(3), POINTS), 2 * np.sin(np.radians(15)) * radius)
    assert np.allclose(failures.inflated(Identity(3), centre, (2, 1, 1))(centre + 1.0), centre + np.array([2, 1, 1]))


def test_a_bent_map_is_bent_by_its_amplitude_and_does_not_fold():
    bent = failures.bent(Identity(3), IMAGE.grid, np.random.default_rng(0), 4.0, 25.0)
    assert error_mm(bent, Identity(3), POINTS).max() == pytest.approx(4, rel=0.2)
    assert jacobian_determinant(bent, IMAGE.grid).min() > 0


@pytest.mark.parametrize(("depth", "folds"), [(0.3, False), (3.0, True)])
def test_a_folded_map_folds(depth, folds):
    folded = failures.folded(Identity(3), IMAGE.grid, np.random.default_rng(0), depth)
    assert (jacobian_determinant(folded, IMAGE.grid).min() <= 0) == folds
