"""Networks against a critic: each has its own gradient, the critic learns to tell, and what it judges gets better."""
import csv
import json

import numpy as np
import people
import pytest
import torch

import voxalign as vx
from voxalign import InputError, nn
from voxalign.nn import fields, weights
from voxalign.run import train as runs
from voxalign.train import adversarial, catalogue, loop, source, table, translated
from voxalign.train.place import Strength
from voxalign.train.randomness import generator
from voxalign.train.recipe import Recipe

SHORT = {"steps": 4, "validate_every": 2}
LEARNING = people.TINY | {"steps": 70, "validate_every": 70, "rate": 5e-3, "batch": 4, "average": 0.9, "augment": 0.0, "smoothness": 0.1,
                          "critic_weight": 1.0}
TASKS = ("translate", "adversarial", "generate")


def learned(made, folder):
    """What a task's network says of the validation before and after training, and the parts of the loss of every step."""
    network, losses = loop.fresh(made.network, made.recipe), []
    before = made.scores(made.kept(network), "validation")
    state = loop.train(made, network, loop.Run(folder), lambda progress: losses.append(progress.losses))
    return before, state.history[-1], {name: torch.tensor([one[name] for one in losses]) for name in losses[0]}


@pytest.fixture(scope="session")
def two_kinds(tmp_path_factory, data_folder):
    """The same people as images of two kinds, the moving one off by a voxel here and there."""
    folder, rows = tmp_path_factory.mktemp("kinds"), []
    for k in range(8):
        image = vx.load(data_folder / "images" / f"p{k}.nii.gz")
        other = np.where(image.array > 0.03, 1 - image.array, 0) + 0.1 * np.sin(6 * image.array)
        vx.save(image, folder / f"f{k}.nii.gz")
        vx.save(image.with_data(np.roll(other, k % 3 - 1, k % 2)[None].astype(np.float32)), folder / f"m{k}.nii.gz")
        rows.append((f"f{k}.nii.gz", f"m{k}.nii.gz", f"p{k}"))
    with open(folder / "pairs.csv", "w", newline="") as file:
        csv.writer(file).writerows([("fixed", "moving", "person"), *rows])
    return folder / "pairs.csv"


def test_translation_is_learned_from_pairs_that_do_not_lie_on_each_other(two_kinds, tmp_path):
    recipe = Recipe(**(LEARNING | {"task": "translate", "start": "headers", "critic_weight": 0.1, "smoothness": 1.0}))
    made = catalogue.TASKS["translate"](recipe, source.from_table(table.read(two_kinds), recipe))
    before, after, losses = learned(made, tmp_path)
    assert after["correlation"] > max(before["correlation"], before["correlation_before"]) + 0.2
    assert losses["critic"][-10:].mean() < losses["critic"][:10].mean() - 0.05
    kept, about = weights.load(tmp_path / loop.WEIGHTS)
    assert isinstance(kept.architecture, nn.Translator)
    assert about["validation"]["correlation"] == pytest.approx(after["correlation"], abs=1e-5)


def test_a_critic_alone_brings_people_together(task, tmp_path):
    before, after, losses = learned(task(**LEARNING | {"task": "adversarial", "steps": 100, "validate_every": 100, "rate": 1e-2}), tmp_path)
    assert losses["critic"][-10:].mean() < losses["critic"][:10].mean() - 0.03
    assert after["dice"] > before["dice"] + 0.05 and after["tre_mm"] < before["tre_mm"] - 0.5
    assert isinstance(weights.load(tmp_path / loop.WEIGHTS)[0].architecture, nn.Pyramid)


def test_what_is_painted_gets_explained(task, tmp_path):
    before, after, losses = learned(task(**LEARNING | {"task": "generate", "steps": 130, "validate_every": 130, "rate": 1e-2}), tmp_path)
    assert losses["critic"][-10:].mean() < losses["critic"][:10].mean() - 0.03, losses["critic"]
    assert after["explained"] > before["explained"] + 0.2
    assert isinstance(weights.load(tmp_path / loop.WEIGHTS)[0].architecture, nn.Painter)


@pytest.mark.parametrize("name", TASKS)
def test_each_player_has_its_own_gradient(task, name):
    made = task(task=name, **SHORT)
    network = loop.fresh(made.network, made.recipe)
    for critical in (True, False):
        network.zero_grad()
        parts = made.loss(network, [(0, 0), (0, 1)])
        sum(value for key, value in parts.items() if (key == "critic") == critical).backward()
        moved = {key.partition(".")[0] for key, p in network.named_parameters() if p.grad is not None and p.grad.any()}
        assert moved == ({"critic"} if critical else {key.partition(".")[0] for key, _ in network.named_parameters()} - {"critic"})


@pytest.mark.parametrize("name", TASKS)
def test_going_on_gives_the_same_bits(train, name):
    whole = train("whole", task=name, **SHORT)

    def stop(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("parts", stop, task=name, **SHORT)
    parts = train("parts", task=name, **SHORT)
    assert all(torch.equal(value, parts.network.state_dict()[key]) for key, value in whole.network.state_dict().items())


@torch.no_grad()
def test_a_critic_is_wrong_only_about_what_it_is_shown():
    critic = nn.build(nn.Critic(2, channels=(4,)))
    images = torch.rand(2, 1, 8, 8)
    torch.nn.init.zeros_(critic.head.weight)
    for bias, pleased, wrong in ((20.0, 0.0, 10.0), (-20.0, 20.0, 10.0), (0.0, 0.693, 0.693)):
        torch.nn.init.constant_(critic.head.bias, bias)
        assert float(adversarial.persuaded(critic, images)) == pytest.approx(pleased, abs=1e-3)
        assert float(adversarial.mistaken(critic, (images,), (images,), (images,))) == pytest.approx(wrong, abs=1e-3)


# ---------------------------------------------------------------- pairs of one kind of image
def test_translated_pairs_have_a_known_map(data_folder):
    recipe = Recipe(**people.TINY)
    sample = source.from_table(table.read(data_folder), recipe).store.sample(0)
    made = translated.pair(generator("cpu", 1), sample, lambda images: 1 - images, Strength(10.0, 0.03, 0.05, 0.02, (2.0, 0.3)))
    back = fields.warp(made.moving[None], made.field[None])[0]
    inside = (made.counts > 0)[None] & (fields.warp(torch.ones_like(made.fixed)[None], made.field[None], "zero")[0] > 0.999)
    assert (back - (1 - made.fixed))[inside].abs().mean() < 0.06 < (made.moving - (1 - made.fixed))[inside].abs().mean()


def test_a_translator_makes_pairs_for_a_registration(data_folder, tmp_path, capsys):
    from voxalign.cli.main import main

    weights.save(tmp_path / "t.safetensors", nn.build(nn.Translator(2, channels=(4,))))
    given = {"data": data_folder, "out": tmp_path / "run", "translator": tmp_path / "t.safetensors", "threads": 1, "steps": 2}
    words = ["train", "--json", *(str(word) for key, value in given.items() for word in (f"--{key}", value))]
    words += [word for choice in ("widths=8x8", "field_weight=1", "validate_every=1", "device=cpu") for word in ("--set", choice)]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["validation"]["error_mm_before"] > 0


def test_a_translator_is_one(data_folder, tmp_path):
    weights.save(tmp_path / "t.safetensors", nn.build(nn.UNet(2, channels=(4,))))
    with pytest.raises(InputError, match="UNet, expected what --task translate makes"):
        runs.train_files(runs.Training(tmp_path / "run", Recipe(**people.TINY), data_folder, translator=tmp_path / "t.safetensors"))
