"""``voxalign search``: trainings compared."""
import json
import shutil

import pytest
from people import TINY

from voxalign import InputWarning, UsageError
from voxalign.cli.main import main
from voxalign.run import search
from voxalign.run.train import Training
from voxalign.train.recipe import Recipe


def job(data_folder, out, **choices) -> Training:
    return Training(out, Recipe(**(TINY | {"steps": 2, "validate_every": 1} | choices)), data_folder)


def test_a_grid_tries_every_combination_once(data_folder, tmp_path, monkeypatch):
    axes = [search.axis("rate=0.0|0.01"), search.axis("widths=4|8x8")]
    found = search.search_files(job(data_folder, tmp_path), axes)
    assert sorted((row["choices"]["rate"], *row["choices"]["widths"]) for row in found["trials"]) == \
        [(0.0, 4), (0.0, 8, 8), (0.01, 4), (0.01, 8, 8)]
    scores = [row["score"] for row in found["trials"]]
    assert scores == sorted(scores, reverse=True) and found["best"] == found["trials"][0]["choices"]
    assert json.loads((tmp_path / "search.json").read_text()) == found and (tmp_path / "search.png").stat().st_size > 1000
    monkeypatch.setattr(search, "train_files", None)  # nothing is trained again
    assert search.search_files(job(data_folder, tmp_path), axes) == found


def test_trials_that_minimise_different_things_are_not_compared_silently(data_folder, tmp_path):
    bare = tmp_path / "images"
    shutil.copytree(data_folder / "images", bare / "images")
    with pytest.warns(InputWarning, match="differ in smoothness"):
        search.search_files(job(bare, tmp_path / "a", steps=1), [search.axis("smoothness=0.5|1")])
    search.search_files(job(bare, tmp_path / "b", steps=1), [search.axis("rate=0.001|0.01")])  # warnings are errors
    search.search_files(job(data_folder, tmp_path / "c", steps=1), [search.axis("smoothness=0.5|1")])


def test_what_is_printed(data_folder, tmp_path, capsys):
    sets = [word for key, value in TINY.items() for word in ("--set", f"{key}={'x'.join(map(str, value)) if key == 'widths' else value}")]
    assert main(["search", "--data", str(data_folder), "--out", str(tmp_path), *sets, "--steps", "1", "--try", "widths=8x8|4x8"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("trial ") and "widths=4x8" in out and str(tmp_path / search.PLOT) in out


def test_a_study_gives_hopeless_trials_up(data_folder, tmp_path, monkeypatch):
    pytest.importorskip("optuna")

    def fake(made: Training, listen) -> dict:
        for step in range(1, 9):
            listen(type("Progress", (), {"scores": {"score": step * made.recipe.rate}, "step": step})())
        return {"validation": {"score": 8 * made.recipe.rate}, "steps": 8}

    monkeypatch.setattr(search, "train_files", fake)
    found = search.search_files(job(data_folder, tmp_path, steps=8), [search.axis("rate=0.001..0.1")], trials=12)
    states = [row["state"] for row in found["trials"]]
    assert states[0] == "done" and "given up" in states and len(states) == 12
    assert all(0.001 <= row["choices"]["rate"] <= 0.1 for row in found["trials"])
    assert all(row["steps"] < 8 for row in found["trials"] if row["state"] == "given up")


@pytest.mark.parametrize("text, message", [("rate", "expected key="), ("rate=a|b", "expected a number"), ("rat=1|2", "did you mean 'rate'"),
                                           ("rate=0.1..0.01", "smaller first"), ("loss=lncc..mse", "range of numbers")])
def test_wrong_axes(text, message):
    with pytest.raises(UsageError, match=message):
        search.axis(text)


def test_a_range_needs_trials(data_folder, tmp_path):
    with pytest.raises(UsageError, match="--trials"):
        search.search_files(job(data_folder, tmp_path / "s"), [search.axis("rate=0.001..0.1")])
    with pytest.raises(UsageError, match="--try"):
        search.search_files(job(data_folder, tmp_path / "s"), [])
