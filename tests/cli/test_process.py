import json

import numpy as np
import PIL.Image
import pytest

from voxalign import io
from voxalign.cli.main import main
from voxalign.core import Image


@pytest.fixture
def given(tmp_path, rng):
    x = np.indices((20, 20, 20)) - 10
    path = tmp_path / "in.nii.gz"
    io.save(Image.from_array(100 * np.exp(-(x**2).sum(0) / 40) + rng.standard_normal((20, 20, 20))), path)
    return path


def test_steps(given, tmp_path, capsys):
    out = tmp_path / "out.nii.gz"
    assert main(["process", str(given), str(out), "--step", "gaussian sigma=1.5", "--step", "otsu"]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert set(np.unique(io.load(out, is_label=True).array)) == {0, 1}


def test_list(capsys):
    assert main(["process", "--list"]) == 0 and "gaussian sigma=1.0" in capsys.readouterr().out
    assert main(["process", "--list", "--json"]) == 0 and "canny" in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(("words", "code", "says"), [
    (["--step", "gausian"], 2, "did you mean 'gaussian'"), ([], 2, "no step"), (["--step", "erode radius=2"], 3, "expected a label map")])
def test_refusals(given, tmp_path, capsys, words, code, says):
    assert main(["process", str(given), str(tmp_path / "out.nii.gz"), *words]) == code
    assert says in capsys.readouterr().err and not (tmp_path / "out.nii.gz").exists()


def test_a_gallery_of_ones_own_image(given, tmp_path, capsys):
    out = tmp_path / "gallery"
    assert main(["process", str(given), str(out), "--gallery"]) == 0 and capsys.readouterr().out.strip() == str(out)
    for name in ("filters.png", "features.png"):
        assert np.asarray(PIL.Image.open(out / name)).std() > 10  # something is seen
    assert main(["process", str(given), str(out), "--gallery"]) == 3 and "already holds filters.png" in capsys.readouterr().err
    assert main(["process", str(given), str(tmp_path / "more"), "--gallery", "--step", "otsu"]) == 2 and "--step" in capsys.readouterr().err


def test_both_files_are_needed(given, capsys):
    assert main(["process", str(given)]) == 2 and "IN and OUT" in capsys.readouterr().err
