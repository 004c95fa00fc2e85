"""What the command line makes of a verdict."""
import json

import numpy as np
import pytest
from pairs import blobs

from voxalign import io
from voxalign.cli.main import main
from voxalign.phantom import failures

QUICKLY = ("--preset", "rigid", "--no-report")


@pytest.fixture
def run(capsys):
    def call(*words):
        code = main([str(word) for word in words])
        return code, capsys.readouterr().out
    return call


def test_a_failure_ends_with_4_and_keeps_its_files(run, tmp_path):
    fixed = blobs()
    io.save(fixed, tmp_path / "fixed.nii.gz")
    io.save(failures.nothing(fixed, np.random.default_rng(0)), tmp_path / "noise.nii.gz")
    out = tmp_path / "out"
    code, printed = run("register", "-f", tmp_path / "fixed.nii.gz", "-m", tmp_path / "noise.nii.gz", "-o", out, *QUICKLY)
    assert code == 4 and printed.startswith("verdict") and "FAIL" in printed and "reason" in printed
    metrics, record = (json.loads((out / name).read_text()) for name in ("metrics.json", "run.json"))
    assert metrics["verdict"]["status"] == record["verdict"]["status"] == "FAIL" and metrics["verdict"]["reasons"]
    assert (out / "moved.nii.gz").exists() and (out / "transform.h5").exists()


def test_so_does_a_failure_in_a_pipeline(run, tmp_path):
    fixed = blobs()
    io.save(fixed, tmp_path / "fixed.nii.gz")
    io.save(failures.nothing(fixed, np.random.default_rng(0)), tmp_path / "noise.nii.gz")
    (tmp_path / "p.yaml").write_text("steps: {aligned: {do: register, transform: rigid}, judged: {do: verdict, transform: aligned}}")
    code, printed = run("run", tmp_path / "p.yaml", "-f", tmp_path / "fixed.nii.gz", "-m", tmp_path / "noise.nii.gz", "-o",
                        tmp_path / "out")
    assert code == 4 and "FAIL: mean error over" in printed and "signals" not in printed
    scores, record = (json.loads((tmp_path / "out" / name).read_text()) for name in ("scores.json", "run.json"))
    assert scores["judged"]["status"] == "FAIL" and scores["judged"]["reasons"] and record["failed"] == ["judged"]
    assert "judged:" in (tmp_path / "out" / "pipeline.yaml").read_text()


def test_what_has_not_failed_ends_with_0(run, pair, tmp_path):
    code, printed = run("register", "-f", pair[0], "-m", pair[1], "-o", tmp_path / "out", *QUICKLY, "--json")
    verdict = json.loads(printed)["metrics"]["verdict"]
    assert code == 0 and verdict["status"] in ("PASS", "CHECK") and 0 <= verdict["probability"] < 0.9 and verdict["limit_mm"] == 2
