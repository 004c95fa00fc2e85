"""Going on from where a registration ended tells how far off it was."""
import numpy as np
import pytest

from voxalign.core import Transform
from voxalign.judge.pull import pull
from voxalign.judge.views import View
from voxalign.phantom import Motion, Pair, failures, head_pair, slice_pair
from voxalign.register.prepare import scale

GENTLE = Motion(amplitude_mm=3.0)


@pytest.fixture(scope="module", params=["head", "slice", "two contrasts"])
def pair(request) -> Pair:
    made = {"head": lambda: head_pair(3, 4.5, motion=GENTLE), "slice": lambda: slice_pair(2, 1.6, motion=GENTLE),
            "two contrasts": lambda: head_pair(3, 4.5, moving_modality="T2", motion=GENTLE)}
    return made[request.param]()


def found(pair: Pair, transform: Transform) -> float:
    return pull(View.of((scale(pair.fixed), scale(pair.moving)), transform, 2.0))


def test_the_truth_is_hardly_left_and_a_shift_is_undone(pair):
    shift = np.full(pair.fixed.dim, 8 / np.sqrt(pair.fixed.dim))
    assert found(pair, pair.truth) < 1.2  # mm
    assert found(pair, failures.left_over(pair.truth, shift, 0.0, shift)) == pytest.approx(8, abs=1.0)


def test_where_nothing_is_shown_nothing_moves(pair):
    away = np.full(pair.fixed.dim, 1e4)
    assert found(pair, failures.left_over(pair.truth, away, 0.0, away)) < 0.1
