"""Solids as functions: how deep each point lies in them, in mm (negative outside, about exact near the surface).

Points are (3, ...), components first; everything returns (...) float32.
"""
from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

Depth = NDArray[np.float32]


def ellipsoid(points: NDArray, centre: ArrayLike, radii: ArrayLike, turn: NDArray | None = None) -> Depth:
    """Depth in an ellipsoid; ``turn`` (3, 3) has its axes as columns."""
    offset = points - _column(centre, points)
    if turn is not None:
        offset = np.tensordot(turn.T.astype(np.float32), offset, 1)
    offset /= _column(radii, points)
    near = length(offset)
    offset /= _column(radii, points)
    return near * (1 - near) / np.maximum(length(offset), np.float32(1e-6))


def tube(points: NDArray, nodes: Sequence[Sequence[float]], blend: float = 2.0) -> Depth:
    """Depth in a chain of rods with round ends; a node is (x, y, z, radius)."""
    depth = rod(points, nodes[0], nodes[1])
    for start, stop in pairwise(nodes[1:]):
        depth = join(depth, rod(points, start, stop), blend)
    return depth


def rod(points: NDArray, start: ArrayLike, stop: ArrayLike) -> Depth:
    """Depth in a rod with round ends whose radius changes evenly; both ends are (x, y, z, radius)."""
    start, stop = np.asarray(start, np.float32), np.asarray(stop, np.float32)
    along = (stop - start)[:3]
    offset = points - _column(start[:3], points)
    towards = along / max(float(along @ along), 1e-6)
    part = np.clip(offset[0] * towards[0] + offset[1] * towards[1] + offset[2] * towards[2], 0, 1)
    for axis in range(3):
        offset[axis] -= part * along[axis]
    return start[3] + part * (stop[3] - start[3]) - length(offset)


def box(points: NDArray, centre: ArrayLike, half: ArrayLike) -> Depth:
    """Depth in a box with edges along the world's axes; ``half`` its half edges."""
    beyond = np.abs(points - _column(centre, points)) - _column(half, points)
    return -(length(np.maximum(beyond, 0)) + np.minimum(beyond.max(0), 0))


def join(a: Depth, b: Depth, blend: float) -> Depth:
    """Union with a fillet of ``blend`` mm."""
    overlap = np.maximum(blend - np.abs(a - b), 0)
    return np.maximum(a, b) + overlap * overlap * np.float32(0.25 / blend)


def cut(a: Depth, b: Depth, blend: float) -> Depth:
    """Intersection with edges rounded by ``blend`` mm."""
    return -join(-a, -b, blend)


def turned(degrees: float, axis: int) -> NDArray[np.float64]:
    """Rotation about a world axis (0 right, 1 anterior, 2 superior), (3, 3)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    a, b = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[a, a], matrix[a, b], matrix[b, a], matrix[b, b] = c, -s, s, c
    return matrix


def length(vectors: NDArray) -> Depth:
    """Euclidean length over the first axis."""
    total = vectors[0] * vectors[0]
    for component in vectors[1:]:
        total += component * component
    return np.sqrt(total)


def _column(values: ArrayLike, points: NDArray) -> NDArray[np.float32]:
    return np.asarray(values, np.float32).reshape(3, *(1,) * (points.ndim - 1))
