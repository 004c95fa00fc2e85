"""Every block of code in README and docs runs.

Blocks of one page run in order in one folder that holds example files; Python blocks share their names. Console blocks
marked ``slow`` are commands for a fresh machine and run at the root of the repository, in an environment of their own.
"""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import voxalign as vx

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*) ?(\w*)\n(.*?)^```$", re.M | re.S)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Language, mark and text of each block."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def commands(text: str) -> list[str]:
    return [line[2:] for line in text.splitlines() if line.startswith("$ ")]


def shell(command: str, folder: Path, **variables: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = re.sub(r"^voxalign ", f"{sys.executable} -m voxalign ", command)
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=os.environ | {"PATH": path} | variables, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="session")
def examples(tmp_path_factory) -> Path:
    """The files that the pages speak of."""
    folder = tmp_path_factory.mktemp("examples")
    pair = vx.phantom.head_pair(0, spacing=5.0)
    other = vx.phantom.head_pair(0, spacing=5.0, moving_modality="T2")
    brain = np.isin(pair.fixed_labels.data, vx.phantom.BRAIN).astype(np.uint8)
    images = {"fixed": pair.fixed, "moving": pair.moving, "t2": other.moving, "fixed_labels": pair.fixed_labels,
              "moving_labels": pair.moving_labels, "brain": vx.Image(brain, pair.fixed.grid, is_label=True)}
    for name, image in images.items():
        vx.save(image, folder / f"{name}.nii.gz")
    fixed = vx.Points([[0.0, 0, 0], [30, 10, 20], [-25, 20, 10]], ("middle", "right", "left"))
    vx.save_points(fixed, folder / "fixed.csv")
    vx.save_points(vx.Points(pair.truth(fixed.coordinates), fixed.names), folder / "moving.csv")
    return folder


@pytest.mark.parametrize("page", [p for p in PAGES if any(mark != "slow" for _, mark, _ in blocks(p))], ids=lambda p: p.stem)
def test_page(page, examples, tmp_path, monkeypatch):
    shutil.copytree(examples, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for language, mark, text in blocks(page):
        if language == "python":
            exec(compile(text, f"{page.name}, a block", "exec"), names)
        elif language == "console" and mark != "slow":
            for command in commands(text):
                shell(command, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for page in PAGES for language, mark, text in blocks(page) if mark == "slow"
                                     for command in commands(text)])
def test_on_a_fresh_machine(command, tmp_path):
    shell(command, ROOT, VOXALIGN_VENV=str(tmp_path / "venv"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_every_block_is_of_a_kind_that_runs(page):
    for language, _, text in blocks(page):
        assert language in ("python", "console", "text"), f"{page.name}: a block of {language or 'no'} language"
        assert language != "console" or commands(text), f"{page.name}: a console block without a command"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_configuration_page_lists_every_key():
    from voxalign.run.config import KEYS

    keys = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8"), re.M)
    assert sorted(keys) == sorted(KEYS)
