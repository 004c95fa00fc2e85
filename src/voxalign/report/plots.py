"""Stills of a registration: before and after, and the deformation; colours that colour-blind people tell apart."""
from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from ..core import Image, Transform, resample
from ..metrics import jacobian_determinant
from .planes import Plane, planes

_ORANGE, _BLUE = np.array([1.0, 0.55, 0.0]), np.array([0.0, 0.45, 1.0])  # together white
_DIVERGING = "PuOr"
_FOLDING = colormaps[_DIVERGING].with_extremes(bad="red")
_SIDES = ((0.02, 0.5, "left", "center"), (0.98, 0.5, "right", "center"),
          (0.5, 0.98, "center", "top"), (0.5, 0.02, "center", "bottom"))
_LEFT, _TOP, _GAP = 0.3, 0.3, 0.06  # inches: for the names of rows, for those of columns, between pictures
_SQUARES = 8      # of the checkerboard, along the longer side
_SAME_KIND = 0.3  # correlation in the body from which on a difference of two images means something
_LINEAR = 0.02    # voxels: maps that are nearer to an affine one have no deformation to show


def write_pictures(fixed: Image, moving: Image, transform: Transform, folder: Path) -> list[Path]:
    """``before_after.png``, and ``deformation.png`` if the map deforms; the paths written."""
    figures = {"before_after.png": before_and_after(fixed, moving, transform)}
    if not _is_affine(fixed, transform):
        figures["deformation.png"] = deformation(fixed, moving, transform)
    for name, figure in figures.items():
        figure.savefig(folder / name, facecolor=figure.get_facecolor(), metadata={"Software": None})
    return [folder / name for name in figures]


def before_and_after(fixed: Image, moving: Image, transform: Transform) -> Figure:
    """Three slices of fixed, moving by its header, moved; their checkerboard; and what differs before and after.

    Images of one kind are subtracted; for two kinds the outlines of fixed are drawn over moving.
    """
    views = planes(fixed.grid, centre(fixed))
    moved = resample(moving, fixed.grid, transform)
    alike = _same_kind(fixed, moved)
    titles = ["fixed", "moving, before", "moving, after", "checkerboard, after"]
    titles += ["difference, before", "difference, after"] if alike else ["outlines of fixed, before", "outlines of fixed, after"]
    figure, axes = _canvas(views, titles)
    show_fixed, show_moving = window(fixed), window(moving)
    for row, view in zip(axes, views, strict=True):
        grey = show_fixed(view.picture(fixed)), show_moving(view.picture(moving)), show_moving(view.picture(moving, transform))
        for axis, picture in zip(row, (*grey, checkerboard(grey[0], grey[2])), strict=False):
            _draw(axis, view, picture)
        for axis, picture in zip(row[4:], grey[1:], strict=True):
            if alike:
                _draw(axis, view, picture - grey[0], cmap=_DIVERGING, vmin=-0.8, vmax=0.8)
            else:
                _draw(axis, view, picture)
                _draw_outlines(axis, view, grey[0], ["#ff9e1b", "#56b4e9"])
    return figure


def deformation(fixed: Image, moving: Image, transform: Transform) -> Figure:
    """Three slices of the moved image under a lattice that went along, the local change of volume, and the length of the motion;
    all of the map without its best affine part.
    """
    views = planes(fixed.grid, centre(fixed))
    affine = best_affine(fixed, transform)
    step = _round_step(float(np.max(fixed.grid.extent)) / 24)
    titles = [f"moving, after; a line every {step:g} mm", "log2 of volume change; red: folded", "deformation, mm"]
    figure, axes = _canvas(views, titles, width=3.1, below=0.5)
    fields = [_residual(view, transform, affine) for view in views]
    lengths = [np.linalg.norm(field - view.grid.points(), axis=-1) for field, view in zip(fields, views, strict=True)]
    longest = max(float(length.max()) for length in lengths)
    show_fixed, show_moving = window(fixed), window(moving)
    for row, view, field, length in zip(axes, views, fields, lengths, strict=True):
        _draw(row[0], view, show_moving(view.picture(moving, transform)))
        for axis in range(2):
            _draw_lines(row[0], view, field, axis, step)
        change = _draw(row[1], view, _log_volume(view, transform, affine), cmap=_FOLDING, vmin=-2, vmax=2)
        motion = _draw(row[2], view, view.flat(length), cmap="viridis", vmin=0, vmax=max(longest, 1e-6))
        for axis in row[1:]:
            _draw_outlines(axis, view, show_fixed(view.picture(fixed)), ["black", "none"])
    _draw_bar(figure, axes[-1][1], change)
    _draw_bar(figure, axes[-1][2], motion)
    return figure


