"""Curves over the frames of a sequence: how a body moved, and how surely it was followed."""
from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")


def curves(panels: Sequence[tuple[str, dict[str, ArrayLike]]], across: str = "frame", odd: Sequence[int] = ()) -> Figure:
    """One panel above the other, each with its unit and its curves by name; a unit that ends in ``0 to 1`` is shown as a whole.

    Parameters
    ----------
    odd : numbers of frames that are shaded.
    """
    figure = Figure((9.0, 1.9 * len(panels) + 0.4), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (unit, lines) in zip(axes, panels, strict=True):
        _draw(axis, unit, lines)
        for number in odd:
            axis.axvspan(number - 0.5, number + 0.5, color="0.85", linewidth=0)
    figure.align_ylabels(axes)
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[-1].set_xlabel(across)
    return figure


def _draw(axis: Axes, unit: str, lines: dict[str, ArrayLike]) -> None:
    for colour, (name, values) in zip(_COLOURS * (1 + len(lines) // len(_COLOURS)), lines.items(), strict=False):
        axis.plot(values, color=colour, linewidth=1.2, label=name, marker="." if len(values) < 40 else None, markersize=4)
    axis.set_ylabel(unit, fontsize=8)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    if unit.endswith("0 to 1"):
        axis.set_ylim(0, 1.04)
    if len(lines) > 1:
        axis.legend(fontsize=8, ncols=6, frameon=False, loc="lower right", bbox_to_anchor=(1, 0.96), borderaxespad=0)
