"""``voxalign train``: one command, killed, started again, started twice."""
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from people import TINY
from safetensors import safe_open
from safetensors.torch import load_file

from voxalign import InputError, InputWarning, UsageError
from voxalign.cli.main import main
from voxalign.nn import weights
from voxalign.run import train as runs
from voxalign.train import loop, processes
from voxalign.train.recipe import Recipe

SETS = [word for key, value in TINY.items() if key not in ("threads", "device") for word in
        ("--set", f"{key}={'x'.join(map(str, value)) if isinstance(value, tuple) else value}")]


def command(data, out, *more: str) -> list[str]:
    return ["train", "--data", str(data), "--out", str(out), "--threads", "1", "--device", "cpu", *SETS, *more]


def tensors(folder) -> dict:
    return load_file(folder / loop.CHECKPOINT)


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


def test_one_command_trains_and_scores(data_folder, tmp_path, capsys):
    assert main(command(data_folder, tmp_path / "run", "--json")) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["people"] == {"train": 4, "validation": 2, "test": 2} and record["steps"] == 6
    assert 0 < record["test"]["dice"] <= 1 and "folded_percent" in record["test"]
    assert record == json.loads((tmp_path / "run" / runs.RECORD).read_text())
    assert str(data_folder) not in json.dumps(record)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_killed_and_started_again_gives_the_same_bits(data_folder, tmp_path):
    more = ("--steps", "14", "--set", "schedule=constant", "--set", "validate_every=2")
    assert main(command(data_folder, tmp_path / "whole", *more)) == 0
    running = subprocess.Popen([sys.executable, "-m", "voxalign", *command(data_folder, tmp_path / "killed", *more)])
    while not (tmp_path / "killed" / loop.CHECKPOINT).exists():
        assert running.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert json.loads((tmp_path / "killed" / loop.HISTORY).read_text() if (tmp_path / "killed" / loop.HISTORY).exists() else "[]") != \
        json.loads((tmp_path / "whole" / loop.HISTORY).read_text())
    with pytest.warns(match="lock left by"):
        runs.train_files(job(data_folder, tmp_path / "killed", *more))
    assert same(tensors(tmp_path / "whole"), tensors(tmp_path / "killed"))
    headers = [safe_open(tmp_path / name / loop.WEIGHTS, "pt").metadata() for name in ("whole", "killed")]  # with the hash of the weights
    assert headers[0] == headers[1] and headers[0]["sha256"]


def job(data, out, *more: str) -> runs.Training:
    """What the command makes of its words."""
    from voxalign.cli import train as cli
    from voxalign.cli.main import parser

    arguments = parser().parse_args(command(data, out, *more))
    return runs.Training(out, cli.recipe(arguments), data)


