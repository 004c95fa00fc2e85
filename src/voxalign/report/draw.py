"""Drawing: black sheets, pictures in true proportions, lattices and outlines; colours that colour-blind people tell apart."""
from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from .planes import Plane

DIVERGING = "PuOr"
VALUES = colormaps["viridis"].with_extremes(bad="#333333")
FOLDING = colormaps[DIVERGING].with_extremes(bad="red")
OUTLINES = ("#ff9e1b", "#56b4e9")
_SIDES = ((0.02, 0.5, "left", "center"), (0.98, 0.5, "right", "center"),
          (0.5, 0.02, "center", "top"), (0.5, 0.98, "center", "bottom"))
_LEFT, _TOP, _GAP = 0.3, 0.3, 0.06  # inches: for the names of rows, for those of columns, between pictures
_STRIP = 9.0  # inches wide
_STRIP_2D = 4.5
_BAR = 0.08      # inches high


def canvas(views: Sequence[Plane], titles: Sequence[str], width: float = 2.2, below: float = 0.05) -> tuple[Axes, list[list[Plane]]]:
    """A dark sheet with one row a plane and one column a title; ``below`` inches are left free at the bottom.

    Returns
    -------
    The axes of the sheet, in inches from its upper left corner, and the planes with their places, by row.
    """
    lefts, top, rows = [_LEFT + k * (width + _GAP) for k in range(len(titles))], _TOP, []
    for view in views:
        rows.append([view.at(left, top, width) for left in lefts])
        top = rows[-1][0].frame[2] + _GAP
    axis = _sheet(lefts[-1] + width + _GAP, top + below)
    for row in rows:
        _, _, bottom, top = row[0].frame
        _write(axis, 0.45 * _LEFT, (bottom + top) / 2, row[0].title, rotation=90)
    for left, title in zip(lefts, titles, strict=True):
        _write(axis, left + width / 2, _TOP / 2, title, fontsize=9)
    return axis, rows


def strip(views: Sequence[Plane], below: float = 0.0) -> tuple[Axes, list[Plane]]:
    """A dark sheet with the planes side by side, all at one scale, their names above; ``below`` inches are left free at the bottom.

    Returns
    -------
    The axes of the sheet, in inches from its upper left corner, and the planes with their places.
    """
    widths = np.array([view.grid.extent[0] for view in views])
    widths *= ((_STRIP if len(views) > 1 else _STRIP_2D) - _GAP * (len(views) - 1)) / widths.sum()
    head = _TOP if views[0].title else 0.0
    lefts = np.cumsum([0.0, *(widths[:-1] + _GAP)])
    placed = [view.at(float(left), head, float(width)) for view, left, width in zip(views, lefts, widths, strict=True)]
    axis = _sheet(float(lefts[-1] + widths[-1]), max(view.frame[2] for view in placed) + below)
    for view in placed:
        _write(axis, (view.frame[0] + view.frame[1]) / 2, head / 2, view.title)
    return axis, placed


def save(figure: Figure, path: Path) -> None:
    """A figure as a PNG file."""
    _pixels(figure).save(path, compress_level=4)


def jpeg(figure: Figure) -> bytes:
    """A figure as the bytes of a JPEG file: a third of a PNG where there is noise, and no difference that eyes find."""
    buffer = BytesIO()
    _pixels(figure).save(buffer, "jpeg", quality=88, subsampling=0)
    return buffer.getvalue()


def _pixels(figure: Figure) -> PIL.Image.Image:
    figure.canvas.draw()
    return PIL.Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])


def draw(axis: Axes, view: Plane, picture: NDArray, cmap: str | Colormap = "gray", vmin: float = 0.0, vmax: float = 1.0) -> ScalarMappable:
    """A picture in its place with the letters of its sides; grey from 0 to 1 unless styled."""
    colours = ScalarMappable(Normalize(vmin, vmax), cmap)
    left, right, bottom, top = view.frame
    axis.add_image(_image(axis, colours.to_rgba(picture, bytes=True), view.frame))
    for letter, (x, y, across, up) in zip(view.letters, _SIDES, strict=True):
        axis.text(left + x * (right - left), top + y * (bottom - top), letter, color="#f0e442", fontsize=9, fontweight="bold",
                  ha=across, va=up, path_effects=[withStroke(linewidth=2, foreground="black")])
    return colours


def draw_bar(axis: Axes, frame: tuple[float, float, float], colours: ScalarMappable, label: str = "") -> None:
    """What the colours mean: a bar from ``frame``'s left to its right, with its middle at its height (all in inches)."""
    left, right, middle = frame
    sheet = axis.figure.get_size_inches()
    box = np.array([left, sheet[1] - middle - _BAR / 2, right - left, _BAR]) / [*sheet, *sheet]
    bar = axis.figure.colorbar(colours, cax=axis.figure.add_axes(tuple(box)), orientation="horizontal")
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
        left, right, bottom, top = view.frame
        half = (right - left) / values.shape[1] / 2  # contours run through pixel centres, pictures to their edges
        axis.contour(values, levels=levels, extent=(left + half, right - half, top + half, bottom - half), **style)


def _outline_levels(shade: NDArray) -> list[float]:
    """Two levels that outline what a picture shows: the body, and its brighter half."""
    inside = shade[shade > 0.1]
    middle = float(np.median(inside)) if inside.size else 0.5
    return [min(0.12, middle / 2), max(middle, 0.13)]


def _sheet(width: float, height: float) -> Axes:
    """One `Axes` in inches from the upper left corner over a whole sheet: making one takes longer than drawing in it."""
    figure = Figure((width, height), dpi=110, facecolor="black")
    FigureCanvasAgg(figure)
    axis = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    axis.set_axis_off()
    return axis


def _image(axis: Axes, pixels: NDArray, frame: tuple[float, float, float, float]) -> AxesImage:
    """Pixels in a place; `Axes.imshow` would change the limits and the aspect of the sheet."""
    image = AxesImage(axis, extent=frame, origin="upper")
    image.set_data(pixels)
    return image


def _write(axis: Axes, x: float, y: float, text: str, fontsize: float = 8, rotation: float = 0) -> None:
    axis.text(x, y, text, color="white", fontsize=fontsize, rotation=rotation, ha="center", va="center")
