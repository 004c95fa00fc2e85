"""What the tests of training share."""
from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
import people

from voxalign.train import catalogue, loop, source, table, tasks
from voxalign.train.recipe import Recipe


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """So that tests side by side do not fight for the processor."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory) -> Path:
    """Eight people's slices with labels and points."""
    return people.folder(tmp_path_factory.mktemp("people"))


@pytest.fixture
def task(data_folder) -> Callable[..., tasks.Task]:
    """A task on these people, with choices of the recipe."""
    def make(**choices) -> tasks.Task:
        chosen = Recipe(**(people.TINY | choices))
        made = chosen.synthesise and "maps" not in chosen.synthesise
        where = source.from_nothing(chosen) if made else source.from_table(table.read(data_folder), chosen)
        return catalogue.TASKS[chosen.task](chosen, where)
    return make


@pytest.fixture
def train(task, tmp_path) -> Callable[..., loop.State]:
    """A finished training in ``folder`` of the temporary folder."""
    def run(folder: str = "run", on_step=None, crew=None, **choices):
        made = task(**choices)
        out = tmp_path / folder
        out.mkdir(exist_ok=True)
        return loop.train(made, loop.fresh(made.network, made.recipe), loop.Run(out, crew=crew or loop.Crew()), on_step)
    return run
