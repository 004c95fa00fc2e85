"""The first position from nothing: any rotation, any shift, half of one image missing, other contrasts.

Thousands of poses are compared on a very coarse level, the best of them are improved there, the best of those on a finer one. A pose is
worth its information: voxels that both images show times the mutual information of what they show, which is the logarithm of how much
better "these belong together" explains them than "these are unrelated". Unlike an average it falls with a small overlap, and unlike a
sum of differences it does not punish what one image cannot show. Nothing is random, and nothing needs tuning: lengths are parts of the
body's own size. How far the best pose stands above the next tells how sure it is.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, arrays, kernels
from .prepare import Scaled, foreground

_MASKED = 255
_COARSE, _FINE = 400, 4000  # voxels of the smaller body; about 13 and 6 mm in a brain
_LARGER = 5  # times as many voxels of the larger body at most, which bounds the time
_BINS = (10, 20)
_KEEP = (64, 10)  # poses that are improved on either level
_STEPS = ((0.2, 0.2, 0.13, 0.09, 0.06), (0.07, 0.05, 0.035, 0.02, 0.012))  # radians; times the body's radius: mm
_APART = 0.35  # radians (or radii) between poses that are not the same
_PITCH = 0.28  # of the smaller body's radius between shifts that are tried
_MOST = 100  # of them
_AS_GOOD = 0.97  # of the best score: such a pose is taken if it is turned less
_OTHER_SIZE = 1.15  # bodies whose radii differ by more are also compared as if they were one size
_SLOPE, _EVEN = 40.0, 0.1  # of the margin to the second pose
_CLEARLY = 1.25, 1.1  # times the best score: then the other size, or the mirror, is believed


@dataclass(frozen=True, eq=False)
class Body:
    """What an image shows, in the world: middle (D,), half axes as columns (D, D) of an ellipsoid like it, both mm."""

    middle: NDArray[np.float64]
    half_axes: NDArray[np.float64]

    @property
    def radius(self) -> float:
        """Of a ball as large, mm."""
        return float(abs(np.linalg.det(self.half_axes)) ** (1 / len(self.middle)))


def body(level: Scaled) -> Body:
    """The foreground, or all of the grid where there is none."""
    index = np.argwhere(foreground(level))
    points = level.grid.world(index) if len(index) > level.grid.dim + 1 else level.grid.corners()
    values, axes = np.linalg.eigh(np.cov(points.T) + 1e-6 * level.grid.spacing.min() ** 2 * np.eye(level.grid.dim))
    return Body(points.mean(0), axes * np.sqrt((level.grid.dim + 2) * values))


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores poses on one level.

    Parameters
    ----------
    bins : (*shape) uint8 of the fixed image; 255 does not count.
    positions : (*shape) float32, of the moving image in bins; negative does not count.
    to_index, from_index : moving mm -> moving index, fixed index -> fixed mm.
    """

    bins: NDArray[np.uint8]
    positions: NDArray[np.float32]
    to_index: NDArray[np.float64]
    from_index: NDArray[np.float64]
    size: int

    @classmethod
    def of(cls, fixed: Scaled, moving: Scaled, size: int) -> Comparison:
        """Of two images with ``size`` bins; far from the fixed body nothing counts."""
        bins = equalised(fixed, size).astype(np.uint8)
        bins[~near(fixed)] = _MASKED
        positions = equalised(moving, size)
        if moving.mask is not None:
            positions[~moving.mask] = -10 * size
        return cls(bins, positions, moving.grid.inverse_affine, fixed.grid.affine, size)

    def score(self, poses: NDArray) -> NDArray[np.float64]:
        """Nats per counted voxel of the fixed image, (M,), of (M, D+1, D+1) fixed mm -> moving mm."""
        joint = kernels.histograms(self.bins, self.positions, self.to_index @ poses @ self.from_index, self.size)
        return information(joint) / max(int((self.bins != _MASKED).sum()), 1)


def information(joint: NDArray) -> NDArray[np.float64]:
    """Count times mutual information in nats of each joint histogram (M, B, B)."""
    def xlogx(x: NDArray) -> NDArray:
        return x * np.log(np.maximum(x, 1e-20))
    rows, columns = joint.sum(2, dtype=np.float64), joint.sum(1, dtype=np.float64)
    cells = xlogx(joint).sum((1, 2), dtype=np.float64)
    return cells - xlogx(rows).sum(1) - xlogx(columns).sum(1) + xlogx(rows.sum(1))


