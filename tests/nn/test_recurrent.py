from dataclasses import replace

import pytest
import torch
from tolerances import NETWORK_BATCH_VOXELS

from voxalign import nn

KINDS = [nn.Recurrent(2, channels=(4, 6), hidden=8), nn.Recurrent(3, channels=(4, 6), hidden=8, radius=1, looks=1, rounds=2)]
SHAPES = {2: (20, 13), 3: (9, 12, 8)}


def awake(kind):
    """A network that moves things, and trusts now more, now less."""
    module = nn.build(kind)
    torch.nn.init.normal_(module.head.weight, std=0.3)
    torch.nn.init.normal_(module.gains.weight, std=0.3)
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
    """The same frame says something else after other frames, and by each part of the memory alone."""
    module, (fixed, one, two, other) = awake(kind), images(kind, 4)
    last = [list(module.follow(fixed, [first, two]))[-1].velocity for first in (one, other)]
    assert not torch.allclose(*last)
    features, shown, memory = module.features(fixed), module.features(two), module.begin(fixed)
    plain = module.step(features, shown, memory).velocity
    for name in ("state", "velocity", "rate"):
        stirred = replace(memory, **{name: torch.randn_like(getattr(memory, name))})
        assert not torch.allclose(module.step(features, shown, stirred).velocity, plain)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_answer_lies_between_forecast_and_frame(kind):
    module, (fixed, frame) = awake(kind), images(kind, 2)
    rest = module.begin(fixed)
    before = replace(rest, velocity=torch.rand_like(rest.velocity), rate=torch.rand_like(rest.rate))
    after, forecast = module.step(module.features(fixed), module.features(frame), before), before.velocity + before.rate
    part = (after.velocity - forecast) / (after.look.velocity - forecast)
    assert part.min() > -0.01 and part.max() < 1.01 and part.std() > 1e-3


def test_trust_learns_nothing_but_trust():
    """What is said in the end teaches features and looks nothing: they learn from what frames say by themselves."""
    module, (fixed, one, two) = awake(KINDS[0]), images(KINDS[0], 3)
    list(module.follow(fixed, [one, two]))[-1].velocity.square().sum().backward()
    taught = {name.split(".")[0] for name, p in module.named_parameters() if p.grad is not None and p.grad.any()}
    assert taught == {"trust", "gains"}


def test_a_pair_is_looked_at_in_rounds():
    fixed, moving = images(KINDS[0], 2)
    more = awake(replace(KINDS[0], rounds=4))
    less = nn.build(KINDS[0])
    less.load_state_dict(more.state_dict())
    assert not torch.allclose(less(fixed, moving).velocity, more(fixed, moving).velocity)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_pairs_of_a_batch_are_independent(kind):
    module, (fixed, moving) = awake(kind), images(kind, 2, batch=2)
    assert torch.allclose(module(fixed, moving).displacement()[1:], module(fixed[1:], moving[1:]).displacement(), atol=NETWORK_BATCH_VOXELS)


def test_every_weight_is_used():
    module, (fixed, one, two) = awake(KINDS[0]), images(KINDS[0], 3)
    said = list(module.follow(fixed, [one, two]))
    sum(p.velocity.square().sum() for frame in said for p in (frame, *frame.levels)).backward()
    assert not [name for name, p in module.named_parameters() if p.grad is None or not p.grad.any()]


def test_gain_and_offset_of_features_do_not_matter():
    """An even frame is nothing to go by, and no division by zero."""
    module, (fixed, _) = awake(KINDS[0]), images(KINDS[0], 2)
    assert module(fixed, torch.ones_like(fixed)).displacement().isfinite().all()
    for level in module.features(fixed):
        features = level.flatten(2)
        assert features.mean(2).abs().max() < 1e-5 and torch.allclose(features.square().sum(1).mean(1), torch.ones(1), atol=0.05)
