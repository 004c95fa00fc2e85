import numpy as np
import pytest
import torch

from voxalign import nn
from voxalign.nn.prediction import Prediction
from voxalign.nn.saliency import integrated_gradients, occlusion

VOXEL = (12, 13)


class Planted(torch.nn.Module):
    """Everything moves as much as one square of the moving image is brighter than one of the fixed image."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(3.0))

    def forward(self, fixed, moving):
        amount = self.weight * (moving[:, 0, 16:20, 4:8].mean((1, 2)) - fixed[:, 0, 8:12, 12:16].mean((1, 2)))
        return Prediction(torch.stack([amount, -amount], 1)[..., None, None].expand(-1, -1, 24, 28), (24, 28))


def images(seed=0):
    rng = np.random.default_rng(seed)
    fixed, moving = rng.random((2, 1, 24, 28)).astype(np.float32)
    moving[0, 16:20, 4:8] += 1
    return fixed, moving


def random_network(seed):
    torch.manual_seed(seed)
    module = nn.build(nn.UNet(2, channels=(4, 6, 8))).eval()
    torch.nn.init.normal_(module.head.weight, std=0.3)
    return module


def test_a_planted_structure_is_found():
    shares = integrated_gradients(Planted(), images(), VOXEL)[:, 0]
    inside = np.zeros((2, 24, 28), bool)
    inside[0, 8:12, 12:16] = inside[1, 16:20, 4:8] = True
    assert not shares[~inside].any() and np.abs(shares[inside]).sum() > 1
    covered = occlusion(Planted(), images(), VOXEL, 4)
    assert np.argmax(covered) == np.ravel_multi_index((1, 4, 1), covered.shape)
    others = np.ones(covered.shape, bool)
    others[0, 2, 3] = others[1, 4, 1] = False
    assert np.abs(covered[others]).max() < 1e-5


def test_shares_add_up():
    module, pair = random_network(0), images()
    shares = integrated_gradients(module, pair, VOXEL, steps=64)
    with torch.no_grad():
        given = torch.from_numpy(np.stack(pair))
        even = given.mean((2, 3), keepdim=True).expand_as(given)
        u, u0 = (module(g[None, 0], g[None, 1]).displacement()[0][(slice(None), *VOXEL)] for g in (given, even))
    assert shares.sum() == pytest.approx(float((u - u0) @ u / u.norm()), rel=0.05)


def test_the_weights_matter():
    one, other = (integrated_gradients(random_network(seed), images(), VOXEL).ravel() for seed in (1, 2))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.5 and np.corrcoef(one, one)[0, 1] > 0.99


def test_far_away_nothing_matters():
    shares = np.abs(integrated_gradients(random_network(1), (np.zeros((1, 96, 20), np.float32) + np.eye(96, 20), images()[0][:, :1].repeat(
        96, 1)[..., :20]), (4, 10)))
    assert shares[..., 60:, :].max() < 1e-6 < shares[..., :20, :].max()