def equalised(level: Scaled, size: int) -> NDArray[np.float32]:
    """Intensities as positions among ``size`` bins: air in bin 0, the body spread over the others, half by value and half by rank."""
    inside = foreground(level)
    if inside.sum() < 2 * size:
        return np.minimum(level.data, 1) * np.float32(size - 1)
    ranks = np.linspace(0, 1, 4 * size)
    knots = np.quantile(level.data[inside], ranks)
    low, high = knots[0], max(knots[-1], knots[0] + 1e-6)
    places = 1 + (size - 2.001) * 0.5 * (ranks + (knots - low) / (high - low))
    return np.interp(level.data, np.append(0, knots), np.append(0, places)).astype(np.float32)


def near(level: Scaled) -> NDArray[np.bool_]:
    """The body and one voxel around it, as far as they count."""
    around = kernels.separable(arrays.as_floats(foreground(level))[None], [np.ones(3, np.float32)] * level.grid.dim, False)[0]
    inside = around > 0.5
    return inside if level.mask is None else inside & level.mask


# ---------------------------------------------------------------- poses: (M, D+1, D+1)
def poses(turns: NDArray, at: NDArray, to: NDArray) -> NDArray[np.float64]:
    """Every turn (M, D, D) with every place (K, D) that ``at`` (D,) goes to, (M K, D+1, D+1)."""
    dim = len(at)
    out = np.tile(np.eye(dim + 1), (len(turns), len(to), 1, 1))
    out[..., :-1, :-1] = turns[:, None]
    out[..., :-1, -1] = to - (turns @ at)[:, None]
    return out.reshape(-1, dim + 1, dim + 1)


def shifts(fixed: Body, moving: Body) -> NDArray[np.float64]:
    """Where the middle of the fixed body may lie relative to that of the moving one, (K, D) mm, when turned parallel: the smaller
    body anywhere within the larger, and beyond, as where half of it is missing."""
    small, large = sorted((fixed, moving), key=lambda b: b.radius)
    axes = np.linalg.norm(large.half_axes, axis=0)
    reach = np.maximum(axes - small.radius, 0) + 0.5 * small.radius
    pitch = _PITCH * small.radius
    while np.prod(2 * reach / pitch) > 8 * _MOST:  # a mouse in a man: never as many as a billion
        pitch *= 1.1
    while True:
        steps = [np.arange(-np.floor(r / pitch), np.floor(r / pitch) + 1) * pitch for r in reach]
        lattice = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, len(reach))
        lattice = lattice[((lattice / reach) ** 2).sum(1) <= 1]
        if len(lattice) <= _MOST:
            return lattice @ (large.half_axes / axes).T
        pitch *= 1.1


def moves(steps: NDArray, about: Body) -> NDArray[np.float64]:
    """Turns in radians (one in 2-D, three in 3-D), then shifts in radii, (M, P), as motions about the body's middle (M, D+1, D+1)."""
    dim = len(about.middle)
    out = np.tile(np.eye(dim + 1), (len(steps), 1, 1))
    out[:, :-1, :-1] = _turned(steps[:, :-dim])
    out[:, :-1, -1] = about.middle + steps[:, -dim:] * about.radius - out[:, :-1, :-1] @ about.middle
    return out


def _turned(vectors: NDArray) -> NDArray[np.float64]:
    """Rotation matrices of rotation vectors (M, 1) or (M, 3), by Rodrigues."""
    angle = np.linalg.norm(vectors, axis=1)[:, None, None]
    cross = np.zeros((len(vectors), 3, 3))
    x, y, z = np.concatenate([np.zeros((len(vectors), 3 - vectors.shape[1])), vectors], 1).T
    cross[:, 2, 1], cross[:, 0, 2], cross[:, 1, 0], cross[:, 1, 2], cross[:, 2, 0], cross[:, 0, 1] = x, y, z, -x, -y, -z
    safe = np.maximum(angle, 1e-12)
    full = np.eye(3) + np.sin(angle) / safe * cross + (1 - np.cos(angle)) / safe**2 * (cross @ cross)
    return full if vectors.shape[1] == 3 else full[:, :2, :2]


