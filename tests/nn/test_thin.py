"""Pyramids with fewer features."""
import pytest
import torch

from voxalign.core import InputError
from voxalign.nn import Pyramid, build
from voxalign.nn.thin import thinned


def pyramid(**choices):
    torch.manual_seed(0)
    network = build(Pyramid(2, channels=(4, 6), hidden=8, looks=(1, 2), **({"convolutions": 1, "conditioned": False} | choices)))
    for level in network.levels:
        torch.nn.init.normal_(level.head.weight, std=0.1)
    return network


def test_features_that_weigh_nothing_are_the_ones_that_go():
    network, images = pyramid(), torch.rand(2, 1, 1, 12, 10)
    with torch.no_grad():
        for number, level in enumerate(network.levels):
            for layer in (level.mix, level.block.layers[0]):
                layer.weight[1::2], layer.bias[1::2] = 0, 0
            level.block.layers[0].weight[:, 1::2] = 0
            level.head.weight[:, 1::2] = 0
            if number == 0:
                level.mix.weight[:, -8:][:, 1::2] = 0
        before, after = network(*images), thinned(network, 4)(*images)
    assert after.velocity.abs().max() > 0.01 and torch.allclose(before.velocity, after.velocity, atol=1e-6)


def test_what_cannot_be_thinned():
    for network, hidden in ((pyramid(), 8), (pyramid(), 0), (pyramid(conditioned=True), 4), (pyramid(convolutions=2), 4)):
        with pytest.raises(InputError, match="thinned"):
            thinned(network, hidden)
