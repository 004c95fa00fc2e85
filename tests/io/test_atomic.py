"""A name holds a whole file or does not exist."""
from __future__ import annotations

import errno
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from voxalign.core import Image, InputError, ResourceError, SecurityError
from voxalign.io import atomic_path, save, write_bytes, write_json, write_text

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full and permissions")


def test_written_beside_and_renamed(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.txt") as partial:
        assert partial.parent == tmp_path and partial.name.startswith(".a.txt") and partial.suffix == ".partial"
        assert not (tmp_path / "a.txt").exists()
        partial.write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"] and (tmp_path / "a.txt").read_text() == "whole"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_of_a_failure(error: type[BaseException], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(error), atomic_path(tmp_path / "a.txt") as partial:
        partial.write_text("half")
        raise error
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"] and (tmp_path / "a.txt").read_text() == "old"


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("link", "dangling"):
        with pytest.raises(SecurityError, match="link"):
            write_text(tmp_path / name, "x")
    assert (tmp_path / "elsewhere").read_text() == "precious" and not (tmp_path / "nowhere").exists()


def test_folders_that_are_missing_or_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        write_text(tmp_path / "no" / "a.txt", "x")
    with pytest.raises(InputError, match="is a folder"):
        write_text(tmp_path, "x")


@linux
def test_read_only_folder(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="may write"):
        write_text(tmp_path / "a.txt", "x")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_full_disk(code: int, tmp_path: Path) -> None:
    def parts():
        yield b"half"
        raise OSError(code, os.strerror(code))

    with pytest.raises(ResourceError, match="space"):
        write_bytes(tmp_path / "a.bin", parts())
    assert not list(tmp_path.iterdir())


def test_errors_about_other_files_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
        open(tmp_path / "other")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["-x.txt", "sp ace.txt", "Bär 🧠.txt", "new\nline.txt", "n" * 240 + ".txt"])
def test_odd_names(name: str, tmp_path: Path) -> None:
    write_text(tmp_path / name, "ä\n")
    assert (tmp_path / name).read_bytes() == "ä\n".encode()


def test_images_are_written_atomically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ResourceError):
        save(Image.from_array(np.ones((9, 9, 9))), tmp_path / "a.nii.gz")
    assert not list(tmp_path.iterdir())


def test_json_of_everything(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Thing:
        place: Path
        values: tuple[float, ...]

    value = {"thing": Thing(Path("a/b"), (1.0, float("nan"), float("inf"))), "array": np.arange(3), "number": np.float32(0.5), 3: None,
             "flag": np.bool_(True), "text": "ä"}
    write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {
        "thing": {"place": "a/b", "values": [1.0, None, None]}, "array": [0, 1, 2], "number": 0.5, "3": None, "flag": True, "text": "ä"}