def test_two_processes_give_what_one_gives(data_folder, tmp_path):
    more = ("--set", "accumulate=2", "--set", "batch=1", "--steps", "4")
    assert main(command(data_folder, tmp_path / "one", *more)) == 0
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "voxalign"]
    done = subprocess.run([*start, *command(data_folder, tmp_path / "two", *more)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best_step") == 1
    assert same(tensors(tmp_path / "one"), tensors(tmp_path / "two"))


def test_a_precision_that_the_device_only_imitates_is_said(data_folder, tmp_path, monkeypatch):
    job = runs.Training(tmp_path / "run", Recipe(**(TINY | {"steps": 1, "precision": "bfloat16"})), data_folder)
    monkeypatch.setattr(processes, "has_bfloat16", lambda device: device.type != "cpu")
    with pytest.warns(InputWarning, match="'bfloat16' was asked for"):
        runs.train_files(job)
    monkeypatch.setattr(processes, "has_bfloat16", lambda device: device.type == "cpu")
    assert runs.train_files(job)["steps"] == 1  # warnings are errors


CONFIGS = Path(__file__).parents[2] / "training"


def test_every_key_is_described_with_its_default():
    page = (CONFIGS.parent / "docs" / "reference" / "training.md").read_text(encoding="utf-8")
    keys = dict(re.findall(r"`(\w+)=([^`]*)`", page))
    assert keys.keys() == Recipe().as_dict().keys()
    assert runs.recipe_of(assignments=[f"{key}={value}" for key, value in keys.items()]) == Recipe()


def test_off_a_terminal_a_line_for_each_validation_and_the_way_to_the_weights(data_folder, tmp_path, capsys):
    assert main(command(data_folder, tmp_path / "run")) == 0
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["step 3 of 6", "step 6 of 6"] and "dice 0" in lines[0] and "0 s left" in lines[1]
    assert str(tmp_path / "run" / loop.WEIGHTS) in said.out
    assert main(command(data_folder, tmp_path / "run")) == 0 and not capsys.readouterr().err


def test_the_scores_recorded_are_those_of_the_weights_kept(data_folder, tmp_path, monkeypatch):
    scores = iter([0.5, 0.75, 0.25, 1.0])
    monkeypatch.setattr("voxalign.train.tasks.Registration.scores", lambda *_: {"score": next(scores)})
    record = runs.train_files(runs.Training(tmp_path, Recipe(**(TINY | {"steps": 3, "validate_every": 1})), data_folder))
    assert record["best_step"] == record["validation"]["step"] == 2 and record["validation"]["score"] == 0.75


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_recipes_that_come_along_are_recipes(file):
    from voxalign.nn import build
    from voxalign.train.recipe import architecture

    recipe = runs.recipe_of(file=file)
    assert recipe != Recipe() and build(architecture(recipe, len(recipe.shape) or 3, 1))


def test_a_large_network_is_thinned_and_loses_its_finest_level(data_folder, tmp_path):
    """The three steps of the hippocampus set, each from the weights of the one before."""
    start = None
    for name in ("large", "thin", "fast"):
        recipe = runs.recipe_of(TINY | {"steps": 1}, file=CONFIGS / f"hippocampus-{name}.yaml")
        record = runs.train_files(runs.Training(tmp_path / name, recipe, data_folder, start=start))
        start = tmp_path / name / record["weights"]
    network, _ = weights.load(start)
    assert network.architecture.hidden == 16 and network.architecture.looks == recipe.looks and recipe.looks[0] == 0


def test_an_atlas_and_privacy(data_folder, tmp_path):
    recipe = Recipe(**(TINY | {"noise_multiplier": 1.0, "batch": 2}))
    atlas = [data_folder / kind / "p0.nii.gz" for kind in ("images", "labels")]
    record = runs.train_files(runs.Training(tmp_path / "run", recipe, data_folder, *atlas))
    assert 0 < record["epsilon"] < 50 and record["delta"] == 1e-3


def test_scans_are_aligned_by_the_engine_first(data_folder, tmp_path):
    record = runs.train_files(runs.Training(tmp_path / "run", Recipe(**(TINY | {"start": "rigid", "steps": 1})), data_folder))
    centres = runs.train_files(runs.Training(tmp_path / "other", Recipe(**(TINY | {"steps": 1})), data_folder))
    assert record["test"]["dice_before"] != centres["test"]["dice_before"]


def test_weights_register(data_folder, tmp_path):
    import voxalign as vx

    recipe = Recipe(**(TINY | {"steps": 1}))
    runs.train_files(runs.Training(tmp_path / "run", recipe, data_folder))
    images = [data_folder / "images" / f"p{k}.nii.gz" for k in range(2)]
    result = vx.register(*images, method="learned", weights=str(tmp_path / "run" / loop.WEIGHTS))
    assert result.moved.grid.shape == (28, 24)


def test_sites_share_weights_and_no_images(data_folder, tmp_path):
    for name in "ab":
        runs.train_files(runs.Training(tmp_path / name, Recipe(**(TINY | {"seed": ord(name), "steps": 2})), data_folder))
    files = [str(tmp_path / name / loop.WEIGHTS) for name in "ab"]
    assert main(["train", "--average", *files, "--out", str(tmp_path / "mean.safetensors")]) == 0
    one, other, mean = (load_file(path) for path in (*files, tmp_path / "mean.safetensors"))
    assert all((mean[k] - (one[k] + other[k]) / 2).abs().max() < 1e-6 for k in mean)
    job = runs.Training(tmp_path / "c", Recipe(**(TINY | {"steps": 1})), data_folder, start=tmp_path / "mean.safetensors")
    assert runs.train_files(job)["steps"] == 1
    with pytest.raises(InputError, match="exists"):
        runs.average_files([tmp_path / "a" / loop.WEIGHTS], tmp_path / "mean.safetensors")


@pytest.mark.parametrize("words, message", [
    (["stepps=3"], "did you mean 'steps'"), (["loss=lnc"], "did you mean 'lncc'"), (["rate=-1"], "not below 0"),
    (["balance=3"], "true or false"), (["channels=intensity,cany"], "did you mean 'canny'"), (["widths=8x1.5"], "whole"),
    (["validation=0.9", "test=0.4"], "less than 1")])
def test_wrong_choices_are_named(words, message):
    with pytest.raises(UsageError, match=message):
        runs.recipe_of(assignments=words)


def test_choices_come_from_file_words_and_flags(tmp_path):
    (tmp_path / "r.yaml").write_text("rate: 0.5\nwidths: [4, 8]\nsteps: 7\nchannels: intensity,mind\n")
    recipe = runs.recipe_of({"steps": 9, "seed": None}, ["rate=0.25", "shape=32x24"], tmp_path / "r.yaml")
    assert (recipe.rate, recipe.widths, recipe.steps, recipe.shape, recipe.channels) == (0.25, (4, 8), 9, (32, 24), ("intensity", "mind"))
    assert Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


def test_nothing_to_train_on(tmp_path):
    with pytest.raises(UsageError, match="--data"):
        runs.train_files(runs.Training(tmp_path / "run", Recipe()))
    assert not (tmp_path / "run").exists()
