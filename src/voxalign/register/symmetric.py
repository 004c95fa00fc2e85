"""Registration in which neither image is preferred: both are deformed until they meet halfway.

Each step deforms one image towards the other as the other is deformed by now (Avants et al. 2008, doi:10.1016/j.media.2007.06.004), with
the steps of `deformable`. Linear maps are the mean of those found in either direction.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, compose
from ..transforms import Displacement
from ..transforms.linear import Linear
from .deformable import Channel, Level, Regularity, begun, both, levels, refine, stalled

_STEP = 0.75  # of that of one image: two move


@dataclass(frozen=True, eq=False)
class Meeting:
    """Two images halfway between them.

    Parameters
    ----------
    poses : linear maps, points of the middle -> points of each image, mm.
    bent : maps of the middle to itself, applied before the poses; () for none.
    """

    poses: tuple[Linear, Linear]
    bent: tuple[Displacement, ...] = ()

    @property
    def linear(self) -> Linear:
        """From the first image to the second, mm."""
        first, second = self.poses
        return type(first).from_matrix(second.matrix @ np.linalg.inv(first.matrix), first.centre)

    def swapped(self) -> Meeting:
        """With the images in the other order."""
        return Meeting(self.poses[::-1], self.bent[::-1])

    def deformation(self, grid: Grid) -> Displacement:
        """What comes before the linear map from the first image to the second, on the voxels of a ``grid`` of the first."""
        home, box = self.poses[0], self.bent[0].field.grid
        reach = grid.index(home(box.corners()))
        grid = grid.crop(np.floor(reach.min(0)).astype(int), np.ceil(reach.max(0)).astype(int) + 1)
        return Displacement.of(compose([home.inverse(), self.bent[0].inverse(), self.bent[1], home]), grid)


def mean_linear(there: Linear, back: Linear) -> Linear:
    """Halfway from ``there`` to the inverse of ``back``, of the same kind: the same two maps in the other order give its inverse."""
    matrix = there.matrix @ _half(np.linalg.inv(there.matrix) @ np.linalg.inv(back.matrix))
    return type(there).from_matrix(matrix, there.centre)


def halves(linear: Linear) -> tuple[Linear, Linear]:
    """Poses of a middle: ``second ∘ inverse of first`` is ``linear``, and each goes half of the way."""
    half = _half(linear.matrix)
    kind = type(linear)
    return kind.from_matrix(np.linalg.inv(half), linear.centre), kind.from_matrix(linear.matrix @ np.linalg.inv(half), linear.centre)


def _half(matrix: NDArray) -> NDArray[np.float64]:
    """Half of the way from the identity to ``matrix``; all of it where there is no one way (half a turn, a mirror)."""
    turns = np.linalg.eigvals(matrix)
    if ((turns.real < 0) & (np.abs(turns.imag) < 1e-6)).any():
        return matrix
    from scipy.linalg import expm, logm  # imports slowly

    return expm(logm(matrix).real / 2)


@dataclass(frozen=True, eq=False)
class Progress:
    """State after a step: level and iteration from 0, the loss before the step, and both maps so far (voxels of ``grid``)."""

    level: int
    iteration: int
    loss: float
    displacements: tuple[NDArray[np.float32], NDArray[np.float32]]
    grid: Grid


def optimise(channels: Sequence[Channel], iterations: Sequence[int], regularity: Regularity) -> Iterator[Progress]:
    """Deform both images of every channel, all on one grid in the middle, until they meet; as `deformable.optimise`."""
    regularity = replace(regularity, step=_STEP * regularity.step)
    maps, grid = None, None
    for number, (spacing, steps) in enumerate(zip(levels(channels[0].fixed.grid), iterations, strict=True)):
        here = [channel.at(spacing, number) for channel in channels]
        image = here[0].fixed
        maps, grid = [begun(image) if maps is None else refine(maps[k], grid, image.grid) for k in (0, 1)], image.grid
        there = [c for channel in here for c in channel.seen(maps[1], maps[0])]
        back = [Channel(c.moving, c.fixed, c.losses, c.weight) for c in there]
        sides = Level(back, regularity), Level(there, regularity)  # the first moves the fixed images
        for iteration, value in enumerate(_meet(sides, maps, steps)):
            yield Progress(number, iteration, value, tuple(maps), grid)


def _meet(sides: tuple[Level, Level], maps: list[NDArray], steps: int) -> Iterator[float]:
    """Move both ``maps``, in place, until ``steps`` or until the loss no longer falls; yields it before each step."""
    for side, u in zip(sides, maps, strict=True):
        side.start(u)
    values: list[float] = []
    for _ in range(steps):
        values.append((_force(*sides, *maps) + _force(*sides[::-1], *maps[::-1])) / 2)
        maps[:] = [side.move(u) for side, u in zip(sides, maps, strict=True)]
        yield values[-1]
        if stalled(values, sides[0].regularity.patience):
            return


def _force(side: Level, other: Level, u: NDArray, its: NDArray) -> float:
    """The loss of ``side`` at ``u`` against what ``other`` shows at ``its``; see `Level.force`."""
    bound = [c.losses[0].bind(shown, both(both(None, c.fixed.mask, its), c.moving.mask, u))
             for c, shown in zip(side.channels, other.warp(its), strict=True)]
    return side.force(u, bound)
