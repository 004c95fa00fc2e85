import numpy as np
import pytest

import voxalign as vx


def test_frames_of_any_kind_are_followed():
    grid = vx.Grid((64, 72), np.array([[-2.5, 0, 78], [0, 2.5, -85], [0, 0, 1]]))
    frames = list(vx.phantom.sequence("drifting", 3, grid))
    tracker = vx.track(frames[0].image)
    for frame in (frames[2].image, frames[2].image.array):
        found = tracker(frame)
        assert not found.lost and not tracker.lost and found.confidence > 0.8
        assert vx.phantom.error_mm(found.transform, frames[2].truth, frames[0].labels).mean() < 0.5
    assert tracker(np.zeros(grid.shape)).lost and tracker.lost


def test_refusals():
    with pytest.raises(vx.UsageError, match="model of motion"):
        vx.track(np.random.default_rng(0).random((20, 20)), transform="deformable")
    with pytest.raises(vx.InputError, match="expected contrast"):
        vx.track(np.ones((20, 20)))
