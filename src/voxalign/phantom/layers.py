"""An anatomy as layers painted one over the other; each is a continuous function of the world with names for its ranges."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


@dataclass(frozen=True, eq=False)
class Lattice:
    """A function of the world, linear between nodes that are ``pitch`` mm apart.

    Parameters
    ----------
    data : (n0, n1, n2) float32, axes along the world's.
    origin : (3,) mm of the first node.
    pitch : mm.
    """

    data: NDArray[np.float32]
    origin: NDArray[np.float32]
    pitch: float

    @property
    def end(self) -> NDArray[np.float32]:
        """(3,) mm of the last node."""
        return self.origin + np.float32(self.pitch) * (np.array(self.data.shape, np.float32) - 1)

    def __call__(self, points: NDArray) -> NDArray[np.float32]:
        """Values at world points, (3, N) mm -> (N,); beyond the last nodes their value continues."""
        index = (points - self.origin[:, None]) * np.float32(1 / self.pitch)
        return ndimage.map_coordinates(self.data, index, np.float32, order=1, mode="nearest", prefilter=False)

    def above(self, level: float) -> Lattice:
        """The part of the box in which values exceed ``level``, and a node around it."""
        spans = []
        for axis in range(3):
            hits = np.flatnonzero((self.data > level).any(tuple({0, 1, 2} - {axis})))
            low, high = (hits[0], hits[-1]) if len(hits) else (0, 0)
            spans.append(slice(max(low - 1, 0), high + 2))
        start = np.array([s.start for s in spans], np.float32)
        return Lattice(np.ascontiguousarray(self.data[tuple(spans)]), self.origin + start * np.float32(self.pitch), self.pitch)


@dataclass(frozen=True, eq=False)
class Layer:
    """What is painted where a function of the world exceeds some levels.

    Parameters
    ----------
    field : the function.
    bands : (level, label), ascending: above each level its label, until the next.
    """

    field: Lattice
    bands: tuple[tuple[float, int], ...]

    def paint(self, points: NDArray, labels: NDArray[np.uint8]) -> None:
        """Write into ``labels`` (N,) those of ``points`` (3, N)."""
        inside = ((points >= self.field.origin[:, None]) & (points <= self.field.end[:, None])).all(0)
        if inside.all():
            self._name(self.field(points), labels)
        elif inside.any():
            chosen = labels[inside]
            self._name(self.field(points[:, inside]), chosen)
            labels[inside] = chosen

    def _name(self, values: NDArray, labels: NDArray[np.uint8]) -> None:
        for level, label in self.bands:
            labels[values > level] = label


@dataclass(frozen=True)
class Anatomy:
    """A body; calling it names the structure at each point.

    Parameters
    ----------
    layers : painted in this order, later over earlier.
    """

    layers: tuple[Layer, ...]

    def __call__(self, points: NDArray) -> NDArray[np.uint8]:
        """Labels at world points, (N, 3) mm -> (N,) uint8."""
        points = np.ascontiguousarray(np.asarray(points).T, np.float32)
        labels = np.zeros(points.shape[1], np.uint8)
        low, high = points.min(1), points.max(1)
        for layer in self.layers:
            if (layer.field.end >= low).all() and (layer.field.origin <= high).all():
                layer.paint(points, labels)
        return labels


@dataclass(frozen=True, eq=False)
class Block:
    """A box of the world cut into nodes, on which the functions of an anatomy are evaluated once.

    Parameters
    ----------
    low, high : corners, mm.
    pitch : distance of the nodes, mm.
    """

    low: Sequence[float]
    high: Sequence[float]
    pitch: float

    def axes(self) -> list[NDArray[np.float32]]:
        """World coordinates of the nodes along each axis, mm."""
        return [np.arange(a, b + self.pitch / 2, self.pitch, np.float32) for a, b in zip(self.low, self.high, strict=True)]

    def nodes(self) -> NDArray[np.float32]:
        """(3, n0, n1, n2) mm."""
        return np.stack(np.meshgrid(*self.axes(), indexing="ij"))

    def mirrored(self) -> Block:
        """The same box on the other side of x = 0."""
        return Block((-self.high[0], *self.low[1:]), (-self.low[0], *self.high[1:]), self.pitch)

    def layer(self, depth: NDArray, *bands: tuple[float, int]) -> Layer:
        """A layer of values at the nodes, without the empty part of the box."""
        lattice = Lattice(depth.astype(np.float32), np.asarray(self.low, np.float32), self.pitch)
        return Layer(lattice.above(bands[0][0]), bands)
