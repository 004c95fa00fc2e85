"""What a file says about the image in it: the one value all readers return, before any voxel is read."""
from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import Grid, InputError, InputWarning

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Header:
    """An image file, understood and not yet read.

    Parameters
    ----------
    format : as a user calls it (``NIfTI-1``, ``DICOM``).
    grid : where the voxels of one frame are.
    dtype : as stored.
    read : frame -> (channels, *grid.shape) as stored, in any memory order.
    frames : volumes in the file (time points, gradient directions).
    channels, kind : values a voxel, and what they are: ``scalar``, ``vector``, ``colour`` or ``complex``.
    scale : slope and intercept that turn stored values into real ones.
    notes : oddities that were accepted, one sentence each.
    details : what else is worth showing to a user.
    each : all frames one after the other as of ``read``, the file read once; None where ``read`` is as good.
    """

    format: str
    grid: Grid
    dtype: np.dtype
    read: Callable[[int], NDArray] = field(repr=False)
    frames: int = 1
    channels: int = 1
    kind: str = "scalar"
    scale: tuple[float, float] = (1.0, 0.0)
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    each: Callable[[], Iterator[NDArray]] | None = field(default=None, repr=False)


def shown(path: str | os.PathLike[str]) -> str:
    """A path in one line of quotes, whatever characters it holds."""
    return repr(os.fspath(path))


def note(path: str | os.PathLike[str], text: str) -> str:
    """A remark that names the file."""
    return f"{shown(path)}: {text}"


def warn(path: str | os.PathLike[str], text: str) -> None:
    """Say something odd about a file that is used all the same."""
    say(note(path, text))


def say(text: str) -> None:
    """An `InputWarning` in the name of the code that called this package."""
    warnings.warn(text, InputWarning, stacklevel=_outside())


def _outside() -> int:
    """How many calls above `say` the first one outside this package is."""
    frame, level = sys._getframe(1), 1
    while frame is not None and frame.f_globals.get("__package__") == __package__:
        frame, level = frame.f_back, level + 1
    return level


def refuse(path: str | os.PathLike[str], reason: str) -> InputError:
    """An `InputError` that names the file."""
    return InputError(note(path, reason))


def make_grid(path: Path, shape: tuple[int, ...], affine: ArrayLike) -> Grid:
    """A `Grid`, its errors naming the file."""
    try:
        return Grid(shape, np.asarray(affine))
    except InputError as error:
        raise refuse(path, str(error)) from None


def check_spacing(path: Path, name: str, spacing: ArrayLike) -> None:
    """Refuse spacings that cannot be; they are never replaced by 1."""
    spacing = np.asarray(spacing, np.float64)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise refuse(path, f"{name} is {spacing.tolist()}: expected positive mm; correct the header")


def from_lps(affine: ArrayLike) -> NDArray[np.float64]:
    """An index -> LPS matrix as index -> RAS (either way round), (D+1, D+1), D = 2 or 3."""
    affine = np.array(affine, np.float64)
    affine[:2] *= -1
    return affine + 0.0  # no negative zeros


def flatten(path: Path, affine: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """A (4, 4) affine of a 2-D image as (3, 3), and a note if its plane is not the axial one.

    The first two world axes are kept, as ITK does; where the plane stands on edge (sagittal, coronal) that has no
    extent, and positions are in-plane mm from the first pixel instead.
    """
    plane = affine[np.ix_([0, 1, 3], [0, 1, 3])]
    lengths = np.linalg.norm(affine[:3, :2], axis=0)
    tilt = abs(np.linalg.det(plane[:2, :2] / lengths)) if lengths.min() > 0 else 1.0
    if tilt > 0.999:
        return plane, ()
    if tilt > 0.5:
        return plane, (note(path, "the plane of this 2-D image is tilted; its projection on the axial plane is used"),)
    text = "the plane of this 2-D image is not axial; in-plane mm from the first pixel are used"
    return np.diag([*lengths, 1.0]), (note(path, text),)
