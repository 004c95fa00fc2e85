import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from voxalign import nn
from voxalign.core import Grid, Image, InputError, UsageError, resample
from voxalign.nn import weights
from voxalign.register import Settings
from voxalign.register.follow import Anchor
from voxalign.register.learned import learned
from voxalign.register.recurrent import Follower, RecurrentTracker, recurrent
from voxalign.transforms import Rigid

GRID = Grid((30, 24), np.array([[0, 1.5, 4], [-1, 0, 7], [0, 0, 1]]))


def image(seed):
    return Image(np.random.default_rng(seed).normal(300, 40, GRID.shape).astype(np.float32), GRID)


def smooth_image(seed):
    """With edges that a warp of some mm does not tear apart."""
    values = gaussian_filter(np.random.default_rng(seed).normal(0, 1, GRID.shape), 2.0)
    return Image((300 + 1000 * values).astype(np.float32), GRID)


def saved(path, size):
    """The file of a network whose answers are random and about ``size`` large."""
    module = nn.build(nn.Recurrent(2, channels=(4, 6), hidden=8))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.nn.init.normal_(module.head.weight, std=size)
    weights.save(path, module, meta={"inputs": {"spacing": 1.5, "start": "headers"}})
    return str(path)


@pytest.fixture
def file(tmp_path):
    return saved(tmp_path / "r.safetensors", 0.3)


@pytest.fixture
def quiet(tmp_path):
    return saved(tmp_path / "q.safetensors", 0.02)


def test_frames_get_what_the_network_says_in_order(file):
    frames, points = [image(k) for k in (1, 2, 3)], GRID.corners()
    found = [transform(points) for transform in recurrent(frames, image(0), file)]
    follower = Follower(image(0), file)
    assert all(np.array_equal(follower(frame)(points), one) for frame, one in zip(frames, found, strict=True))
    assert not np.allclose(found[0], points)


def test_it_remembers_until_it_forgets(file):
    follower, points = Follower(image(0), file), GRID.corners()
    first, again = follower(image(1))(points), follower(image(1))(points)
    follower.forget()
    assert not np.allclose(first, again) and np.array_equal(follower(image(1))(points), first)


def test_a_pair_by_the_same_weights(file):
    found = learned(image(0), image(1), Settings(weights=file, initial="none", device="cpu"))
    assert found.fixed_grid == GRID and np.isfinite(found.transform(GRID.corners())).all() and "Recurrent" in found.notes[-1]


def test_frames_that_show_something_else_are_lost_and_teach_nothing(quiet):
    tracker, fixed = RecurrentTracker(smooth_image(0), quiet), smooth_image(0)
    first = tracker(fixed)
    for nothing in (smooth_image(5), fixed.with_data(np.ones_like(fixed.data))):
        found = tracker(nothing)
        assert found.lost and tracker.lost and found.transform is first.transform and found.confidence < 0.35
    other = RecurrentTracker(smooth_image(0), quiet)
    other(fixed)
    again = tracker(fixed)
    assert not first.lost and not again.lost
    assert np.array_equal(again.transform(GRID.corners()), other(fixed).transform(GRID.corners()))


def test_confidence_is_what_the_engine_says_of_the_same_map():
    fixed, shift = smooth_image(0), Rigid.from_params([0.0, 1.5, 0], GRID.centre)
    anchor, frame = Anchor(fixed), resample(fixed, GRID, shift.inverse())
    fit = anchor.fit(frame)
    assert np.isclose(anchor.agreement(frame, fit.transform), fit.confidence, atol=0.01) and fit.confidence > 0.8
    assert anchor.agreement(frame, anchor.start) < 0.9 * fit.confidence


def test_the_nearest_rigid_motion(file):
    tracker, shift = RecurrentTracker(smooth_image(0), file), Rigid.from_params([0.1, 3.0, -2], GRID.centre)
    assert np.allclose(tracker.rigid(shift).params, shift.params) and np.allclose(tracker.rigid(shift).centre, GRID.centre)


def test_what_cannot_be_followed(file, tmp_path):
    with pytest.raises(UsageError, match="--weights"):
        Follower(image(0), None)
    flat = np.zeros((4, 4, 4), np.float32)
    flat[2] = 1
    with pytest.raises(InputError, match="3-D, expected 2-D"):
        Follower(image(0), file)(Image(flat, Grid((4, 4, 4), np.eye(4))))
    weights.save(tmp_path / "u.safetensors", nn.build(nn.UNet(2, channels=(4,))))
    with pytest.raises(InputError, match="holds a UNet, expected a Recurrent"):
        Follower(image(0), str(tmp_path / "u.safetensors"))
