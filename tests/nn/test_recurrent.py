from itertools import pairwise

import pytest
import torch
from tolerances import NETWORK_BATCH_VOXELS

from voxalign import nn
from voxalign.nn.recurrent import Memory

KINDS = [nn.Recurrent(2, channels=(4, 6), hidden=8), nn.Recurrent(3, channels=(4, 6), hidden=8, radius=1, looks=1, rounds=2)]
SHAPES = {2: (20, 13), 3: (9, 12, 8)}


def awake(kind):
    """A network that moves things."""
    module = nn.build(kind)
    torch.nn.init.normal_(module.head.weight, std=0.3)
    return module.eval()


def images(kind, count, batch=1):
    return torch.rand(count, batch, 1, *SHAPES[kind.dim]).unbind()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_untrained_it_moves_nothing(kind):
    u = nn.build(kind)(*images(kind, 2)).displacement()
    assert u.shape == (1, kind.dim, *SHAPES[kind.dim]) and u.abs().max() < 0.01


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_comes_later_changes_nothing_before(kind):
    module, (fixed, one, two, other) = awake(kind), images(kind, 4)
    said = [list(module.follow(fixed, frames)) for frames in ([one, two], [one, other])]
    assert torch.equal(said[0][0].velocity, said[1][0].velocity) and not torch.equal(said[0][1].velocity, said[1][1].velocity)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_it_remembers(kind):
    """The same frame says something else after other frames, by the state alone too."""
    module, (fixed, one, two, other) = awake(kind), images(kind, 4)
    last = [list(module.follow(fixed, [first, two]))[-1].velocity for first in (one, other)]
    assert not torch.allclose(*last)
    features, memory = module.features(fixed), module.begin(fixed)
    stirred = Memory(torch.randn_like(memory.state), memory.velocity)
    found = [module.step(features, module.features(two), m).velocity for m in (memory, stirred)]
    assert not torch.allclose(*found)


def test_a_pair_is_looked_at_in_rounds():
    module, (fixed, moving) = awake(KINDS[0]), images(KINDS[0], 2)
    said = module(fixed, moving)
    rounds = [p.velocity for p in (*said.levels, said)]
    assert len(rounds) == KINDS[0].rounds and all(not torch.equal(a, b) for a, b in pairwise(rounds))
    assert all(torch.equal(a, p.velocity) for a, p in zip(rounds, module.follow(fixed, [moving] * KINDS[0].rounds), strict=True))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_pairs_of_a_batch_are_independent(kind):
    module, (fixed, moving) = awake(kind), images(kind, 2, batch=2)
    assert torch.allclose(module(fixed, moving).displacement()[1:], module(fixed[1:], moving[1:]).displacement(), atol=NETWORK_BATCH_VOXELS)


def test_every_weight_is_used():
    module = awake(KINDS[0])
    module(*images(KINDS[0], 2)).displacement().square().sum().backward()
    assert not [name for name, p in module.named_parameters() if p.grad is None or not p.grad.any()]


def test_gain_and_offset_of_features_do_not_matter():
    """An even frame is nothing to go by, and no division by zero."""
    module, (fixed, _) = awake(KINDS[0]), images(KINDS[0], 2)
    assert module(fixed, torch.ones_like(fixed)).displacement().isfinite().all()
    for level in module.features(fixed):
        features = level.flatten(2)
        assert features.mean(2).abs().max() < 1e-5 and torch.allclose(features.square().sum(1).mean(1), torch.ones(1), atol=0.05)
