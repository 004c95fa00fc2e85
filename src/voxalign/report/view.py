"""Two images and what lies between them, in the viewer; and a page that is nothing else."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from ..core import Grid, Image, Transform
from ..metrics import jacobian_determinant
from . import page, plots, viewer
from .draw import jpeg
from .page import Section
from .scene import Scene


def view_page(scene: Scene, names: tuple[str, str], mapped: bool) -> str:
    """A page with the viewer of two images called ``names``; ``mapped`` says whether a transform lies between them."""
    fixed, moving = names
    others = (f"{moving}, transformed", f"{moving}, as its header says") if mapped else (moving,)
    still = page.strip(jpeg(plots.checkerboards(scene)), "checkerboard", f"Squares of {fixed} and {others[0]}.", scene.fixed.dim == 3)
    body = [explore(scene, (fixed, *others)), still]
    return page.render(f"{fixed} and {moving}", [Section("Explore", *body)], "", viewer.scripts())


def explore(scene: Scene, names: Sequence[str], maps: Sequence[tuple[str, Image, str]] = ()) -> Markup:
    """The viewer of a scene.

    Parameters
    ----------
    names : of the fixed image, the moved one, and the moving one as its header places it (left out: not shown).
    maps : name, image and unit of what can be laid over; the change of volume is added where the map deforms.
    """
    grid = viewer.upright(scene.fixed.grid)
    transforms = (scene.transform, None)[:len(names) - 1]
    others = [viewer.grey(name, scene.moving, grid, transform) for name, transform in zip(names[1:], transforms, strict=True)]
    volumes = [viewer.coloured(name, image, grid, unit) for name, image, unit in maps]
    if scene.deforms:
        change = _volume_change(scene.transform, scene.affine, grid.downsample(2))
        volumes.append(viewer.coloured("volume change", change, grid, "log2", (-2.0, 2.0), "PuOr"))
    return viewer.viewer(viewer.Stage(grid, viewer.grey(names[0], scene.fixed, grid), tuple(others), tuple(volumes)))


def _volume_change(transform: Transform, affine: np.ndarray, grid: Grid) -> Image:
    """log2 of the volume change beside that of ``affine``."""
    return Image(np.log2(np.maximum(jacobian_determinant(transform, grid) / np.linalg.det(affine), 1e-3)), grid)