def improve(comparison: Comparison, found: NDArray, sizes: tuple[float, ...], about: Body) -> tuple[NDArray, NDArray]:
    """Each pose after one move forth or back a size, or a Newton step in all directions at once, where that helps; with scores."""
    scores = comparison.score(found)
    count = 6 if len(about.middle) == 3 else 3
    each = np.stack([np.eye(count), -np.eye(count)], 1).reshape(-1, count)
    for size in sizes:
        trials = found[:, None] @ moves(size * each, about)[None]
        values = comparison.score(trials.reshape(-1, *found.shape[1:])).reshape(len(found), -1)
        newton = found @ moves(size * _newton(scores, values), about)
        trials = np.concatenate([found[:, None], trials, newton[:, None]], 1)
        values = np.concatenate([scores[:, None], values, comparison.score(newton)[:, None]], 1)
        best = values.argmax(1)
        found, scores = trials[np.arange(len(found)), best], values[np.arange(len(found)), best]
    return found, scores


def _newton(scores: NDArray, values: NDArray) -> NDArray[np.float64]:
    """The top of a parabola along each direction, at most one and a half moves away, (M, P)."""
    forth, back = values[:, 0::2], values[:, 1::2]
    bend = 2 * scores[:, None] - forth - back
    top = np.where(bend > 0, 0.5 * (forth - back) / np.where(bend > 0, bend, 1), np.sign(forth - back))
    return np.clip(top, -1.5, 1.5)


