"""Motions with known inverse: what a registration has to find."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import Grid, InputError, Transform
from ..transforms import Rigid, Velocity
from .noise import smooth_noise


def smooth_deformation(grid: Grid, seed: int | np.random.Generator = 0, amplitude_mm: float = 6.0, smoothness_mm: float = 40.0) -> Velocity:
    """A random diffeomorphism that moves some point of the grid by ``amplitude_mm`` and none farther.

    Parameters
    ----------
    grid : where it acts; it fades within ``smoothness_mm`` outside.
    smoothness_mm : size of the regions that move together.
    """
    noise = smooth_noise(np.random.default_rng(seed), smoothness_mm, grid.dim)
    lattice = _lattice(grid, smoothness_mm / 10, smoothness_mm)
    velocity = noise.along(_axes(lattice)).reshape(grid.dim, *lattice.shape) * _fade(lattice, smoothness_mm)
    velocity *= amplitude_mm / max(np.linalg.norm(velocity, axis=0).max(), 1e-9)
    for _ in range(2):  # exp(v) is not linear in v, but nearly
        moved = Velocity.from_array(velocity, lattice)
        velocity *= amplitude_mm / max(np.linalg.norm(moved.displacement.field.data, axis=0).max(), 1e-9)
    return Velocity.from_array(velocity, lattice)


def rigid(angle_degrees: float, axis: ArrayLike | None = None, shift: ArrayLike = (0.0, 0.0, 0.0),
          centre: ArrayLike | None = None) -> Rigid:
    """Rotation about an axis through ``centre`` (mm, the origin if None), then ``shift`` (mm; two numbers: 2-D)."""
    shift = np.asarray(shift, np.float64)
    centre = np.zeros(len(shift)) if centre is None else np.asarray(centre, np.float64)
    if len(shift) == 2:
        return Rigid.from_params([np.radians(angle_degrees), *shift], centre)
    axis = np.asarray((0, 0, 1) if axis is None else axis, np.float64)
    return Rigid.from_params([*(np.radians(angle_degrees) * axis / np.linalg.norm(axis)), *shift], centre)


@dataclass(frozen=True)
class Exact(Transform):
    """A map in closed form, evaluated by calling it."""

    def parts(self) -> None:
        """None: it is called."""


@dataclass(frozen=True)
class Inflation(Exact):
    """A ball that grows by ``factor``; what surrounds it keeps its volume and moves ever less with distance.

    Parameters
    ----------
    centre : (D,) mm.
    radius : mm, of the ball before.
    factor : of its radius; below 1 it shrinks.
    """

    centre: tuple[float, ...]
    radius: float
    factor: float = 1.3

    def __post_init__(self) -> None:
        if self.radius <= 0 or self.factor <= 0:
            raise InputError(f"inflation of radius {self.radius} by {self.factor}: expected both positive")

    @property
    def dim(self) -> int:
        """2 or 3."""
        return len(self.centre)

    def inverse(self) -> Inflation:
        """The ball shrinks back."""
        return Inflation(self.centre, self.radius * self.factor, 1 / self.factor)

    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """(..., D) mm -> (..., D) mm."""
        offset = np.asarray(points, np.float64) - self.centre
        before = np.linalg.norm(offset, axis=-1, keepdims=True)
        gained = (self.factor**self.dim - 1) * self.radius**self.dim
        outside = np.maximum(before**self.dim + gained, 0) ** (1 / self.dim) / np.maximum(before, 1e-12)
        return self.centre + offset * np.where(before <= self.radius, self.factor, outside)


@dataclass(frozen=True)
class Sliding(Exact):
    """Two halves of space slide along a plane, as a lung along the ribs.

    Parameters
    ----------
    point : (D,) mm on the plane.
    normal : (D,) of the plane.
    along : (D,) mm, by which the side of the normal moves forward and the other back; its part along the normal is ignored.
    width : mm over which the motion turns around; 0 is a clean cut.
    """

    point: tuple[float, ...]
    normal: tuple[float, ...]
    along: tuple[float, ...]
    width: float = 0.0

    @property
    def dim(self) -> int:
        """2 or 3."""
        return len(self.point)

    def inverse(self) -> Sliding:
        """The halves slide back."""
        return Sliding(self.point, self.normal, tuple(-a for a in self.along), self.width)

    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """(..., D) mm -> (..., D) mm."""
        points, normal = np.asarray(points, np.float64), np.asarray(self.normal) / np.linalg.norm(self.normal)
        along = np.asarray(self.along) - normal * (normal @ np.asarray(self.along))
        height = (points - self.point) @ normal  # unchanged by the motion: that is why the inverse is exact
        side = np.sign(height) if self.width == 0 else np.tanh(height / self.width)
        return points + side[..., None] * along


# -------------------------------------------------------------------- lattices
def flow(grid: Grid, velocity: Callable[[NDArray], NDArray], margin_mm: float = 30.0, pitch: float = 4.0) -> Velocity:
    """The motion along ``velocity`` (points (..., D) mm -> (..., D) mm) for unit time, over the box of a grid."""
    lattice = _lattice(grid, pitch, margin_mm)
    values = np.moveaxis(velocity(lattice.points()), -1, 0) * _fade(lattice, margin_mm)
    return Velocity.from_array(values, lattice)


def _lattice(grid: Grid, pitch: float, margin: float) -> Grid:
    """Along the world's axes, around the box of a grid."""
    low, high = grid.corners().min(0) - margin - pitch, grid.corners().max(0) + margin + pitch
    affine = np.diag([pitch] * grid.dim + [1.0])
    affine[:-1, -1] = low
    return Grid(tuple(np.ceil((high - low) / pitch).astype(int) + 1), affine)


def _axes(lattice: Grid) -> list[NDArray]:
    """World coordinates along each axis; a third one of a single zero in 2-D."""
    axes = [lattice.origin[k] + lattice.spacing[k] * np.arange(n) for k, n in enumerate(lattice.shape)]
    return axes + [np.zeros(1)] * (3 - lattice.dim)


def _fade(lattice: Grid, margin: float) -> NDArray[np.float32]:
    """1 in the box, falling smoothly to 0 at the lattice's edge."""
    weight = np.ones(lattice.shape, np.float32)
    for axis, n in enumerate(lattice.shape):
        edge = np.minimum(np.arange(n), n - 1 - np.arange(n)) * lattice.spacing[axis]
        part = np.clip(edge / margin, 0, 1)
        weight *= (part * part * (3 - 2 * part)).reshape([-1 if k == axis else 1 for k in range(lattice.dim)])
    return weight
