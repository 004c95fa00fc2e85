"""Figures from Python: ``vx.plot.checkerboard(fixed, moving, transform)`` and its like.

Images are whatever `voxalign.register` takes; ``transform`` takes fixed points to moving points, and may be left out for a moving image
that lies in the space of the fixed one. Every function returns a `matplotlib.figure.Figure`: planes through the middle, side by side.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from matplotlib.figure import Figure

from .. import io
from ..core import Identity, Image, Transform
from . import plots
from .scene import Scene

__all__ = ["before_and_after", "checkerboard", "curves", "deformation", "difference", "expected_error", "lattice",
           "outlines", "volume_change"]


def before_and_after(fixed: Any, moving: Any, transform: Transform | None = None) -> Figure:
    """A sheet: fixed, moving before and after, checkerboard, differences."""
    return plots.before_and_after(_scene(fixed, moving, transform))


def deformation(fixed: Any, moving: Any, transform: Transform) -> Figure:
    """A sheet: lattice, change of volume and length of the motion, without the affine part."""
    return plots.deformation(_scene(fixed, moving, transform))


def checkerboard(fixed: Any, moving: Any, transform: Transform | None = None) -> Figure:
    """Squares of fixed and moved in turn."""
    return plots.checkerboards(_scene(fixed, moving, transform))


def outlines(fixed: Any, moving: Any, transform: Transform | None = None) -> Figure:
    """Outlines of the fixed image over the moved one."""
    scene = _scene(fixed, moving, transform)
    return plots.outlines(scene, scene.after)


def difference(fixed: Any, moving: Any, transform: Transform | None = None) -> Figure:
    """Where the moved image is brighter (orange) or darker (purple) than the fixed one, in parts of its range."""
    scene = _scene(fixed, moving, transform)
    return plots.differences(scene, scene.after)


def lattice(fixed: Any, moving: Any, transform: Transform) -> Figure:
    """The moved image under a lattice that went along, without the affine part of the map."""
    return plots.lattices(_scene(fixed, moving, transform))


def volume_change(fixed: Any, transform: Transform) -> Figure:
    """log2 of the local change of volume beside that of the affine part; red where the map folds."""
    return plots.volume_changes(_scene(fixed, fixed, transform))


def expected_error(fixed: Any, error: Image) -> Figure:
    """A map of mm, such as a result's expected error, over the fixed image's outlines."""
    return plots.maps(_scene(fixed, fixed, None), error, "mm")


def curves(history: Iterable) -> Figure:
    """The loss at every step of a registration (``result.registration.history``)."""
    return plots.curves(history)


def _scene(fixed: Any, moving: Any, transform: Transform | None) -> Scene:
    images = io.as_image(fixed), io.as_image(moving)
    return Scene(*images, transform or Identity(images[0].dim))
