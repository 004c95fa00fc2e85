"""What a network calls familiar: its own images, and not noise or stripes."""
import json

import numpy as np
import pytest
import torch

from voxalign import nn
from voxalign.nn.familiar import Familiar, described, learn
from voxalign.train import synthesise
from voxalign.train.randomness import generator


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return nn.build(nn.Pyramid(2, channels=(8, 12), hidden=4)).eval()


def drawn(number):
    g = generator("cpu", 5, number)
    return synthesise.painted(g, synthesise.shapes(g, (32, 32)))[None]


@pytest.fixture(scope="module")
def familiar(network):
    return learn(network, map(drawn, range(200)))


def test_images_of_the_same_kind_are_familiar(network, familiar):
    strange = [familiar.strangeness(described(network, drawn(number))) for number in range(1000, 1100)]
    assert np.mean(np.array(strange) > 1) < 0.1


@pytest.mark.parametrize("image", [torch.rand(1, 32, 32, generator=generator("cpu", 1)),
                                   (torch.arange(32) % 2).float().expand(1, 32, 32), torch.full((1, 32, 32), 5.0)])
def test_others_are_not(network, familiar, image):
    assert familiar.strangeness(described(network, image)) > 1


def test_the_distance_is_that_of_mahalanobis():
    rows = np.random.default_rng(0).normal(size=(4000, 5)) @ np.diag([3.0, 1.0, 2.0, 0.5, 1.5])
    found, inverse = Familiar.of(rows), np.linalg.inv(np.cov(rows[::2].T, bias=True))
    for row in rows[:5]:
        apart = row - rows[::2].mean(0)
        assert found.distance(row) == pytest.approx(np.sqrt(apart @ inverse @ apart), rel=1e-6)


def test_through_json(network, familiar):
    again, image = Familiar.from_dict(json.loads(json.dumps(familiar.as_dict()))), described(network, drawn(7))
    assert again.strangeness(image) == pytest.approx(familiar.strangeness(image), rel=1e-2)
