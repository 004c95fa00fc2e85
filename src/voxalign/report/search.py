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
        names = sorted({str(row["choices"][key]) for row in rows}, key=_order)
        for row in rows:
            done = row["state"] == "done"
            axes.plot(names.index(str(row["choices"][key])), row["score"], "o", color="tab:blue", mfc=None if done else "none")
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
        axes.set_xlabel(key)
    figure.axes[0].set_ylabel("score (validation)")
    figure.savefig(path, format="png", dpi=120)


def _order(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
