"""A classifier of patches as a judge of whole images, and of starts."""
import sys

import numpy as np
import pytest
import torch

from voxalign import phantom
from voxalign.core import UsageError, compose
from voxalign.nn import Classifier, Inputs, build, weights
from voxalign.register.aligned import PATCH, aligned, best_start, places
from voxalign.train.data import shift


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A classifier whose weights are written down: the more two patches differ, the less they are aligned."""
    network = build(Classifier(2, channels=(2,)))
    with torch.no_grad():
        for layer in (network.encoder.stem, network.encoder.blocks[0].layers[0]):
            layer.weight.zero_(), layer.bias.zero_()
        for feature, sign in enumerate((1.0, -1.0)):
            network.encoder.stem.weight[feature, 0, 1, 1], network.encoder.stem.weight[feature, 1, 1, 1] = sign, -sign
            network.encoder.blocks[0].layers[0].weight[feature, feature, 1, 1] = 1
        network.head.weight.copy_(torch.tensor([[-40.0, -40.0, 0, 0]])), network.head.bias.fill_(3.0)
    path = tmp_path_factory.mktemp("aligned") / "classifier.safetensors"
    weights.save(path, network, meta={"inputs": Inputs(start="headers").as_dict()})
    return str(path)


def test_the_truth_looks_aligned_and_wins(file):
    pair = phantom.slice_pair(0, 3.0)
    starts = [compose([shift(np.array(by)), pair.truth]) for by in ((25.0, 0.0), (0.0, 0.0), (0.0, -9.0))]
    found = [aligned(pair.fixed, pair.moving, start, file) for start in starts]
    assert found[1] > max(found[0], found[2]) + 0.1 and all(0 <= value <= 1 for value in found)
    assert best_start(pair.fixed, pair.moving, starts, file) == 1


def test_patches_cover_the_image_and_stay_inside():
    seen = np.zeros((70, 20))
    for place in places(seen.shape):
        seen[place] += 1
        assert seen[place].shape == (PATCH, 20)
    assert seen.min() == 1


def test_nothing_to_say(file, monkeypatch):
    pair = phantom.slice_pair(0, 4.0)
    with pytest.raises(UsageError, match="no starts"):
        best_start(pair.fixed, pair.moving, [], file)
    monkeypatch.setattr(sys.modules["voxalign.register.aligned"], "_SHOWS", 9.0)  # no patch varies as much
    with pytest.raises(UsageError, match="nothing to compare"):
        aligned(pair.fixed, pair.moving, pair.truth, file)
