"""Scores of transforms: a picture and a page."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from . import page
from .page import Section

QUANTITIES = {
    "dice": "Dice", "jaccard": "Jaccard", "volume_similarity": "volume similarity", "hd95_mm": "HD95, mm",
    "mean_surface_distance_mm": "mean surface distance, mm", "labels_lost": "labels moved out of the image", "tre_mm": "landmark error, mm",
    "tre_median_mm": "landmark error, median, mm", "tre_max_mm": "landmark error, largest, mm", "ncc": "correlation",
    "mutual_information_nats": "mutual information, nats", "ssim": "structural similarity", "covered_percent": "foreground covered, %",
    "folded_percent": "folded voxels, %", "folded_mm3": "folded volume, mm³", "sd_log_jacobian": "SD of log Jacobian",
    "nondiffeomorphic_percent": "volume inside out, %", "nondiffeomorphic_mm3": "volume inside out, mm³",
    "jacobian_min": "Jacobian, smallest", "jacobian_p1": "Jacobian, 1st percentile", "jacobian_mean": "Jacobian, mean",
    "jacobian_p99": "Jacobian, 99th percentile", "jacobian_max": "Jacobian, largest",
    "inverse_error_mm": "inverse error, mm", "inverse_error_p95_mm": "inverse error, 95th percentile, mm",
    "inverse_error_max_mm": "inverse error, largest, mm", "cycle_error_mm": "cycle error, mm",
    "cycle_error_p95_mm": "cycle error, 95th percentile, mm", "cycle_error_max_mm": "cycle error, largest, mm",
}
"""What each quantity is called on pages."""

_BEFORE, _AFTER = "#e69f00", "#0072b2"  # told apart by colour-blind people
_SHOWN = (("dice", "hd95_mm", "mean_surface_distance_mm"), ("tre_mm",))  # of labels, of landmarks: side by side
_MOST = 40  # regions drawn

Row = Sequence[Any]  # case, quantity, region, before, after


def evaluation_png(rows: Sequence[Row]) -> bytes:
    """A PNG with panels for what labels and landmark regions have: before and after, a region a line; boxes over several cases, bars for
    one. Without any, the quantities of whole cases.
    """
    regional = [[(name, [row for row in rows if row[1] == name and row[2]]) for name in names] for names in _SHOWN]
    whole = [(name, [row for row in rows if row[1] == name]) for name in QUANTITIES]
    bands = [band for band in regional if band[0][1]] or [[panel] for panel in whole if panel[1]]
    heights = [0.8 + 0.24 * min(len({row[2] for row in band[0][1]}), _MOST) for band in bands]
    figure = Figure((11, sum(heights) or 1), layout="constrained")
    FigureCanvasAgg(figure)
    for part, band in zip(figure.subfigures(max(len(bands), 1), 1, squeeze=False, height_ratios=heights or None).flat, bands, strict=False):
        for axis, (name, chosen) in zip(part.subplots(1, len(band), squeeze=False).flat, band, strict=True):
            _panel(axis, chosen)
            axis.set_title(QUANTITIES.get(name, name), fontsize=10, loc="left")
    buffer = BytesIO()
    figure.savefig(buffer, dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def evaluation_page(cases: Iterable[Any], rows: Sequence[Row], picture: bytes) -> str:
    """The page as HTML: each case's numbers, the picture, and every label and region.

    Parameters
    ----------
    cases : with ``name``, ``error`` and ``warnings``.
    """
    cases = list(cases)
    whole = [row for row in rows if not row[2]]
    sections = [Section("Scores", *(_means(whole) if len(cases) > 1 else []), *[part for case in cases for part in _case(case, whole)]),
                Section("Before and after", page.picture(picture, "scores by region, before and after"),
                        page.note("Orange: by the headers alone. Blue: along the transform."))]
    regional = [(row[0], QUANTITIES.get(row[1], row[1]), *row[2:]) for row in rows if row[2]]
    if regional:
        every = page.table(("case", "quantity", "region", "before", "after"), regional)
        sections.append(Section("By region", page.details("Every number", every)))
    return page.render("Evaluation", sections, f"{len(cases)} case{'s' if len(cases) > 1 else ''}")


def score_table(rows: Iterable[Row], caption: str = "") -> Markup:
    """Quantities of a whole case."""
    return page.table(("", "before", "after"), [(QUANTITIES.get(row[1], row[1]), *row[3:]) for row in rows], caption)


def _case(case: Any, rows: Sequence[Row]) -> list[Markup]:
    said = [page.heading(case.name)]
    if case.error:
        return [*said, page.badge("ERROR", case.error)]
    return [*said, *([page.listing(case.warnings)] if case.warnings else []), score_table(row for row in rows if row[0] == case.name)]


def _means(rows: Sequence[Row]) -> list[Markup]:
    """Over the cases that have a number."""
    found = []
    for name in dict.fromkeys(row[1] for row in rows):
        sides = ([row[k] for row in rows if row[1] == name and row[k] is not None] for k in (3, 4))
        found.append(("", name, "", *(float(np.mean(values)) if values else None for values in sides)))
    return [page.heading("Mean over the cases"), score_table(found), page.note("Each mean is over the cases that have the number.")]


def _panel(axis: Axes, rows: Sequence[Row]) -> None:
    regions = list(dict.fromkeys(row[2] for row in rows))[:_MOST]
    places = np.arange(len(regions))
    for column, colour, shift in ((3, _BEFORE, -0.2), (4, _AFTER, 0.2)):
        values = [[row[column] for row in rows if row[2] == region and row[column] is not None] for region in regions]
        if max(map(len, values), default=0) > 1:
            boxes = axis.boxplot(values, positions=places + shift, widths=0.32, orientation="horizontal", patch_artist=True,
                                 flierprops={"markersize": 3}, medianprops={"color": "black"}, manage_ticks=False)
            for box in boxes["boxes"]:
                box.set_facecolor(colour)
        else:
            axis.barh(places + shift, [found[0] if found else 0 for found in values], height=0.36, color=colour)
    axis.set_yticks(places, regions, fontsize=8, parse_math=False)
    axis.set_ylim(len(regions) - 0.4, -0.6)
    axis.spines[["top", "right"]].set_visible(False)
