import numpy as np
import pytest
import torch

from voxalign import nn
from voxalign.core import Grid, Image, InputError, UsageError
from voxalign.nn import weights
from voxalign.register import Settings
from voxalign.register.learned import learned
from voxalign.register.recurrent import Follower, recurrent

GRID = Grid((30, 24), np.array([[0, 1.5, 4], [-1, 0, 7], [0, 0, 1]]))


def image(seed):
    return Image(np.random.default_rng(seed).normal(300, 40, GRID.shape).astype(np.float32), GRID)


@pytest.fixture
def file(tmp_path):
    module = nn.build(nn.Recurrent(2, channels=(4, 6), hidden=8))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.nn.init.normal_(module.head.weight, std=0.3)
    weights.save(tmp_path / "r.safetensors", module, meta={"inputs": {"spacing": 1.5, "start": "headers"}})
    return str(tmp_path / "r.safetensors")


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
