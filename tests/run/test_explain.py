"""Asking again: how sure an answer is, in Python and in the report."""
import numpy as np
import pytest
from pairs import blobs

import voxalign as vx
from voxalign import nn, phantom
from voxalign.cli.main import main
from voxalign.core import UsageError
from voxalign.nn import weights
from voxalign.transforms import Translation


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    vx.save(blobs(), folder / "a.nii.gz")
    vx.save(blobs((2, -1, 3)), folder / "b.nii.gz")
    vx.io.save_transform(Translation.from_params([2.0, -1, 3], centre=np.zeros(3)), folder / "t.tfm")
    return folder


def test_a_sure_answer_is_given_again(files):
    told = vx.register(files / "a.nii.gz", files / "b.nii.gz", transform="rigid").explain(3)
    assert told.trials == 3 and told.point is told.shares is None and told.spread.grid == vx.load(files / "a.nii.gz").grid
    assert 0 < told.spread.data.mean() < 1.0


def test_a_network_says_what_moved_a_point(tmp_path):
    import torch

    torch.manual_seed(0)
    module = nn.build(nn.Pyramid(2, channels=(4, 6), hidden=8))
    for name, value in module.named_parameters():
        if "head" in name:
            torch.nn.init.normal_(value, std=1.0)
    weights.save(tmp_path / "net.safetensors", module, meta={"inputs": nn.Inputs(start="headers").as_dict()})
    pair = phantom.slice_pair(5, 5.0)
    result = vx.register(pair.fixed, pair.moving, method="learned", weights=str(tmp_path / "net.safetensors"))
    told = result.explain(2)
    assert pair.fixed.grid.contains(told.point).all() and all(share.data.any() for share in told.shares)
    text = result.report(tmp_path / "report.html", told).read_text()
    assert "Would it say so again?" in text and "What moved the point" in text


def test_the_command_shows_it(files, capsys):
    images = ["-f", str(files / "a.nii.gz"), "-m", str(files / "b.nii.gz"), "--transform", "rigid"]
    assert main(["register", *images, "-o", str(files / "out"), "--trials", "2"]) == 0
    assert "Would it say so again?" in (files / "out/report.html").read_text()


@pytest.mark.parametrize("words", [("--trials", "1"), ("--trials", "2", "--no-report"), ("--trials", "2", "--initial", "t.tfm")])
def test_trials_that_would_say_nothing_are_refused_at_once(files, monkeypatch, words):
    monkeypatch.chdir(files)
    assert main(["register", "-f", "a.nii.gz", "-m", "b.nii.gz", "-o", "none", *words]) == 2
    assert not (files / "none").exists()


def test_a_start_from_a_file_is_refused(files):
    result = vx.register(files / "a.nii.gz", files / "b.nii.gz", transform="rigid", initial=files / "t.tfm")
    with pytest.raises(UsageError, match="other words"):
        result.explain(2)
