"""Stills of a registration: sheets for files, and strips of one kind of picture each for pages and for Python."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..core import Image
from .draw import DIVERGING, FOLDING, VALUES, canvas, draw, draw_bar, draw_lines, draw_outlines, round_step, save, strip
from .planes import planes
from .scene import Scene, centre, checkerboard, resampled, window

_ORANGE, _BLUE = np.array([1.0, 0.55, 0.0]), np.array([0.0, 0.45, 1.0])  # together white
_BAR = 0.55  # inches below a strip for a bar of colours


# -------------------------------------------------------------------- sheets, as files
def write_pictures(scene: Scene, folder: Path) -> list[Path]:
    """``before_after.png``, and ``deformation.png`` if the map deforms; the paths written."""
    figures = {"before_after.png": before_and_after(scene)} | ({"deformation.png": deformation(scene)} if scene.deforms else {})
    for name, figure in figures.items():
        save(figure, folder / name)
    return [folder / name for name in figures]


def before_and_after(scene: Scene) -> Figure:
    """Three slices of fixed, moving by its header, moved; their checkerboard; and what differs before and after.

    Images of one kind are subtracted; for two kinds the outlines of fixed are drawn over moving.
    """
    titles = ["fixed", "moving, before", "moving, after", "checkerboard, after"]
    titles += ["difference, before", "difference, after"] if scene.alike else ["outlines of fixed, before", "outlines of fixed, after"]
    axis, rows = canvas(scene.views, titles)
    for row, fixed, before, after in zip(rows, scene.fixed_shades, scene.before, scene.after, strict=True):
        for view, picture in zip(row, (fixed, before, after, checkerboard(fixed, after)), strict=False):
            draw(axis, view, picture)
        for view, picture in zip(row[4:], (before, after), strict=True):
            if scene.alike:
                draw(axis, view, picture - fixed, cmap=DIVERGING, vmin=-0.8, vmax=0.8)
            else:
                draw(axis, view, picture)
                draw_outlines(axis, view, fixed)
    return axis.figure


def deformation(scene: Scene) -> Figure:
    """Three slices of the moved image under a lattice that went along, the local change of volume, and the length of the motion;
    all of the map without its best affine part.
    """
    titles = [f"moving, after; a line every {lattice_step(scene):g} mm", "log2 of volume change; red: folded", "deformation, mm"]
    axis, rows = canvas(scene.views, titles, width=3.1, below=0.5)
    for k, (lattice, change, motion) in enumerate(rows):
        draw(axis, lattice, scene.after[k])
        for direction in range(2):
            draw_lines(axis, lattice, scene.residuals[k], direction, lattice_step(scene))
        colours = (draw(axis, change, scene.log_volumes[k], FOLDING, -2, 2),
                   draw(axis, motion, scene.lengths[k], VALUES, 0, longest(scene.lengths)))
        for view in (change, motion):
            draw_outlines(axis, view, scene.fixed_shades[k], ["black", "none"])
    for view, bar in zip(rows[-1][1:], colours, strict=True):
        left, right, bottom, _ = view.frame
        draw_bar(axis, ((3 * left + right) / 4, (left + 3 * right) / 4, bottom + 0.2), bar)
    return axis.figure


def overlay_uri(fixed: Image, moved: Image) -> str:
    """A small PNG as a ``data:`` address: fixed in orange, moved in blue, white where they agree."""
    from matplotlib.image import imsave

    from .page import uri

    show_fixed, show_moved = window(fixed), window(moved)
    pictures = [show_fixed(view.picture(fixed))[..., None] * _ORANGE + show_moved(view.picture(moved))[..., None] * _BLUE
                for view in planes(fixed.grid, centre(fixed))]
    height = max(len(picture) for picture in pictures)
    padded = [np.pad(picture, ((0, height - len(picture)), (0, 4), (0, 0))) for picture in pictures]
    buffer = BytesIO()
    imsave(buffer, np.clip(np.concatenate(padded, 1), 0, 1), format="png")
    return uri(buffer.getvalue(), "image/png")


# -------------------------------------------------------------------- strips: one kind of picture each
def greys(scene: Scene, pictures: Sequence[NDArray]) -> Figure:
    """Pictures of the planes as they are."""
    axis, views = strip(scene.views)
    for view, picture in zip(views, pictures, strict=True):
        draw(axis, view, picture)
    return axis.figure


def checkerboards(scene: Scene) -> Figure:
    """Squares of fixed and moved in turn."""
    return greys(scene, [checkerboard(a, b) for a, b in zip(scene.fixed_shades, scene.after, strict=True)])


def outlines(scene: Scene, pictures: Sequence[NDArray]) -> Figure:
    """Outlines of the fixed image over pictures of the planes."""
    axis, views = strip(scene.views)
    for view, picture, shade in zip(views, pictures, scene.fixed_shades, strict=True):
        draw(axis, view, picture)
        draw_outlines(axis, view, shade)
    return axis.figure


def differences(scene: Scene, pictures: Sequence[NDArray]) -> Figure:
    """What pictures have more (orange) or less (purple) than the fixed image, in parts of its range."""
    shown = [picture - fixed for picture, fixed in zip(pictures, scene.fixed_shades, strict=True)]
    label = "orange: brighter than fixed; purple: darker (parts of the range)"
    return _coloured(scene, shown, label, cmap=f"{DIVERGING}_r", vmin=-0.8, vmax=0.8)


def lattices(scene: Scene) -> Figure:
    """A lattice of the moving image's space, as it lies on the moved image, without the affine part of the map."""
    axis, views = strip(scene.views)
    for view, picture, there in zip(views, scene.after, scene.residuals, strict=True):
        draw(axis, view, picture)
        for direction in range(2):
            draw_lines(axis, view, there, direction, lattice_step(scene))
    return axis.figure


