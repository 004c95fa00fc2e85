"""Deformable registration: a diffeomorphism built of small smooth steps, Gauss-Newton forces of any loss, coarse to fine.

Each step solves, at every voxel, the Gauss-Newton equation of the loss averaged over a Gaussian neighbourhood, shortens it to less than
a voxel and composes it with the map so far (greedy, compositive: Vercauteren et al. 2009, doi:10.1016/j.neuroimage.2008.10.040).
Displacements are in voxels of the level's grid while they are worked on.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..core import Field, Grid, Identity, Transform, arrays, kernels
from ..core.sample import pull
from ..losses import Bound, Loss
from ..transforms import Displacement
from .constraints import Landmarks, RigidRegions, Sliding
from .descent import RULES, FirstOrder
from .prepare import Scaled, foreground

_MARGIN = 12  # voxels of the finest level kept around the foreground; the map is the identity at their outer end
_RAMP = 4  # voxels over which it becomes so
_WINDOW = 4  # steps over which progress is judged
_AROUND = 8  # voxels around what either image shows that take part in a level; nothing but background lies beyond


@dataclass(frozen=True)
class Regularity:
    """How smooth a deformation is kept; the defaults are `smoothness` 1.

    Parameters
    ----------
    fluid, elastic : sigma in voxels of the Gaussian on each step's equation and on the whole map after it.
    volume : how far each step evens out changes of volume, 0 to 0.16; shear is left alone.
    damping : information (a voxel's Gauss-Newton weight) that a step is damped by: large against noise.
    demons : weight of the squared residual in the equation; bounds steps where the images disagree.
    step, longest : length of a step as a multiple of the Gauss-Newton one, and its largest in voxels (< 1: invertible).
    patience : a level ends when its loss falls by less than this part of it a step.
    """

    fluid: float = 1.2
    elastic: float = 0.55
    volume: float = 0.09
    damping: float = 0.5
    demons: float = 1.0
    step: float = 1.4
    longest: float = 0.7
    patience: float = 3e-3

    @classmethod
    def of(cls, smoothness: float) -> Regularity:
        """Stiffer for more than 1, softer for less; the map itself needs some smoothing to stay invertible, however soft."""
        return cls(fluid=1.2 * smoothness**0.5, elastic=max(0.55 * smoothness**0.25, 0.5), damping=0.5 * smoothness)

    @classmethod
    def one_body(cls, smoothness: float) -> Regularity:
        """For one body seen twice: its parts move smoothly, and whatever is seen in one image is there in the other, so the steps are
        smooth, long, and go on to the end. Between people that draws what is not there (mice: Dice .872 for .878)."""
        return replace(cls.of(smoothness), fluid=3.0 * smoothness**0.5, step=3.0, patience=0.0)


@dataclass(frozen=True, eq=False)
class Channel:
    """Two images on one grid, linearly aligned, and how they are compared.

    Parameters
    ----------
    losses : one a level, coarse to fine.
    weight : of this channel beside others.
    """

    fixed: Scaled
    moving: Scaled
    losses: Sequence[Loss]
    weight: float = 1.0

    def at(self, spacing: float, level: int) -> Channel:
        """The channel at one level."""
        return replace(self, fixed=self.fixed.at(spacing), moving=self.moving.at(spacing), losses=self.losses[level : level + 1])

    def seen(self, u: NDArray, its: NDArray | None = None) -> list[Channel]:
        """The channels that a level begun with the map ``u`` (and ``its`` of the fixed image, if both are deformed) compares: itself."""
        return [self]


@dataclass(frozen=True, eq=False)
class Constraints:
    """What the deformation keeps to beside the images; see `constraints`."""

    landmarks: Landmarks | None = None
    rigid: RigidRegions | None = None
    sliding: Sliding | None = None

    @property
    def free(self) -> bool:
        """Whether there are none."""
        return self.landmarks is self.rigid is self.sliding is None


@dataclass(frozen=True, eq=False)
class Progress:
    """State after a step: level and iteration from 0, the loss before the step, and the map so far (voxels of ``grid``)."""

    level: int
    iteration: int
    loss: float
    displacement: NDArray[np.float32]
    grid: Grid


def working_image(fixed: Scaled, spacing: float | None) -> Scaled:
    """The part of the fixed image that holds the foreground and a margin, at ``spacing`` mm or its own."""
    level = fixed if spacing is None else fixed.at(spacing)
    bounds = arrays.bounds(foreground(level))
    if bounds is None:
        return level
    return level.crop(np.maximum(bounds[0] - _MARGIN, 0), np.minimum(bounds[1] + _MARGIN, level.grid.shape))


def levels(grid: Grid) -> list[float]:
    """Spacings coarse to fine, halving down to the grid's finest; none so coarse that the largest side has under 16 voxels."""
    finest = float(grid.spacing.min())
    most = max(int(np.log2(max(float(grid.extent.max()) / finest, 16) / 16)), 0) + 1
    return [finest * 2**k for k in reversed(range(most))]


def optimise(channels: Sequence[Channel], iterations: Sequence[int], regularity: Regularity,
             constraints: Constraints = Constraints(), optimiser: str = "gauss-newton") -> Iterator[Progress]:
    """Deform the moving images of ``channels`` onto the fixed ones, all by one map; ``iterations`` are per level, coarse to fine.

    ``optimiser``: one of `descent.RULES` steps by the forces alone; any other name is the Gauss-Newton step.
    """
    u, grid = None, None
    for number, (spacing, steps) in enumerate(zip(levels(channels[0].fixed.grid), iterations, strict=True)):
        here = [channel.at(spacing, number) for channel in channels]
        u, grid = begun(here[0].fixed) if u is None else refine(u, grid, here[0].fixed.grid), here[0].fixed.grid
        level = Level([c for channel in here for c in channel.seen(u)], regularity, constraints, optimiser)
        for iteration, (value, new) in enumerate(level.descend(u, steps)):
            u = new
            yield Progress(number, iteration, value, u, grid)


class Level:
    """One level of `optimise`: everything that does not change from step to step, and the memory the steps work in."""

    def __init__(self, channels: Sequence[Channel], regularity: Regularity, constraints: Constraints = Constraints(),
                 optimiser: str = "gauss-newton") -> None:
        self.channels, self.regularity, self.landmarks = channels, regularity, constraints.landmarks
        self.grid = channels[0].fixed.grid
        self.rigid = constraints.rigid and constraints.rigid.on(self.grid)
        self.smooth = constraints.sliding.on(self.grid).smooth if constraints.sliding else kernels.smooth
        self.first_order = FirstOrder(optimiser, regularity.longest) if optimiser in RULES else None
        self.weights = (self.grid.spacing.min() / self.grid.spacing) ** 2
        self.fluid, self.elastic = (s * np.sqrt(self.weights) for s in (regularity.fluid, regularity.elastic))
        data, dim = channels[0].fixed.data, self.grid.dim
        self.within = kernels.spans(_shown(channels)) if constraints.free else None
        self.equation, self.room = (arrays.full((dim + 1, *self.grid.shape), 0, data) for _ in range(2))

    def descend(self, u: NDArray, steps: int) -> Iterator[tuple[float, NDArray]]:
        """Steps until ``steps`` or until the loss no longer falls; yields the loss before each and the map after it."""
        bound = [c.losses[0].bind(c.fixed.data, both(c.fixed.mask, c.moving.mask, u)) for c in self.channels]
        self.start(u)
        values: list[float] = []
        for _ in range(steps):
            values.append(self.force(u, bound))
            u = self.move(u)
            yield values[-1], u
            if stalled(values, self.regularity.patience):
                return

    def start(self, u: NDArray) -> None:
        """Begin at ``u``: what no step touches is as it is there."""
        self.moved = [kernels.warp(c.moving.data, u) for c in self.channels]
        self.spare = u + 0  # a copy, of a tensor too

    def warp(self, u: NDArray) -> list[NDArray]:
        """The moving images at ``u``."""
        self.moved = [kernels.warp(c.moving.data, u, moved, self.within) for c, moved in zip(self.channels, self.moved, strict=True)]
        return self.moved

    def force(self, u: NDArray, bound: Sequence[Bound]) -> float:
        """The loss at ``u``; the equation of the next step goes to `equation`."""
        total = 0.0
        for number, (channel, loss, moved) in enumerate(zip(self.channels, bound, self.warp(u), strict=True)):
            terms = loss.terms(moved, self.within)
            total = total + channel.weight * terms.value
            into = self.room if number else self.equation
            into = kernels.force(moved, terms.residual, terms.curvature, self.weights, self.regularity.demons, into, self.within)
            if number:
                self.equation += channel.weight * into
            else:
                self.equation = into if channel.weight == 1 else channel.weight * into
        if self.landmarks is not None:
            self.landmarks.pull(self.equation, u, self.grid)
        return total

    def move(self, u: NDArray) -> NDArray:
        """``u`` after the step that `equation` asks for."""
        kept = self.regularity
        self.room = self.smooth(self.equation, self.fluid, self.room, self.within)
        if self.first_order is not None:
            update = self.first_order(self.room[:-1], self.weights)
        else:
            update = kernels.step(self.room, self.weights, kept.step, kept.damping, kept.longest, self.equation[: len(u)], self.within)
        self.spare = kernels.compose_near(update, u, self.spare, self.within)
        u = self.smooth(self.spare, self.elastic, u, self.within)
        if kept.volume:
            u = kernels.relax_volume(u, self.weights, kept.volume, u, self.within)
        _hold_faces(u)
        if self.rigid is not None:
            self.rigid.project(u)
        return u


def _shown(channels: Sequence[Channel]) -> NDArray[np.bool_]:
    """What any of the images shows, and `_AROUND` voxels more."""
    shown = sum(arrays.as_floats(foreground(image)) for channel in channels for image in (channel.fixed, channel.moving))
    taps = np.ones(2 * _AROUND + 1, np.float32)
    return kernels.separable(shown[None], [taps] * shown.ndim, False)[0] > 0


def stalled(values: Sequence[float], patience: float) -> bool:
    """Whether a loss (of values so far) no longer falls by that part of it a step."""
    return len(values) > _WINDOW and values[-1 - _WINDOW] - values[-1] < patience * _WINDOW * abs(1 - values[-1])


def both(fixed: NDArray[np.bool_] | None, moving: NDArray[np.bool_] | None, u: NDArray) -> NDArray[np.bool_] | None:
    """Voxels that count by the masks of both images, of the moving one as it lies under ``u``."""
    if moving is None:
        return fixed
    mask = kernels.warp(arrays.as_floats(moving), u) > 0.99
    return mask if fixed is None else mask & fixed


def _hold_faces(u: NDArray[np.float32]) -> None:
    """Take the map to the identity at the faces of its grid, in place, so that nothing jumps where it ends."""
    for axis, n in enumerate(u.shape[1:], 1):
        width = min(_RAMP, n // 8)
        for i in range(width):
            face = u.swapaxes(axis, 0)
            face[i] *= i / width
            face[n - 1 - i] *= i / width


def begun(image: Scaled) -> NDArray[np.float32]:
    """The map of no displacement on the grid of ``image``."""
    return arrays.full((image.grid.dim, *image.grid.shape), 0, image.data)


def refine(u: NDArray, grid: Grid, onto: Grid) -> NDArray[np.float32]:
    """A displacement in voxels of ``grid`` as one in voxels of ``onto``, which covers the same box."""
    ratio = (grid.spacing / onto.spacing).reshape(-1, *(1,) * grid.dim)
    finer = pull(u, grid, onto, Identity(grid.dim))
    finer *= arrays.like(ratio, u)
    return finer


def as_transform(u: NDArray, grid: Grid) -> Transform:
    """The displacement in voxels as a `Displacement` in mm."""
    millimetres = np.tensordot(grid.affine[:-1, :-1].astype(np.float32), arrays.as_numpy(u), 1)
    return Displacement(Field(millimetres, grid))
