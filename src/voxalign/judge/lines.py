"""Sums of rising broken lines, one a number: models that can be read, and that call nothing better because something got worse."""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Lines:
    """``bias`` plus, for every named value, a broken line of it.

    Parameters
    ----------
    corners : of each line, where it bends, and what it adds there; beyond the last corners it is level.
    constants : other numbers that were fitted with it.
    """

    bias: float
    corners: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]
    constants: Mapping[str, float]

    def additions(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What each line adds; values are numbers or arrays."""
        return {name: np.interp(values[name], *line) for name, line in self.corners.items()}

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """The sum."""
        return self.bias + sum(self.additions(values).values())


@cache
def shipped(name: str) -> Lines:
    """One that comes with the package: ``verdict`` or ``uncertainty``."""
    values = json.loads(files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
    lines = {key: (tuple(line["at"]), tuple(line["adds"])) for key, line in values.pop("lines").items()}
    return Lines(values.pop("bias"), lines, values)
