"""Frames of a moving body, one at a time, each with the motion that made it."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..core import Grid, Identity, Image, InputError, Transform
from ..core.errors import choose
from .anatomy import evaluate_all
from .contrast import body_texture, contrast
from .deformation import rigid
from .head import head_anatomy
from .motion import beating, breathing
from .thorax import thorax_anatomy

KINDS = {"breathing": (thorax_anatomy, "CT", 0.0), "beating": (thorax_anatomy, "T2", -50.0), "drifting": (head_anatomy, "T1", 15.0)}
"""Name of a motion -> the body that does it, how it is imaged, and the height of a 2-D slice in mm."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a sequence.

    Parameters
    ----------
    image, labels : what was seen, and what was there.
    truth : points of the first frame -> points of this one, mm.
    time : 0 at the first frame; breathing and beating return at 1.
    """

    image: Image
    labels: Image
    truth: Transform
    time: float


def sequence(kind: str, frames: int, grid: Grid, seed: int = 0) -> Iterator[Frame]:
    """Images of one cycle of a moving body, made one at a time.

    Parameters
    ----------
    kind : ``breathing`` (chest CT), ``beating`` (heart MR), ``drifting`` (a head that does not lie still).
    frames : at least 1.
    grid : of every frame, 2-D or 3-D.

    Raises
    ------
    UsageError : unknown kind.  InputError : no frames.
    """
    anatomy, _, _ = KINDS[choose(kind, KINDS, "motion")]
    if frames < 1:
        raise InputError(f"{frames} frames: expected at least 1")
    return _frames(anatomy(np.random.default_rng(seed)), kind, frames, grid, seed)


def _frames(anatomy: Callable, kind: str, frames: int, grid: Grid, seed: int) -> Iterator[Frame]:
    _, modality, height = KINDS[kind]
    for k in range(frames):
        truth = _motion(kind, k / frames, grid, seed) if k else Identity(grid.dim)
        names, texture = evaluate_all((anatomy, body_texture(seed)), grid, truth.inverse() if k else None, height)
        labels = Image(names, grid, is_label=True)
        yield Frame(contrast(labels, modality, np.random.default_rng((seed, k)), texture=texture), labels, truth, k / frames)


def _motion(kind: str, time: float, grid: Grid, seed: int) -> Transform:
    """From the first frame to the one at ``time``."""
    if kind == "drifting":
        return _drift(time, grid, seed)
    return {"breathing": breathing, "beating": beating}[kind](grid, time)


def _drift(time: float, grid: Grid, seed: int) -> Transform:
    """A slow wandering of a few degrees and mm, smooth in time."""
    rng = np.random.default_rng((seed, 7))
    waves = np.sin(time * np.array([2, 3.7, 5.1])) @ rng.standard_normal((3, 4)) * np.array([1.5, 1.5, 1.5, 1.2])
    axis = rng.standard_normal(3)
    return rigid(float(waves[3]), None if grid.dim == 2 else axis, waves[: grid.dim])
