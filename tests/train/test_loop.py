"""Steps, checkpoints, and that nothing depends on how the work was cut."""
import json

import people
import pytest
import torch
from safetensors.torch import load_file, save_file
from tolerances import GRADIENT

from voxalign import InputError, UsageError, nn
from voxalign.core import VoxalignError
from voxalign.nn import weights
from voxalign.train import checkpoint, loop, privacy, source, table, tasks
from voxalign.train.recipe import Recipe, architecture


def same(a: dict, b: dict) -> bool:
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


def test_training_brings_people_together(train):
    state = train(steps=60, validate_every=30, rate=0.01, batch=4, smoothness=0.2, label_weight=2.0, augment=0.0)
    first, last = state.history[0], state.history[-1]
    assert last["dice"] > last["dice_before"] + 0.05 and last["folded_percent"] < 1
    assert state.course.best == max(h["score"] for h in state.history) >= first["score"]


def test_one_seed_is_one_result(train):
    first, again, other = train("a"), train("b"), train("c", seed=1)
    assert same(first.network.state_dict(), again.network.state_dict()) and first.history[-1]["dice"] == again.history[-1]["dice"]
    assert not same(first.network.state_dict(), other.network.state_dict())


@pytest.mark.parametrize("choices", [{}, {"schedule": "plateau", "network": "unet", "conditioned": True},
                                     {"synthesise": ("shapes",), "shape": (24, 20)}], ids=str)
def test_going_on_gives_the_same_bits(train, choices):
    whole = train("whole", **choices)

    def stop(progress):
        if progress.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("parts", stop, **choices)
    parts = train("parts", **choices)  # from the checkpoint of step 3
    assert same(whole.network.state_dict(), parts.network.state_dict()) and same(whole.average, parts.average)
    assert [h["loss"] for h in whole.history] == [h["loss"] for h in parts.history] and whole.course == parts.course


def test_a_finished_training_stays_as_it_is(train, tmp_path):
    first = train()
    before = (tmp_path / "run" / loop.CHECKPOINT).read_bytes()
    again = train()
    assert same(first.network.state_dict(), again.network.state_dict()) and (tmp_path / "run" / loop.CHECKPOINT).read_bytes() == before


def test_samples_may_be_computed_together_or_one_after_the_other(task):
    gradients = []
    for choices in ({"batch": 4}, {"accumulate": 4}):
        made = task(**choices)
        state = checkpoint.begin(loop.fresh(lambda r=made.recipe: nn.build(architecture(r, 2, 1)), made.recipe), made.recipe)
        loop._gradients(made, state, loop.Crew())
        gradients.append(torch.cat([p.grad.flatten() for p in state.network.parameters()]))
    assert (gradients[0] - gradients[1]).abs().max() < GRADIENT * gradients[0].abs().max()


def test_weights_say_where_they_are_from(train, tmp_path):
    state = train()
    network, about = weights.load(tmp_path / "run" / loop.WEIGHTS)
    assert about["recipe"]["widths"] == [8, 8] and about["validation"]["dice"] == pytest.approx(state.course.best, abs=1e-6)
    assert about["step"] == state.course.best_step
    assert json.loads((tmp_path / "run" / loop.HISTORY).read_text())[-1]["step"] == 6 and not network.training


def test_kept_weights_are_the_averaged_ones(train, tmp_path):
    state = train(validate_every=6)
    kept, _ = weights.load(tmp_path / "run" / loop.WEIGHTS)
    assert same(kept.state_dict(), state.average) and not same(kept.state_dict(), state.network.state_dict())


def test_another_recipe_in_the_same_folder(train):
    train()
    with pytest.raises(UsageError, match=r"rate.*another --out"):
        train(rate=0.5)


def test_damaged_checkpoints(train, tmp_path):
    train()
    path = tmp_path / "run" / loop.CHECKPOINT
    good = path.read_bytes()
    for bad in (b"", good[: len(good) // 2], good[:-4] + b"abcd", b"PK\x03\x04" + good):
        path.write_bytes(bad)
        with pytest.raises(InputError, match="damaged"):
            train(steps=9)
    save_file(load_file_of(good, tmp_path), path, {"other": "program"})
    with pytest.raises(InputError, match="not a checkpoint"):
        train(steps=9)


def load_file_of(content: bytes, folder):
    (folder / "good.safetensors").write_bytes(content)
    return load_file(folder / "good.safetensors")


def test_patience_ends_a_training_that_does_not_improve(train):
    state = train(rate=0.0, steps=50, validate_every=1, patience=3, warm_up=0)
    assert state.step == 4 and state.course.best_step == 1


def test_a_loss_that_is_not_finite_is_said(train, monkeypatch):
    monkeypatch.setattr("voxalign.train.tasks.terms", lambda *_: {"image": torch.tensor(float("nan"), requires_grad=True)})
    with pytest.raises(VoxalignError, match="not finite"):
        train()


def test_in_half_precision_nearly_the_same(train):
    full, half = train("a", steps=3), train("b", steps=3, precision="bfloat16")
    assert half.history[-1]["loss"] == pytest.approx(full.history[-1]["loss"], rel=0.05)


@pytest.mark.parametrize("choices", [
    {"network": "unet"}, {"network": "affine"}, {"channels": ("intensity", "mind")}, {"channels": ("canny",)}, {"conditioned": True},
    {"regulariser": "bending", "folding_weight": 1.0}, {"balance": False}, {"task": "denoise"}, {"task": "alignment"},
    {"synthesise": ("maps",)}, {"loss": "mi", "label_weight": 0.0, "point_weight": 0.0}, {"convolutions": 2, "kernel": 5}], ids=str)
def test_every_kind_of_training_runs(train, choices):
    state = train(steps=2, validate_every=2, **choices)
    assert state.step == 2 and "score" in state.history[-1]


def test_denoising_is_learned(train):
    state = train(task="denoise", steps=150, validate_every=150, rate=0.003, batch=4, augment=0.0, average=0.9)
    assert state.history[-1]["psnr_db"] > state.history[-1]["psnr_db_before"] + 0.5


def test_private_gradients_are_clipped(tmp_path, monkeypatch):
    folder = people.folder(tmp_path / "d", 5)
    read = table.read(folder, folder / "images" / "p0.nii.gz", folder / "labels" / "p0.nii.gz")
    recipe = Recipe(**(people.TINY | {"noise_multiplier": 1.0, "batch": 2, "validation": 0.2, "test": 0.2, "steps": 3}))
    made = tasks.Registration(recipe, source.from_table(read, recipe))
    seen = []
    real = privacy.private_sum
    monkeypatch.setattr(privacy, "private_sum", lambda p, losses, c: seen.append(real(p, losses, c)) or seen[-1])
    (tmp_path / "run").mkdir()
    state = loop.train(made, loop.fresh(lambda: nn.build(architecture(recipe, 2, 1)), recipe), loop.Run(tmp_path / "run"))
    assert state.step == 3 and made.count_people() == 3
    lengths = [float(torch.cat([t.flatten() for t in total]).norm()) for total in seen]
    assert max(lengths) <= 3 * recipe.sample_clip + 1e-5
