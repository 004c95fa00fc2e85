"""Sequences with known motion, and a network that learns to follow them."""
import csv

import people
import pytest
import torch
from tolerances import GRADIENT

import voxalign as vx
from voxalign import UsageError, nn
from voxalign.nn import fields, weights
from voxalign.nn.recurrent import Memory
from voxalign.train import catalogue, loop, motion, source, table
from voxalign.train.objective import displacement
from voxalign.train.randomness import generator, smooth_noise
from voxalign.train.recipe import Recipe

MADE = {"task": "sequence", "synthesise": ("head",), "shape": (24, 24), "frames": 3, "image_weight": 0.0, "field_weight": 1.0,
        "smoothness": 0.02}


def smooth_image(shape=(32, 28)):
    """So smooth that reading it between voxels costs little."""
    return smooth_noise(generator("cpu", 5), shape, 14.0) * 0.2 + 0.5


@pytest.mark.parametrize("kind", sorted(motion.MOTIONS))
@pytest.mark.parametrize("shape", [(32, 28), (24, 20, 22)], ids=str)
def test_the_map_to_every_frame_is_known(kind, shape, monkeypatch):
    monkeypatch.setattr(motion, "_NOISE", (0.0, 0.0))
    monkeypatch.setattr(motion, "_SPOILED", 0.0)
    image = smooth_image(shape)
    made = motion.sequence(generator("cpu", 2), image, kind, 5)
    assert made.frames.shape == (5, 1, *shape) and made.displacement.shape == (5, len(shape), *shape)
    back = fields.warp(made.frames, made.displacement)
    inner = (..., *(slice(3, -3) for _ in shape))  # what left the image cannot come back
    assert (back - image)[inner].abs().mean() < 0.2 * (made.frames - image)[inner].abs().mean()
    assert 1 < made.displacement.norm(dim=1).max() < 0.2 * max(shape)


@pytest.mark.parametrize("kind", ["breathing", "beating"])
def test_cycles_return(kind, monkeypatch):
    monkeypatch.setattr(motion, "uniform", lambda g, low=0.0, high=1.0: low if (low, high) in ((5, 12), (4, 9)) else (low + high) / 2)
    period = {"breathing": 5, "beating": 4}[kind]
    made = motion.sequence(generator("cpu", 2), smooth_image(), kind, 2 * period)
    size = made.displacement.norm(dim=1).mean((1, 2))
    assert size[period - 1] < 1e-4 * size.max() and torch.allclose(size[:period - 1], size[period:-1], rtol=1e-3)


def test_nobody_can_guess_how_much_moves_and_where():
    drawn = [motion.varied(generator("cpu", k), (20, 18)) for k in range(40)]
    sizes, local = [reach for reach, _ in drawn], [float(where.min()) < 0.1 for _, where in drawn]
    assert sizes.count(0.0) > 0 and max(sizes) > 3 * sorted(sizes)[10] and 8 < sum(local) < 32


@pytest.mark.parametrize("kind", sorted(motion.MOTIONS))
def test_what_is_still_does_not_move(kind):
    made = motion.sequence(generator("cpu", 1), smooth_image(), kind, 3, lambda g, lattice: (0.0, torch.ones(lattice)))
    assert not made.displacement.any() and made.frames.std(0).mean() > 0  # noise alone


def descend(made, network, keys) -> list[float]:
    """Train on the samples that ``keys(step)`` names; every loss."""
    optimiser, losses = torch.optim.Adam(network.parameters(), 5e-3), []
    for step in range(made.recipe.steps):
        optimiser.zero_grad()
        loss = sum(made.loss(network, keys(step)).values())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


def test_two_sequences_are_learned_by_heart(task):
    made = task(**people.TINY | MADE | {"steps": 40})
    losses = descend(made, loop.fresh(made.network, made.recipe), lambda _: [(0, 0), (0, 1)])
    assert min(losses[-5:]) < 0.5 * losses[0]


