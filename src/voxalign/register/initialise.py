"""The first position: from headers, centres or moments, or by a search over rotations that needs no tuning."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import kernels
from ..losses import mutual_information
from ..transforms import Rigid
from .prepare import Scaled, foreground

_BINS = 24
_ROTATIONS = {2: 72, 3: 600}  # 5 degrees apart in 2-D, about 25 in 3-D
_MASKED = 255


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores rigid candidates by mutual information on two coarse images.

    The information counts for as much of the fixed foreground as lies inside the moving image: a small overlap is no success.
    """

    fixed: Scaled
    moving: Scaled

    def score(self, candidates: Sequence[Rigid]) -> NDArray[np.float64]:
        """Nats, higher is better, (M,)."""
        bins = np.minimum(self.fixed.data * _BINS, _BINS - 1).astype(np.uint8)
        if self.fixed.mask is not None:
            bins = np.where(self.fixed.mask, bins, np.uint8(_MASKED))
        positions = np.minimum(self.moving.data, 1) * np.float32(_BINS - 1)
        if self.moving.mask is not None:
            positions = np.where(self.moving.mask, positions, np.float32(-10 * _BINS))
        maps = np.stack([self.moving.grid.inverse_affine @ c.matrix @ self.fixed.grid.affine for c in candidates])
        joint = kernels.histograms(bins, positions, maps, _BINS).astype(np.float64)
        total = np.maximum(joint.sum((1, 2)), 1)
        inside = joint[:, 1:].sum((1, 2)) / max(int(((bins > 0) & (bins != _MASKED)).sum()), 1)
        return np.array([mutual_information(j / n)[0] for j, n in zip(joint, total, strict=True)]) * np.minimum(inside, 1)


def headers(fixed: Scaled, moving: Scaled) -> Rigid:
    """Equal world coordinates are the same place."""
    return Rigid.identity(fixed.grid.dim, fixed.grid.centre)


def centres(fixed: Scaled, moving: Scaled) -> Rigid:
    """The middles of the two grids are the same place."""
    return _through(np.eye(fixed.grid.dim), fixed.grid.centre, moving.grid.centre)


def moments(fixed: Scaled, moving: Scaled) -> Rigid:
    """The centres of mass of the two foregrounds are the same place."""
    return _through(np.eye(fixed.grid.dim), centre_of_mass(fixed), centre_of_mass(moving))


def centre_of_mass(level: Scaled) -> NDArray[np.float64]:
    """World mm of the middle of the foreground; of the grid, if there is no foreground."""
    index = np.argwhere(foreground(level))
    return level.grid.world(index.mean(0)) if len(index) else level.grid.centre


def candidates(fixed: Scaled, moving: Scaled) -> list[Rigid]:
    """The plain starts first, then the centre of mass under rotations that cover all of them evenly."""
    plain = [start(fixed, moving) for start in (headers, moments, centres)]
    a, b = centre_of_mass(fixed), centre_of_mass(moving)
    return plain + [_through(r, a, b) for r in rotations(fixed.grid.dim)]


def best(comparison: Comparison, found: Sequence[Rigid], keep: int, apart_degrees: float = 20.0) -> list[Rigid]:
    """The ``keep`` candidates of the highest scores that differ by more than ``apart_degrees``."""
    order = np.argsort(-comparison.score(found), kind="stable")
    kept: list[Rigid] = []
    for i in order:
        if all(_angle(found[i], k) > apart_degrees for k in kept):
            kept.append(found[i])
        if len(kept) == keep:
            break
    return kept


def rotations(dim: int) -> NDArray[np.float64]:
    """Rotation matrices spread evenly over all of them, (M, D, D); spirals of Alexa 2022 (doi:10.1109/CVPR52688.2022.00811)."""
    n = _ROTATIONS[dim]
    i = np.arange(n) + 0.5
    if dim == 2:
        c, s = np.cos(2 * np.pi * i / n), np.sin(2 * np.pi * i / n)
        return np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], 1)
    t, d = i / n, 2 * np.pi * i
    r, q = np.sqrt(t), np.sqrt(1 - t)
    alpha, beta = d / np.sqrt(2), d / 1.533751168755204288118041
    x, y, z, w = r * np.sin(alpha), r * np.cos(alpha), q * np.sin(beta), q * np.cos(beta)
    return np.stack([np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], -1),
                     np.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], -1),
                     np.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], -1)], 1)


def _through(rotation: NDArray, at: NDArray, to: NDArray) -> Rigid:
    """Turn about ``at``, which goes to ``to``."""
    matrix = np.eye(len(at) + 1)
    matrix[:-1, :-1] = rotation
    matrix[:-1, -1] = to - rotation @ at
    return Rigid(matrix, at)


def _angle(a: Rigid, b: Rigid) -> float:
    """Degrees between two rotations."""
    relative = a.matrix[:-1, :-1].T @ b.matrix[:-1, :-1]
    cosine = (np.trace(relative) - (len(relative) - 2)) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
