"""Ways of registering side by side: one picture and one page."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from . import page
from .page import Section

_TITLES = {"dice": "Dice", "hd95_mm": "HD95, mm", "tre_mm": "landmark error, mm", "folded_percent": "folded, %",
           "sd_log_jacobian": "SD of log Jacobian", "inverse_error_mm": "inverse error, mm", "seconds": "time, s",
           "cpu_seconds": "CPU time, s", "peak_memory_mb": "memory, MB"}
_COLUMNS = 3


def comparison_png(rows: Sequence[Mapping[str, Any]], numbers: Sequence[str]) -> bytes:
    """A PNG with a panel for each number that any row has: a dot for every case, a bar for the mean of each way."""
    shown = [name for name in numbers if any(row.get(name) is not None for row in rows)] or [numbers[0]]
    ways = list(dict.fromkeys(row["way"] for row in rows))
    high = -(-len(shown) // _COLUMNS)
    figure = Figure((4 * _COLUMNS, high * (0.7 + 0.28 * len(ways))), layout="constrained")
    FigureCanvasAgg(figure)
    for axis, name in zip(figure.subplots(high, _COLUMNS, squeeze=False).flat, [*shown, *[""] * _COLUMNS], strict=False):
        _panel(axis, name, ways, rows) if name else axis.set_axis_off()
    buffer = BytesIO()
    figure.savefig(buffer, dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def comparison_page(rows: Sequence[Mapping[str, Any]], means: Mapping[str, Mapping[str, Any]], columns: Sequence[str],
                    picture: bytes) -> str:
    """The page as HTML: means by way, the picture, every run."""
    names = list(dict.fromkeys(name for values in means.values() for name in values))
    return page.render("Comparison", [
        Section("Means", page.table(("way", *names), [(way, *(values.get(name) for name in names)) for way, values in means.items()]),
                page.note("Failed: ended with an error, or judged FAIL. Means are over the runs that have the number.")),
        Section("By case", page.picture(picture, "a panel for each score, a row for each way")),
        Section("Every run", page.table(columns, [[row.get(name) for name in columns] for row in rows]))])


def _panel(axis: Any, name: str, ways: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    for place, way in enumerate(ways):
        values = [row[name] for row in rows if row["way"] == way and row.get(name) is not None]
        if values:
            axis.barh(place, sum(values) / len(values), color="#9ecae1", height=0.6)
            axis.plot(values, [place] * len(values), "o", color="#08519c", markersize=3, alpha=0.6)
    axis.set_yticks(range(len(ways)), ways, parse_math=False)
    axis.invert_yaxis()
    axis.set_xlim(0, axis.get_xlim()[1] if axis.dataLim.x1 > 0 else 1)  # no number here is negative; all 0 is not centred
    axis.set_title(_TITLES.get(name, name), fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