def angles(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """Radians between the turns of poses; broadcast over leading axes."""
    relative = np.swapaxes(a[..., :-1, :-1], -1, -2) @ b[..., :-1, :-1]
    return np.arccos(np.clip((np.trace(relative, axis1=-2, axis2=-1) - (relative.shape[-1] - 2)) / 2, -1, 1))


def distance(a: NDArray, b: NDArray, about: Body) -> NDArray[np.float64]:
    """Between poses, in radians or radii, whichever is more."""
    apart = (a - b)[..., :-1, :] @ np.append(about.middle, 1)
    return np.maximum(angles(a, b), np.linalg.norm(apart, axis=-1) / about.radius)


def distinct(found: NDArray, scores: NDArray, keep: int, about: Body, apart: float = _APART) -> NDArray[np.intp]:
    """Indices of the best ``keep`` poses that are not the same, best first."""
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if not kept or (distance(found[kept], found[i], about) > apart).all():
            kept.append(int(i))
        if len(kept) == keep:
            break
    return np.array(kept)


# ---------------------------------------------------------------- the search
@dataclass(frozen=True, eq=False)
class Found:
    """What a search comes to.

    Parameters
    ----------
    matrix : (D+1, D+1) fixed mm -> moving mm; rigid, or a similarity where the bodies differ much in size.
    score : nats per voxel.
    confidence : 0 to 1, how probable it is that the pose is right; see `confidence`.
    mirrored : a mirror image of ``fixed`` fits clearly better, which no rotation mends.
    """

    matrix: NDArray[np.float64]
    score: float
    confidence: float
    mirrored: bool


def search(fixed: Scaled, moving: Scaled, plain: NDArray, turns: NDArray, sizes: bool = True) -> Found:
    """The best pose of all.

    Parameters
    ----------
    plain : (M, D+1, D+1), poses that are improved in any case; the first is that of the headers.
    turns : (N, D, D), rotations to try.
    sizes : whether the result may be a similarity.
    """
    pair = _Pair.of(fixed, moving)
    found = pair.search(plain, turns)
    ratio = pair.bodies[1].radius / pair.bodies[0].radius
    if not sizes or 1 / _OTHER_SIZE < ratio < _OTHER_SIZE:
        return found
    shrink = np.eye(len(plain[0]))
    shrink[:-1, :-1] /= ratio
    other = _Pair.of(fixed, replace(moving, grid=Grid(moving.grid.shape, shrink @ moving.grid.affine))).search(shrink @ plain[:1], turns)
    return replace(other, matrix=np.linalg.inv(shrink) @ other.matrix) if other.score > _CLEARLY[0] * found.score else found


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two images on both levels, and what they show."""

    coarse: Comparison
    fine: Comparison
    bodies: tuple[Body, Body]

    @classmethod
    def of(cls, fixed: Scaled, moving: Scaled) -> _Pair:
        coarse, fine = levels(fixed, moving)
        return cls(Comparison.of(*coarse, _BINS[0]), Comparison.of(*fine, _BINS[1]), (body(fine[0]), body(fine[1])))

    def search(self, plain: NDArray, turns: NDArray) -> Found:
        """The best pose of one size."""
        about = self.bodies[0]
        found, scores = improve(self.coarse, np.concatenate([plain, self.starts(turns)]), _STEPS[0], about)
        kept = distinct(found, scores, _KEEP[1], about)
        found, scores = improve(self.fine, found[np.union1d(np.arange(len(plain)), kept)], _STEPS[1], about)
        kept = distinct(found, scores, len(found), about)
        found, scores = found[kept], scores[kept]
        good = np.flatnonzero(scores >= _AS_GOOD * scores[0])
        chosen = good[np.argmin(angles(plain[0], found[good]))]
        return Found(found[chosen], float(scores[chosen]), confidence(scores), self.mirrored(found[0], scores[0]))

    def starts(self, turns: NDArray) -> NDArray[np.float64]:
        """For each turn the best shift; of these the best."""
        all_of_them = everything(*self.bodies, turns)
        scores = self.coarse.score(all_of_them.reshape(-1, *all_of_them.shape[2:])).reshape(all_of_them.shape[:2])
        best = np.take_along_axis(all_of_them, scores.argmax(1)[:, None, None, None], 1)[:, 0]
        return best[np.argsort(-scores.max(1), kind="stable")[: _KEEP[0]]]

    def mirrored(self, best: NDArray, score: float) -> bool:
        """Whether the fixed body, mirrored in one of its main planes, fits clearly better."""
        about = self.bodies[0]
        normals = (about.half_axes / np.linalg.norm(about.half_axes, axis=0)).T
        mirrors = poses(np.eye(len(normals)) - 2 * normals[:, :, None] * normals[:, None], about.middle, about.middle[None])
        return bool(improve(self.fine, best @ mirrors, _STEPS[0] + _STEPS[1], about)[1].max() > _CLEARLY[1] * score)


def everything(fixed: Body, moving: Body, turns: NDArray) -> NDArray[np.float64]:
    """All turns with all shifts, (N, K, D+1, D+1). The shifts lie in the space of the larger body."""
    lattice = shifts(fixed, moving)
    if fixed.radius <= moving.radius:
        return poses(turns, fixed.middle, moving.middle + lattice).reshape(len(turns), len(lattice), *(len(turns[0]) + 1,) * 2)
    return poses(turns, fixed.middle, moving.middle[None])[:, None] @ poses(np.eye(len(turns[0]))[None], 0 * fixed.middle, lattice)[None]


def confidence(scores: NDArray) -> float:
    """How probable it is that the first of some distinct poses is right, by how far its score is above the second's.

    The curve was fitted to searches with known answers; see ``benchmarks/capture.py``.
    """
    margin = 1 - scores[1] / scores[0] if len(scores) > 1 and scores[0] > 0 else 0.0
    return float(1 / (1 + np.exp(-_SLOPE * (margin - _EVEN))))


def levels(fixed: Scaled, moving: Scaled) -> tuple[tuple[Scaled, Scaled], tuple[Scaled, Scaled]]:
    """Both images in main memory with voxels fit for the smaller body, coarse and fine."""
    rough = [_host(image.at(float(image.grid.extent.max()) / 64)) for image in (fixed, moving)]
    volumes = [max(int(foreground(r).sum()), 1) * r.grid.voxel_volume for r in rough]
    volume = max(min(volumes), max(volumes) / _LARGER)
    fine, coarse = ((volume / n) ** (1 / fixed.grid.dim) for n in (_FINE, _COARSE))
    small = [r.at(fine) if (r.grid.spacing <= fine).all() else _host(i.at(fine)) for r, i in zip(rough, (fixed, moving), strict=True)]
    return (small[0].at(coarse), small[1].at(coarse)), (small[0], small[1])


def _host(level: Scaled) -> Scaled:
    return replace(level, data=arrays.as_numpy(level.data), mask=None if level.mask is None else arrays.as_numpy(level.mask))
