import numpy as np
import pytest
from scipy.stats import spearmanr

import voxalign as vx
from voxalign import nn, phantom
from voxalign.core import Identity, InputError
from voxalign.judge import explain
from voxalign.nn import Inputs
from voxalign.register.learned import Learned

torch = pytest.importorskip("torch")
PAIR = phantom.slice_pair(2, 6.0)


def test_a_method_that_knows_is_of_one_mind():
    """What knows the true maps answers every question alike."""
    def truth(fixed, moving):
        asked.append((fixed, moving))
        mirror = explain._mirror(PAIR.fixed.grid)
        if fixed is not PAIR.fixed:
            return vx.compose([mirror, PAIR.truth, mirror])
        if moving is not PAIR.moving:
            raise LookupError
        return PAIR.truth

    asked = []
    spread = explain.spread_mm(truth, PAIR.fixed, PAIR.moving, trials=2)
    assert len(asked) == 2 and spread.grid == PAIR.fixed.grid and spread.data.max() < 1e-3


def test_a_method_that_guesses_is_not():
    """What never looks is wrong by the known map each time: the spread is of its size."""
    spread = explain.spread_mm(lambda fixed, moving: Identity(2), PAIR.fixed, PAIR.moving, trials=5, amplitude_mm=8.0)
    assert 0.5 < spread.data.mean() < 8.0


def test_it_is_large_where_a_method_is_wrong():
    def method(fixed, moving):
        return vx.register(fixed, moving, initial="moments", threads=1).transform

    pair = phantom.slice_pair(2, 4.0, motion=phantom.Motion(4.0, (0, 0, 1), (3.0, 2.0, 0.0), 9.0, 45.0))
    spread = explain.spread_mm(method, pair.fixed, pair.moving, trials=5)
    points = np.argwhere(pair.fixed_labels.array > 0)
    error = phantom.error_mm(method(pair.fixed, pair.moving), pair.truth, pair.fixed.grid.world(points))
    assert spearmanr(spread.array[tuple(points.T)], error).statistic > 0.3


def test_one_answer_is_none():
    with pytest.raises(InputError, match="at least 2"):
        explain.spread_mm(lambda fixed, moving: Identity(2), PAIR.fixed, PAIR.moving, trials=1)


@pytest.fixture
def network():
    torch.manual_seed(0)
    module = nn.build(nn.UNet(2, channels=(4, 6))).eval()
    torch.nn.init.normal_(module.head.weight, std=0.3)
    return Learned(module, Inputs(), "UNet", 100.0)


@pytest.mark.parametrize("patch_mm", [None, 24.0])
def test_what_is_near_moves_a_point(network, patch_mm):
    point = PAIR.fixed.grid.centre + np.array([20.0, -15.0])
    for share in explain.saliency(network, PAIR.fixed, PAIR.moving, point, patch_mm=patch_mm):
        peak = share.grid.points().reshape(-1, 2)[np.abs(share.array).argmax()]
        assert np.linalg.norm(peak - point) < 60


def test_a_point_outside(network):
    with pytest.raises(InputError, match="outside"):
        explain.saliency(network, PAIR.fixed, PAIR.moving, (1e4, 0.0))
