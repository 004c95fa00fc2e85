"""How bodies move: breathing, beating, bending; every motion has an inverse."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import Grid, InputError
from ..transforms import Velocity
from .deformation import Exact, flow

HEART = (-30.0, 22.0, -50.0)  # mm, in the thorax
_BEND_MM = 90.0  # length of leg that bends


def breathing(grid: Grid, phase: float, depth_mm: float = 16.0) -> Velocity:
    """From the exhaled chest to a ``phase`` of the breath, 0 to 1: the diaphragm goes down, the front comes forward."""
    amount = depth_mm * np.sin(np.pi * phase) ** 2
    return flow(grid, lambda points: amount * _breath(points))


def beating(grid: Grid, phase: float, depth: float = 0.22) -> Velocity:
    """From the filled heart to a ``phase`` of its beat, 0 to 1: it shrinks towards its middle by about ``depth``."""
    amount = depth * np.sin(np.pi * phase) ** 2
    return flow(grid, lambda points: -amount * _heartbeat(points))


def _breath(points: NDArray) -> NDArray[np.float64]:
    """Displacement for a diaphragm that moves by 1 mm, (..., D)."""
    x, y = points[..., 0], points[..., 1]
    z = points[..., 2] if points.shape[-1] == 3 else np.zeros_like(x)
    inside = np.exp(-((x / 135) ** 6) - ((y / 95) ** 6))
    low = 1 / (1 + np.exp(z / 28))  # full below the lung roots, none at the top
    down = -low * inside
    forward = 0.3 * (0.4 + 0.6 * low) * np.exp(-((x / 120) ** 4)) / (1 + np.exp(-y / 25))
    return np.stack([np.zeros_like(x), forward, down][: points.shape[-1]], -1)


def _heartbeat(points: NDArray) -> NDArray[np.float64]:
    offset = points - np.asarray(HEART)[: points.shape[-1]]
    return offset * np.exp(-((np.linalg.norm(offset, axis=-1, keepdims=True) / 55) ** 4))


@dataclass(frozen=True)
class Bend(Exact):
    """A straight leg along z bends at the origin: above stays, below turns backwards as a whole, between is an arc.

    Parameters
    ----------
    angle : radians, 0 to 1.2 (more would fold the hollow of the knee).
    undo : straighten the bent leg instead.
    """

    angle: float
    undo: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.angle <= 1.2:
            raise InputError(f"joint angle {self.angle}: expected more than 0 and at most 1.2 radians")

    @property
    def dim(self) -> int:
        """3."""
        return 3

    def inverse(self) -> Bend:
        """The other direction."""
        return Bend(self.angle, not self.undo)

    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """(..., 3) mm -> (..., 3) mm."""
        x, y, z = np.moveaxis(np.asarray(points, np.float64), -1, 0)
        y, z = (self._straighten if self.undo else self._bend)(y, z)
        return np.stack([x, y, z], -1)

    @property
    def _radius(self) -> float:
        return _BEND_MM / self.angle

    def _bend(self, y: NDArray, z: NDArray) -> tuple[NDArray, NDArray]:
        """Along the leg and across it -> behind the centre of the arc."""
        below = _BEND_MM / 2 - z
        turn = self.angle * np.clip(below / _BEND_MM, 0, 1)
        beyond, above = np.maximum(below - _BEND_MM, 0), np.minimum(below, 0)
        arm = self._radius + y
        return (arm * np.cos(turn) - beyond * np.sin(turn) - self._radius,
                _BEND_MM / 2 - arm * np.sin(turn) - beyond * np.cos(turn) - above)

    def _straighten(self, y: NDArray, z: NDArray) -> tuple[NDArray, NDArray]:
        across, down = y + self._radius, _BEND_MM / 2 - z
        turn = np.clip(np.arctan2(down, across), 0, self.angle)
        arm = across * np.cos(turn) + np.maximum(down, 0) * np.sin(turn)
        beyond = np.where(turn >= self.angle, down * np.cos(turn) - across * np.sin(turn), 0)
        return arm - self._radius, _BEND_MM / 2 - turn / self.angle * _BEND_MM - beyond - np.minimum(down, 0)
