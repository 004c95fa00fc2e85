import numpy as np
import pytest
from pairs import blobs

from voxalign import io, run
from voxalign.cli.main import main
from voxalign.core import Image, InputError
from voxalign.run.view import View, view_files
from voxalign.transforms import Translation


@pytest.fixture
def files(tmp_path):
    io.save(blobs(), tmp_path / "a.nii.gz")
    io.save(blobs((2, 0, 0)), tmp_path / "b.nii.gz")
    io.save_transform(Translation.from_params([2.0, 0, 0], centre=np.zeros(3)), tmp_path / "t.tfm")
    return tmp_path


def test_a_page_of_two_images_and_a_transform(files):
    text = view_files(View(files / "a.nii.gz", files / "b.nii.gz", files / "v.html", (files / "t.tfm",))).read_text()
    assert "b.nii.gz, transformed" in text and "b.nii.gz, as its header says" in text and str(files) not in text


def test_without_a_transform_there_is_one_way_to_look(files):
    text = view_files(View(files / "a.nii.gz", files / "b.nii.gz", files / "v.html")).read_text()
    assert "b.nii.gz, transformed" not in text


def test_what_cannot_be_viewed_is_refused(files):
    io.save(Image(np.ones((8, 8)), blobs(shape=(8, 8)).grid), files / "flat.nii.gz")
    with pytest.raises(InputError, match="same dimension"):
        view_files(View(files / "a.nii.gz", files / "flat.nii.gz", files / "v.html"))
    with pytest.raises(InputError, match="also an input"):
        view_files(View(files / "a.nii.gz", files / "b.nii.gz", files / "a.nii.gz", overwrite=True))
    assert not (files / "v.html").exists()


@pytest.mark.parametrize("flags", [[], ["--no-open"]])
def test_the_command_opens_the_page_unless_told_not_to(files, monkeypatch, capsys, flags):
    opened = []
    monkeypatch.setattr(run.view.webbrowser, "open", opened.append)
    assert main(["view", str(files / "a.nii.gz"), str(files / "b.nii.gz"), "-o", str(files / "v.html"), *flags]) == 0
    assert capsys.readouterr().out.strip() == str(files / "v.html")
    assert opened == ([] if flags else [(files / "v.html").as_uri()])
