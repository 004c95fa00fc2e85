import numpy as np
import pytest

from voxalign import phantom
from voxalign.core import Grid, InputError, UsageError, resample
from voxalign.phantom import ThoraxLabel


def grid_of(dim, spacing, half):
    affine = np.diag([spacing] * dim + [1.0])
    affine[:-1, -1] = -np.asarray(half[:dim])
    return Grid(tuple(int(2 * h / spacing) for h in half[:dim]), affine)


@pytest.mark.parametrize("kind", ["breathing", "beating", "drifting"])
def test_frames_come_one_by_one_with_their_truth(kind):
    grid = grid_of(2, 3.0, (170, 130))
    frames = phantom.sequence(kind, 4, grid, seed=1)
    first = next(frames)
    assert first.time == 0 and np.allclose(first.truth(np.ones((1, 2))), 1)
    for frame in frames:
        back = resample(frame.labels, grid, frame.truth).array
        assert np.mean(back == first.labels.array) > 0.93  # thin layers at 3 mm
        assert not np.array_equal(frame.labels.array, first.labels.array)
    assert frame.time == 0.75


def test_breathing_moves_the_lungs_as_its_truth_says():
    frames = list(phantom.sequence("breathing", 2, grid_of(3, 6.0, (180, 120, 140)), seed=1))
    lung = [np.isin(f.labels.array, (ThoraxLabel.LEFT_LUNG, ThoraxLabel.RIGHT_LUNG)) for f in frames]
    back = resample(frames[1].labels, frames[0].labels.grid, frames[1].truth).array
    there = np.isin(back, (ThoraxLabel.LEFT_LUNG, ThoraxLabel.RIGHT_LUNG))
    dice = [2 * (lung[0] & other).sum() / (lung[0].sum() + other.sum()) for other in (lung[1], there)]
    assert dice[1] > 0.94 and dice[1] > dice[0]


def test_refusals():
    grid = grid_of(2, 8.0, (100, 100))
    with pytest.raises(UsageError, match="breathing"):
        phantom.sequence("breathin", 3, grid)
    with pytest.raises(InputError, match="at least 1"):
        phantom.sequence("drifting", 0, grid)
