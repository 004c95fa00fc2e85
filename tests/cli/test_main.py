import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from pairs import blobs

from voxalign import io
from voxalign.cli.main import main
from voxalign.core import Points

QUICKLY = ["--transform", "rigid", "--initial", "headers", "--loss", "mse", "--set", "iterations=5", "--no-report"]


@pytest.fixture
def run(capsys):
    def call(*words):
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err
    return call


def modules(*words) -> set[str]:
    """Top-level modules that a command imports."""
    code = f"import sys; from voxalign.cli.main import main; main({[str(w) for w in words]!r}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stderr.split()}


# -------------------------------------------------------------------- asking
def test_help_imports_nothing_heavy():
    assert not modules("methods") & {"numpy", "torch", "yaml", "matplotlib", "nibabel"}


@pytest.mark.parametrize("words", [[], ["register"], ["apply"], ["transform"], ["transform", "convert"], ["info"], ["methods"], ["demo"]])
def test_help(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0 and "usage: voxalign" in capsys.readouterr().out


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "voxalign", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("voxalign 0.")


def test_methods(run):
    assert "lncc" in run("methods")[1]
    assert set(json.loads(run("methods", "--json")[1])) == {"method", "preset", "transform", "loss", "initial"}


def test_info(run, pair):
    code, out, _ = run("info", pair[0])
    assert code == 0 and "28, 30, 26" in out and "axis 0 runs from left to right" in out
    assert json.loads(run("info", pair[0], "--json")[1])["spacing_mm"] == [2, 2, 2]


# -------------------------------------------------------------------- doing
def test_register(run, pair, tmp_path):
    code, out, err = run("register", "-f", pair[0], "-m", pair[1], "-o", tmp_path / "out", *QUICKLY, "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert result["run"]["configuration"]["loss"] == "mse" and result["metrics"]["folded_percent"] == 0
    assert np.allclose(io.load_transform(tmp_path / "out" / "transform.h5")([0.0, 0, 0]), [2, -3, 4], atol=0.5)


def test_register_for_people(run, pair, tmp_path):
    code, out, err = run("register", "-f", pair[0], "-m", pair[1], "-o", tmp_path / "out", *QUICKLY)
    assert code == 0 and err == "" and str(tmp_path / "out") in out and "inverse_error_mm" in out


def test_flags_reach_the_configuration(run, pair, tmp_path):
    (tmp_path / "c.yaml").write_text("preset: fast\nsmoothness: 3\nloss: ncc\n")
    code, out, _ = run("register", "-f", pair[0], "-m", pair[1], "-o", tmp_path / "out", "--config", tmp_path / "c.yaml",
                       "--set", "loss=mi", "--set", "window=3", "--loss", "mse", "--seed", 4, "--dry-run", "--json")
    configuration = json.loads(out)["configuration"]
    assert code == 0 and not (tmp_path / "out").exists()
    assert [configuration[key] for key in ("preset", "smoothness", "loss", "window", "seed")] == ["fast", 3, "mse", [3], 4]


def test_warnings_are_one_line_each(run, pair, tmp_path):
    code, _, err = run("register", "-f", pair[0], "-m", pair[0], "-o", tmp_path / "out", *QUICKLY)
    assert code == 0 and err.count("\n") == 1 and "same file" in err


def test_registering_imports_only_what_it_uses(pair, tmp_path):
    found = modules("register", "-f", pair[0], "-m", pair[1], "-o", tmp_path / "out", *QUICKLY)
    assert not found & {"torch", "matplotlib", "SimpleITK", "pydicom", "PIL"}


def test_apply_and_transforms(run, pair, tmp_path):
    start, both, back = tmp_path / "start.tfm", tmp_path / "both.h5", tmp_path / "back.nii.gz"
    from voxalign.transforms import Translation
    io.save_transform(Translation.from_params([2.0, -4, 6], centre=np.zeros(3)), start)
    assert run("apply", "-i", pair[1], "-r", pair[0], "-t", start, "-o", tmp_path / "moved.nii.gz")[0] == 0
    assert run("transform", "compose", start, start, both)[0] == 0
    assert run("transform", "invert", both, back, "--reference", pair[0])[0] == 0
    assert run("transform", "convert", start, tmp_path / "other.h5")[0] == 0
    assert np.allclose(io.load_transform(back)([1.0, 2, 3]), [-3, 10, -9], atol=1e-3)
    assert json.loads(run("transform", "info", both, "--json")[1])["dimension"] == 3
    io.save_points(Points(np.zeros((1, 3))), tmp_path / "points.csv")
    assert run("apply", "-i", tmp_path / "points.csv", "-t", both, "-o", tmp_path / "out.csv")[0] == 0
    assert np.allclose(io.load_points(tmp_path / "out.csv").coordinates, [[4, -8, 12]])


@pytest.mark.parametrize("name", ["with space.nii.gz", "ümläut 😀.nii.gz", "line\nbreak.nii.gz", "-dash.nii.gz"])
def test_names_of_files(run, pair, tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    io.save(blobs((2, -3, 4)), tmp_path / name)
    code, _, err = run("register", "-f", pair[0], "-m", name, "-o", "out", *QUICKLY)
    assert code == 0, err


# -------------------------------------------------------------------- refusing
@pytest.mark.parametrize("words, exit_code, text", [
    ([], 2, "see voxalign --help"),
    (["regster"], 2, "invalid choice"),
    (["register", "-f", "a"], 2, "required: -m/--moving, -o/--out"),
    (["register", "-f", "FIXED", "-m", "MOVING", "-o", "OUT", "--los", "mse"], 2, "unrecognized arguments: --los"),
    (["register", "-f", "FIXED", "-m", "MOVING", "-o", "OUT", "--loss", "lnc"], 2, "did you mean 'lncc'"),
    (["register", "-f", "FIXED", "-m", "MOVING", "-o", "OUT", "--set", "los=mi"], 2, "did you mean 'loss'"),
    (["register", "-f", "FIXED", "-m", "MOVING", "-o", "OUT", "--fixed-labels", "FIXED"], 2, "go together"),
    (["register", "-f", "none.nii", "-m", "MOVING", "-o", "OUT"], 3, "no such file"),
    (["register", "-f", "FIXED", "-m", "MOVING", "-o", "FIXED"], 3, "is a file"),
    (["register", "-f", "FIXED", "-m", "MOVING", "-o", "FIXED/out"], 3, "cannot be written"),
    (["apply", "-i", "MOVING", "-t", "none.h5", "-r", "FIXED", "-o", "OUT.nii.gz"], 3, "none.h5"),
    (["apply", "-i", "MOVING", "-t", "FIXED", "-r", "FIXED", "-o", "OUT.nii.gz"], 3, "fixed.nii.gz"),
    (["transform", "info", "none.h5"], 3, "none.h5"),
    (["info", "none.nii"], 3, "none.nii"),
])
def test_errors_are_one_line_with_the_right_code(run, pair, tmp_path, words, exit_code, text):
    places = {"FIXED": str(pair[0]), "MOVING": str(pair[1]), "OUT": str(tmp_path / "out"), "FIXED/out": str(pair[0] / "out"),
              "OUT.nii.gz": str(tmp_path / "out.nii.gz")}
    words = [places.get(word, word) for word in words]
    code, out, err = run(*words)
    assert (code, out) == (exit_code, "")
    assert err.startswith("voxalign: error: ") and text in err and err.count("\n") == 1
    assert "Traceback" not in err and not list(tmp_path.iterdir())


def test_errors_have_a_twin_for_programs(run):
    code, out, err = run("info", "none.nii", "--json")
    message = err.removeprefix("voxalign: error: ").strip()
    assert code == 3 and json.loads(out)["error"] == {"type": "InputError", "message": message, "exit_code": 3}


def test_debug_shows_where(run):
    with pytest.raises(Exception, match=r"none\.nii"):
        run("info", "none.nii", "--debug")


def test_a_bug_of_ours(run, monkeypatch):
    monkeypatch.setattr("voxalign.run.describe.describe_file", lambda path: 1 / 0)
    code, _, err = run("info", "x")
    assert code == 1 and "ZeroDivisionError" in err and "--debug" in err and err.count("\n") == 1


# -------------------------------------------------------------------- stopping
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals(tmp_path, number):
    for name, shift in (("fixed", (0, 0, 0)), ("moving", (8, 2, 3))):
        io.save(blobs(shift, shape=(120, 120, 120)), tmp_path / f"{name}.nii.gz")
    words = ["-f", tmp_path / "fixed.nii.gz", "-m", tmp_path / "moving.nii.gz", "-o", tmp_path / "out", "--set", "iterations=900"]
    process = subprocess.Popen([sys.executable, "-m", "voxalign", "register", *map(str, words)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not (tmp_path / "out").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    start = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert time.monotonic() - start < 5
    assert not (tmp_path / "out").exists() and "Traceback" not in err


def test_progress_is_silent_off_a_terminal_and_one_line_on_one(monkeypatch, capsys):
    from voxalign.cli import output
    from voxalign.register import Step

    step = Step("affine", 0, 0, 1.0, 0.25, 2.0)
    output.Progress()(step)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    progress = output.Progress()
    progress._start = progress._last = time.monotonic() - 30
    progress(step)
    progress.close()
    text = capsys.readouterr().err
    assert "25%" in text and "1 min 30 s left" in text and "\n" not in text and "\x1b" not in text
