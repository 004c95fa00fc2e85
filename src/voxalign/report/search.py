"""Trainings compared: the score against everything that was varied."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def plot_search(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """One panel for each key: score of every trial by its value; those that were given up are hollow. PNG.

    Parameters
    ----------
    rows : with ``choices``, ``score`` and ``state``.
    """
    from matplotlib.figure import Figure

    keys = list(rows[0]["choices"])
    figure = Figure(figsize=(1 + 3 * len(keys), 3.2), layout="constrained")
    for key, axes in zip(keys, figure.subplots(1, len(keys), squeeze=False, sharey=True)[0], strict=True):
        values = [row["choices"][key] for row in rows]
        for row, place in zip(rows, _places(axes, values), strict=True):
            axes.plot(place, row["score"], "o", color="tab:blue", mfc=None if row["state"] == "done" else "none")
        axes.set_xlabel(key)
    figure.axes[0].set_ylabel("score (validation)")
    figure.savefig(path, format="png", dpi=120)


def _places(axes: Any, values: Sequence[Any]) -> list[float]:
    """Where values stand along an axis: numbers at their size, by their magnitude if they span ten times; others side by side."""
    if all(isinstance(value, float) for value in values):
        if min(values) > 0 and max(values) >= 10 * min(values):
            axes.set_xscale("log")
        return list(values)
    names = sorted({_name(value) for value in values}, key=_order)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    return [names.index(_name(value)) for value in values]


def _name(value: Any) -> str:
    """As users write it."""
    return "x".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _order(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
