"""Drawing: black sheets, pictures in true proportions, lattices and outlines; colours that colour-blind people tell apart."""
from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from .planes import Plane

DIVERGING = "PuOr"
FOLDING = colormaps[DIVERGING].with_extremes(bad="red")
OUTLINES = ("#ff9e1b", "#56b4e9")
_SIDES = ((0.02, 0.5, "left", "center"), (0.98, 0.5, "right", "center"),
          (0.5, 0.98, "center", "top"), (0.5, 0.02, "center", "bottom"))
_LEFT, _TOP, _GAP = 0.3, 0.3, 0.06  # inches: for the names of rows, for those of columns, between pictures
_STRIP = 9.0  # inches wide
_STRIP_2D = 4.5


def canvas(views: Sequence[Plane], titles: Sequence[str], width: float = 2.2, below: float = 0.05) -> tuple[Figure, list[list[Axes]]]:
    """A dark sheet with one row a plane and one column a title; sizes in inches, ``below`` is left free at the bottom.

    Laid out by hand: matplotlib's own layout takes longer than all drawing.
    """
    heights = [width * min(max(view.grid.extent[1] / view.grid.extent[0], 0.35), 2.5) for view in views]
    sheet = np.array([_LEFT + len(titles) * (width + _GAP), _TOP + sum(heights) + _GAP * len(views) + below])
    figure = _sheet(sheet)
    rows, bottom = [], sheet[1] - _TOP
    for view, height in zip(views, heights, strict=True):
        bottom -= height
        boxes = [np.array([_LEFT + k * (width + _GAP), bottom, width, height]) / [*sheet, *sheet] for k in range(len(titles))]
        rows.append([_axes(figure, box) for box in boxes])
        _write(figure, np.array([0.45 * _LEFT, bottom + height / 2]) / sheet, view.title, rotation=90)
        bottom -= _GAP
    for k, title in enumerate(titles):
        _write(figure, np.array([_LEFT + k * (width + _GAP) + width / 2, sheet[1] - _TOP / 2]) / sheet, title, size=9)
    return figure, rows


def strip(views: Sequence[Plane], below: float = 0.0) -> tuple[Figure, list[Axes]]:
    """A dark sheet with the planes side by side, all at one scale, their names above; ``below`` inches are left free at the bottom."""
    sizes = np.array([view.grid.extent[:2] for view in views])
    scale = ((_STRIP if len(views) > 1 else _STRIP_2D) - _GAP * (len(views) - 1)) / sizes[:, 0].sum()
    top = _TOP if any(view.title for view in views) else 0.0
    sheet = np.array([(scale * sizes[:, 0]).sum() + _GAP * (len(views) - 1), scale * sizes[:, 1].max() + top + below])
    figure, axes, left = _sheet(sheet), [], 0.0
    for view, (width, height) in zip(views, scale * sizes, strict=True):
        bottom = below + (sheet[1] - top - below - height) / 2
        axes.append(_axes(figure, np.array([left, bottom, width, height]) / [*sheet, *sheet]))
        _write(figure, np.array([left + width / 2, sheet[1] - top / 2]) / sheet, view.title)
        left += width + _GAP
    return figure, axes


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = BytesIO()
    figure.savefig(buffer, facecolor=figure.get_facecolor(), metadata={"Software": None})
    return buffer.getvalue()


def draw(axis: Axes, view: Plane, picture: NDArray, **style) -> AxesImage:
    """A picture in true proportions with the letters of its sides; grey from 0 to 1 unless styled."""
    drawn = axis.imshow(picture, extent=view.extent, **({"cmap": "gray", "vmin": 0, "vmax": 1} | style))
    for letter, (x, y, across, up) in zip(view.letters, _SIDES, strict=True):
        axis.text(x, y, letter, color="#f0e442", fontsize=9, fontweight="bold", transform=axis.transAxes, ha=across, va=up,
                  path_effects=[withStroke(linewidth=2, foreground="black")])
    return drawn


def draw_bar(figure: Figure, box: Sequence[float], drawn: AxesImage, label: str = "") -> None:
    """What the colours mean: a bar in ``box`` (left, bottom, width, height in parts of the sheet)."""
    bar = figure.colorbar(drawn, cax=figure.add_axes(tuple(box)), orientation="horizontal")
    bar.ax.tick_params(colors="white", labelsize=8)
    bar.set_label(label, color="white", fontsize=8, labelpad=2)


def draw_lines(axis: Axes, view: Plane, field: NDArray, direction: int, step: float) -> None:
    """Lines of equal position along one direction of the plane, where the map takes it: the lattice of moving, pulled back."""
    unit = view.grid.direction[:, direction]
    place = view.flat(field @ unit)
    levels = np.arange(np.floor(place.min() / step), np.ceil(place.max() / step) + 1) * step
    _contour(axis, view, place, levels=levels, colors="#56b4e9", linewidths=0.6, linestyles="solid")


def draw_outlines(axis: Axes, view: Plane, shade: NDArray, colours: Sequence[str] = OUTLINES) -> None:
    """Outlines of the body and of its brighter half."""
    from scipy import ndimage

    _contour(axis, view, ndimage.gaussian_filter(shade, 1.0), levels=_outline_levels(shade), colors=list(colours), linewidths=0.7)


def round_step(length: float) -> float:
    """1, 2 or 5 times a power of ten near ``length``."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(power * min((1, 2, 5, 10), key=lambda f: abs(f * power - length)))


def _contour(axis: Axes, view: Plane, values: NDArray, levels: ArrayLike, **style) -> None:
    """Contours of a picture, where there are any."""
    if values.min() < np.max(levels) and values.max() > np.min(levels):
        left, right, bottom, top = view.extent
        half = float(view.grid.spacing[0]) / 2  # contours run through pixel centres, pictures to their edges
        axis.contour(values, levels=levels, extent=(left + half, right - half, top + half, bottom - half), **style)


def _outline_levels(shade: NDArray) -> list[float]:
    """Two levels that outline what a picture shows: the body, and its brighter half."""
    inside = shade[shade > 0.1]
    middle = float(np.median(inside)) if inside.size else 0.5
    return [min(0.12, middle / 2), max(middle, 0.13)]


def _sheet(inches: NDArray) -> Figure:
    figure = Figure(tuple(inches), dpi=110, facecolor="black")
    FigureCanvasAgg(figure)
    return figure


def _axes(figure: Figure, box: NDArray) -> Axes:
    return figure.add_axes(tuple(box), frame_on=False, xticks=[], yticks=[])


def _write(figure: Figure, place: NDArray, text: str, size: float = 8, rotation: float = 0) -> None:
    figure.text(*place, text, color="white", fontsize=size, rotation=rotation, ha="center", va="center")