def overlay_uri(fixed: Image, moved: Image) -> str:
    """A small PNG as a ``data:`` address: fixed in orange, moved in blue, white where they agree."""
    from matplotlib.image import imsave

    show_fixed, show_moved = window(fixed), window(moved)
    pictures = [show_fixed(view.picture(fixed))[..., None] * _ORANGE + show_moved(view.picture(moved))[..., None] * _BLUE
                for view in planes(fixed.grid, centre(fixed))]
    height = max(len(picture) for picture in pictures)
    padded = [np.pad(picture, ((0, height - len(picture)), (0, 4), (0, 0))) for picture in pictures]
    buffer = BytesIO()
    imsave(buffer, np.clip(np.concatenate(padded, 1), 0, 1), format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


# -------------------------------------------------------------------- what is shown
class window:
    """Intensities to 0..1 by the range an image uses, without its rarest values; called like the function it is."""

    def __init__(self, image: Image) -> None:
        values = image.array[_sparse(image)].astype(np.float64)
        self.low, self.high = np.percentile(values, (1, 99.7))
        if self.high <= self.low:
            self.low, self.high = values.min(), max(values.max(), values.min() + 1)

    def __call__(self, picture: NDArray) -> NDArray:
        """Shades of a picture, 0 to 1."""
        return np.clip((picture - self.low) / (self.high - self.low), 0, 1)


def centre(image: Image) -> NDArray[np.float64]:
    """World point in the middle of what an image shows, (D,) mm."""
    step = _sparse(image)
    weight = window(image)(image.array[step])
    weight = np.where(weight > 0.1, 1.0, 0.0)
    index = np.indices(weight.shape).reshape(image.dim, -1) @ weight.ravel() / max(weight.sum(), 1)
    return image.grid.world(np.round(index * [s.step for s in step]))


def checkerboard(a: NDArray, b: NDArray) -> NDArray:
    """Squares of ``a`` and ``b`` in turn."""
    side = max(2, max(a.shape) // _SQUARES)
    rows, columns = np.indices(a.shape) // side
    return np.where((rows + columns) % 2, a, b)


def best_affine(fixed: Image, transform: Transform) -> NDArray[np.float64]:
    """The (D+1, D+1) matrix nearest to a map over a lattice of the fixed grid."""
    points = fixed.grid.with_shape(np.minimum(fixed.grid.shape, 12)).points().reshape(-1, fixed.dim)
    homogeneous = np.column_stack([points, np.ones(len(points))])
    matrix = np.eye(fixed.dim + 1)
    matrix[:-1] = np.linalg.lstsq(homogeneous, transform(points), rcond=None)[0].T
    return matrix


def _is_affine(fixed: Image, transform: Transform) -> bool:
    points = fixed.grid.with_shape(np.minimum(fixed.grid.shape, 12)).points()
    matrix = best_affine(fixed, transform)
    rest = np.abs(points @ matrix[:-1, :-1].T + matrix[:-1, -1] - transform(points))
    return bool(rest.max() < _LINEAR * fixed.grid.spacing.min())


def _same_kind(fixed: Image, moved: Image) -> bool:
    """Whether bright is bright in both, so that a difference means something."""
    step = _sparse(fixed)
    a, b = window(fixed)(fixed.array[step]).ravel(), moved.array[step].ravel()
    inside = a > 0.1
    a, b = a[inside], b[inside]
    return len(a) > 16 and a.std() > 0 and b.std() > 0 and float(np.corrcoef(a, b)[0, 1]) > _SAME_KIND


def _residual(view: Plane, transform: Transform, affine: NDArray) -> NDArray:
    """Where points of a plane go without the affine part, (*grid, D) mm."""
    inverse = np.linalg.inv(affine)
    return transform(view.grid.points()) @ inverse[:-1, :-1].T + inverse[:-1, -1]


def _log_volume(view: Plane, transform: Transform, affine: NDArray) -> NDArray:
    """log2 of the volume change on a plane beside that of the affine part; masked where the map folds."""
    grid = view.grid
    if grid.dim == 3:
        grid = grid.crop((0, 0, -1), (*grid.shape[:2], 2))
    determinant = jacobian_determinant(transform, grid)
    determinant = determinant[..., 1] if grid.dim == 3 else determinant
    determinant = view.flat(determinant) / np.linalg.det(affine)
    return np.ma.masked_where(determinant <= 0, np.log2(np.maximum(determinant, 1e-3)))


# -------------------------------------------------------------------- drawing
def _canvas(views: list[Plane], titles: list[str], width: float = 2.2, below: float = 0.05) -> tuple[Figure, list[list[Axes]]]:
    """A dark sheet with one row a plane and one column a title; sizes in inches, ``below`` is left free at the bottom.

    Laid out by hand: matplotlib's own layout takes longer than all drawing.
    """
    heights = [width * min(max(view.grid.extent[1] / view.grid.extent[0], 0.35), 2.5) for view in views]
    sheet = np.array([_LEFT + len(titles) * (width + _GAP), _TOP + sum(heights) + _GAP * len(views) + below])
    figure = Figure(tuple(sheet), dpi=110, facecolor="black")
    FigureCanvasAgg(figure)
    rows, bottom = [], sheet[1] - _TOP
    for view, height in zip(views, heights, strict=True):
        bottom -= height
        boxes = [np.array([_LEFT + k * (width + _GAP), bottom, width, height]) / [*sheet, *sheet] for k in range(len(titles))]
        rows.append([figure.add_axes(tuple(box), frame_on=False, xticks=[], yticks=[]) for box in boxes])
        middle = (0.45 * _LEFT, bottom + height / 2) / sheet
        figure.text(*middle, view.title, color="white", fontsize=8, rotation=90, ha="center", va="center")
        bottom -= _GAP
    for k, title in enumerate(titles):
        middle = (_LEFT + k * (width + _GAP) + width / 2, sheet[1] - _TOP / 2) / sheet
        figure.text(*middle, title, color="white", fontsize=9, ha="center", va="center")
    return figure, rows


def _draw_bar(figure: Figure, axis: Axes, drawn: AxesImage) -> None:
    """What the colours mean, below the last picture of a column."""
    left, bottom, width, _ = axis.get_position().bounds
    bar = figure.colorbar(drawn, cax=figure.add_axes((left + width / 4, 0.7 * bottom, width / 2, 0.12 * bottom)), orientation="horizontal")
    bar.ax.tick_params(colors="white", labelsize=8)


def _draw(axis: Axes, view: Plane, picture: NDArray, **style):
    """A picture in true proportions with the letters of its sides; grey from 0 to 1 unless styled."""
    drawn = axis.imshow(picture, extent=view.extent, **({"cmap": "gray", "vmin": 0, "vmax": 1} | style))
    for letter, (x, y, across, up) in zip(view.letters, _SIDES, strict=True):
        axis.text(x, y, letter, color="#f0e442", fontsize=9, fontweight="bold", transform=axis.transAxes, ha=across, va=up,
                  path_effects=[withStroke(linewidth=2, foreground="black")])
    return drawn


def _draw_lines(axis: Axes, view: Plane, field: NDArray, direction: int, step: float) -> None:
    """Lines of equal position along one direction of the plane, where the map takes it: the lattice of moving, pulled back."""
    unit = view.grid.direction[:, direction]
    place = view.flat(field @ unit)
    levels = np.arange(np.floor(place.min() / step), np.ceil(place.max() / step) + 1) * step
    _contour(axis, view, place, levels=levels, colors="#56b4e9", linewidths=0.6, linestyles="solid")


def _draw_outlines(axis: Axes, view: Plane, shade: NDArray, colours: list[str]) -> None:
    """Outlines of the body and of its brighter half."""
    from scipy import ndimage

    _contour(axis, view, ndimage.gaussian_filter(shade, 1.0), levels=_outline_levels(shade), colors=colours, linewidths=0.7)


def _contour(axis: Axes, view: Plane, values: NDArray, levels: ArrayLike, **style) -> None:
    """Contours of a picture, where there are any."""
    if values.min() < np.max(levels) and values.max() > np.min(levels):
        left, right, bottom, top = view.extent
        half = float(view.grid.spacing[0]) / 2  # contours run through pixel centres, pictures to their edges
        axis.contour(values, levels=levels, extent=(left + half, right - half, top + half, bottom - half), **style)


def _sparse(image: Image) -> tuple[slice, ...]:
    """Every few voxels: enough for statistics of a picture."""
    return tuple(slice(None, None, max(1, n // 64)) for n in image.grid.shape)


def _outline_levels(shade: NDArray) -> list[float]:
    """Two levels that outline what a picture shows: the body, and its brighter half."""
    inside = shade[shade > 0.1]
    middle = float(np.median(inside)) if inside.size else 0.5
    return [min(0.12, middle / 2), max(middle, 0.13)]


def _round_step(length: float) -> float:
    """1, 2 or 5 times a power of ten near ``length``."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(power * min((1, 2, 5, 10), key=lambda f: abs(f * power - length)))
