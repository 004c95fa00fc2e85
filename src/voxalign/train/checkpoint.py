"""The whole state of a training in one file of safetensors, so that it goes on to the bit as if it had never stopped.

There is no state of a random generator: all randomness is a function of seed, step and sample (see `randomness`).
"""
from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..core import InputError, UsageError
from ..io import atomic_path
from ..nn.weights import digest
from .recipe import Recipe
from .schedule import Course

FORMAT = "1"
_MAY_CHANGE = ("steps", "patience", "device", "threads", "validate_every", "pairs_validated", "pairs_tested")


@dataclass(eq=False)
class State:
    """What changes while a network is trained.

    Parameters
    ----------
    average : the averaged weights, by name; these are validated and kept.
    step : steps done.
    history : scores of every validation, with ``step`` and ``loss``.
    """

    network: nn.Module
    average: dict[str, Tensor]
    optimizer: Optimizer
    step: int = 0
    course: Course = field(default_factory=Course)
    history: list[dict[str, float]] = field(default_factory=list)


def begin(network: nn.Module, recipe: Recipe) -> State:
    """The state before the first step."""
    optimizer = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=recipe.decay)
    return State(network, {name: value.detach().clone() for name, value in network.state_dict().items()}, optimizer)


def save(path: Path, state: State, recipe: Recipe) -> None:
    """Write everything; the file is whole or the one before stays."""
    from safetensors.torch import save_file

    tensors = _tensors(state)
    facts = {"step": state.step, "course": asdict(state.course), "history": state.history}
    header = {"voxalign-training": FORMAT, "recipe": json.dumps(recipe.as_dict()), "facts": json.dumps(facts), "sha256": digest(tensors)}
    with atomic_path(path) as partial:
        save_file(tensors, partial, header)


def load(path: Path, state: State, recipe: Recipe) -> None:
    """Put what a file holds into a state that was just begun.

    Raises
    ------
    InputError : not a checkpoint, damaged, or of another network.  UsageError : of another recipe.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            header, tensors = dict(file.metadata() or {}), {name: file.get_tensor(name) for name in file.keys()}
        facts, before = json.loads(header["facts"]), json.loads(header["recipe"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path.name}: not a checkpoint, or damaged; remove it to start anew") from error
    if header.get("sha256") != digest(tensors):
        raise InputError(f"{path.name}: does not match its hash, so it is damaged; remove it to start anew")
    _check_same(before, recipe)
    _fill(state, tensors, path.name)
    state.step, state.course, state.history = int(facts["step"]), _course(facts["course"]), list(facts["history"])


def _check_same(before: dict[str, Any], recipe: Recipe) -> None:
    now = recipe.as_dict()
    changed = [name for name in now if name not in _MAY_CHANGE and before.get(name, now[name]) != now[name]]
    if changed:
        raise UsageError(f"the training in this folder had other values of {', '.join(changed)}: give the same, or another --out")


def _course(values: dict[str, Any]) -> Course:
    return Course(**values)


def _tensors(state: State) -> dict[str, Tensor]:
    named = {f"weights/{name}": value for name, value in state.network.state_dict().items()}
    named |= {f"average/{name}": value for name, value in state.average.items()}
    for number, values in state.optimizer.state_dict()["state"].items():
        named |= {f"optimizer/{number}/{name}": value for name, value in values.items()}
    return {name: value.detach().cpu().contiguous().clone() for name, value in named.items()}


def _fill(state: State, tensors: dict[str, Tensor], name: str) -> None:
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "optimizer": {}}
    for key, value in tensors.items():
        group, _, rest = key.partition("/")
        groups.setdefault(group, {})[rest] = value
    device = next(iter(state.average.values())).device
    try:
        state.network.load_state_dict(groups["weights"])
    except RuntimeError as error:
        raise InputError(f"{name}: holds the weights of another network; give another --out") from error
    state.average = {key: value.to(device) for key, value in groups["average"].items()}
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in groups["optimizer"].items():
        number, _, what = key.partition("/")
        moments.setdefault(int(number), {})[what] = value
    state.optimizer.load_state_dict({"state": moments, "param_groups": state.optimizer.state_dict()["param_groups"]})