def volume_changes(scene: Scene) -> Figure:
    """log2 of the local change of volume; red where the map folds."""
    return _coloured(scene, scene.log_volumes, "log2 of volume change; red: folded", cmap=FOLDING, vmin=-2, vmax=2)


def motions(scene: Scene) -> Figure:
    """How far the map moves points beside its affine part, mm."""
    return _coloured(scene, scene.lengths, "mm", cmap=VALUES, vmin=0, vmax=longest(scene.lengths))


def maps(scene: Scene, values: Image, label: str) -> Figure:
    """An image of a quantity, such as an expected error in mm, in colours; dark grey where it is not defined."""
    shown = [resampled(values, view) for view in scene.views]
    return _coloured(scene, shown, label, cmap=VALUES, vmin=0, vmax=longest(shown))


def changes(scene: Scene, values: Image, label: str, least: float = 1e-6) -> Figure:
    """A quantity that is above (orange) or below 0 (purple), in colours to the value that 1 of 200 voxels exceeds, or to ``least``."""
    shown = [resampled(values, view) for view in scene.views]
    most = max(least, *(float(np.percentile(np.abs(np.ma.compressed(picture)), 99.5)) for picture in shown if np.ma.count(picture)))
    return _coloured(scene, shown, label, cmap=f"{DIVERGING}_r", vmin=-most, vmax=most)


def curves(history: Iterable) -> Figure:
    """How the loss changes from its first value in each level of a registration (`Step` values)."""
    figure = Figure((9.0, 2.6), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    axis = figure.add_axes((0.08, 0.08, 0.91, 0.72))
    levels = _levels(history)
    for k, (name, losses) in enumerate(levels):
        places = k + (0.1 + 0.8 * np.arange(len(losses)) / max(len(losses) - 1, 1))
        axis.plot(places, np.array(losses) - losses[0], color="#0072b2", linewidth=1.2, marker=".", markersize=3)
        axis.axvline(k, color="#bbbbbb", linewidth=0.6)
        axis.text(k + 0.5, 1.03, f"{name}\n{len(losses)} steps", fontsize=6.5, color="#444444", ha="center",
                  transform=axis.get_xaxis_transform())
    axis.set(ylabel="change of the loss", xlim=(0, max(len(levels), 1)), xticks=[])
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def _levels(history: Iterable) -> list[tuple[str, list[float]]]:
    """Name and losses of each level, in order."""
    levels: list[tuple[str, list[float]]] = []
    for step in history:
        name = f"{step.stage}\n{step.spacing:.3g} mm"
        if not levels or levels[-1][0] != name:
            levels.append((name, []))
        levels[-1][1].append(step.loss)
    return levels


def _coloured(scene: Scene, pictures: Sequence[NDArray], label: str, **style) -> Figure:
    """Values of the planes in colours, with the outlines of the fixed image and a bar."""
    axis, views = strip(scene.views, below=_BAR)
    for view, picture, shade in zip(views, pictures, scene.fixed_shades, strict=True):
        drawn = draw(axis, view, picture, **style)
        draw_outlines(axis, view, shade, ["white" if style["cmap"] is VALUES else "black", "none"])
    width, height = axis.figure.get_size_inches()
    draw_bar(axis, (0.3 * width, 0.7 * width, height - _BAR + 0.13), drawn, label)
    return axis.figure


def lattice_step(scene: Scene) -> float:
    """mm between the lines of a lattice."""
    return round_step(float(np.max(scene.fixed.grid.extent)) / 24)


def longest(pictures: Sequence[NDArray]) -> float:
    """The largest value of all pictures, above 0."""
    return max(1e-6, *(float(picture.max()) for picture in pictures if np.ma.count(picture)))