@pytest.mark.slow
def test_following_is_learned_and_stands_on_the_state(task, monkeypatch):
    """Sequences never seen, in which everything moves: less off than nothing, than without memory, and than with another's memory.

    Of sequences in which little moves or nothing, so small a network learns next to nothing in so few steps.
    """
    monkeypatch.setattr(motion, "varied", motion.strong)
    made = task(**people.TINY | MADE | {"steps": 400, "batch": 3, "frames": 5, "shape": (32, 32), "synthesise": ("head", "shapes")})
    network = loop.fresh(made.network, made.recipe)
    descend(made, network, lambda step: [(step, k) for k in range(made.recipe.batch)])
    after = made.scores(network.eval(), "validation")
    assert after["error_mm"] < 0.8 * after["error_mm_before"] and after["error_mm"] < after["error_mm_without_memory"]
    assert confused(made, network) > 1.02 * after["error_mm"]


def _another(memory: Memory) -> Memory:
    return Memory(*(values.roll(1, 0) for values in (memory.state, memory.velocity, memory.rate)))


@torch.no_grad()
def confused(made, network) -> float:
    """The error when the memory is another sequence's before every frame."""
    sequences = [made.sequence(made.fixed_generator("validation", k), "validation") for k in range(8)]
    fixed = torch.cat([frames[0].fixed for frames in sequences])
    features, memory, wrong = network.features(fixed), network.begin(fixed), []
    for batches in zip(*sequences, strict=True):
        frame, true = (torch.cat([getattr(b, name) for b in batches]) for name in ("moving", "field"))
        memory = network.step(features, network.features(frame), _another(memory))
        wrong.append((displacement(network.said(memory, fixed)) - true).norm(dim=1).mean())
    return float(torch.stack(wrong).mean())


def test_going_on_gives_the_same_bits(train):
    choices = MADE | {"steps": 4, "validate_every": 2}
    whole = train("whole", **choices)

    def stop(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("parts", stop, **choices)
    parts = train("parts", **choices)
    assert all(torch.equal(value, parts.network.state_dict()[key]) for key, value in whole.network.state_dict().items())


def test_sequences_may_be_computed_together(task):
    made = task(**people.TINY | MADE)
    network, gradients = loop.fresh(made.network, made.recipe), []
    for groups in ([[(0, 0), (0, 1)]], [[(0, 0)], [(0, 1)]]):
        network.zero_grad()
        for keys in groups:
            (sum(made.loss(network, keys).values()) / len(groups)).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    assert (gradients[0] - gradients[1]).abs().max() < GRADIENT * gradients[0].abs().max()


def test_frames_of_the_users_own(tmp_path):
    """Images of one person in the order of the table; nobody knows how they moved."""
    base, rows = smooth_image((28, 24)), []
    for person in "abc":
        moved = motion.sequence(generator("cpu", ord(person)), base, "breathing", 4)
        for k, frame in enumerate([base, *moved.frames]):
            vx.save(vx.Image(frame[0].numpy(), vx.Grid((28, 24), torch.eye(3).numpy())), tmp_path / f"{person}{k}.nii.gz")
            rows.append((f"{person}{k}.nii.gz", person))
    with open(tmp_path / "frames.csv", "w", newline="") as file:
        csv.writer(file).writerows([("image", "person"), *rows])
    recipe = Recipe(**(people.TINY | {"task": "sequence", "frames": 3, "start": "headers", "loss": "mse", "steps": 3, "validate_every": 3}))
    where = source.from_table(table.read(tmp_path / "frames.csv"), recipe)
    assert sorted(len(s) for part in where.sequences.values() for s in part) == [5, 5, 5]
    made = catalogue.TASKS["sequence"](recipe, where)
    assert len(made.sequence(generator("cpu", 0), "train")) == 3
    (tmp_path / "run").mkdir()
    state = loop.train(made, loop.fresh(made.network, recipe), loop.Run(tmp_path / "run"))
    assert state.history[-1]["loss"] > 0 and isinstance(weights.load(tmp_path / "run" / loop.WEIGHTS)[0].architecture, nn.Recurrent)


def test_a_recurrent_network_registers_pairs(train):
    state = train(network="recurrent", steps=3)
    assert isinstance(state.network.architecture, nn.Recurrent) and "dice" in state.history[-1]


def test_no_motions():
    with pytest.raises(UsageError, match="motions is empty"):
        Recipe(motions=())


def test_everybody_goes_to_the_same_other_place(data_folder):
    from voxalign.train import augment

    sample = source.from_table(table.read(data_folder), Recipe(**people.TINY)).store.sample(0)
    one, other = augment.alike(generator("cpu", 3), (sample, sample), 1.0)
    assert torch.equal(one.image, other.image) and not torch.equal(one.image, sample.image)
