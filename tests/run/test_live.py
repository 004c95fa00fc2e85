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


def test_a_network_follows_what_deforms(tmp_path):
    torch = pytest.importorskip("torch")
    from voxalign import nn
    from voxalign.nn import weights

    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.build(nn.Recurrent(2, channels=(4, 6), hidden=8))
        torch.nn.init.normal_(module.head.weight, std=0.02)
    weights.save(tmp_path / "w.safetensors", module)
    grid = vx.Grid((40, 36), np.array([[-5.0, 0, 98], [0, 5, -90], [0, 0, 1]]))
    frames = [frame.image for frame in vx.phantom.sequence("breathing", 3, grid)]
    tracker = vx.track(frames[0], weights=str(tmp_path / "w.safetensors"))
    found = tracker(frames[1].array)
    assert not found.lost and found.confidence > 0.5 and type(found.transform).__name__ == "Velocity"
    assert tracker(np.zeros(grid.shape)).lost and tracker.lost
    with pytest.raises(vx.UsageError, match="one of the two"):
        vx.track(frames[0], transform="rigid", weights=str(tmp_path / "w.safetensors"))


def test_refusals():
    with pytest.raises(vx.UsageError, match="model of motion"):
        vx.track(np.random.default_rng(0).random((20, 20)), transform="deformable")
    with pytest.raises(vx.InputError, match="expected contrast"):
        vx.track(np.ones((20, 20)))
