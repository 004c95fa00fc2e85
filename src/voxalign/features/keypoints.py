"""Points that can be found again in another image, what they look like, which belong together, and the motion they agree on.

For images of one modality, however far apart: a start for registration where intensities or centres of mass mislead.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Identity, Image, InputError, Points, require, sample
from ..core.sample import pull
from ..core.smoothing import slope, smooth

_STEP = 2 ** (1 / 3)  # between neighbouring scales
_CELLS, _PER_CELL = 4, 3  # cells along each axis of a descriptor, and samples along each axis of a cell
_CELL = 1.5  # edge of a cell, in scales
_SAMPLES = 400_000  # at once


@dataclass(frozen=True, eq=False)
class Keypoints:
    """Blobs of an image.

    Parameters
    ----------
    points : (N, D) mm.
    scale : (N,) mm, standard deviation of the Gaussian that fits.
    strength : (N,) response, strongest first.
    descriptors : (N, M) unit vectors: the gradients nearby, seen in the blob's own frame.
    """

    points: NDArray[np.float64]
    scale: NDArray[np.float64]
    strength: NDArray[np.float64]
    descriptors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True, eq=False)
class Match:
    """Pairs of points that agree on one motion.

    Parameters
    ----------
    fixed, moving : the pairs, (N, D) mm each.
    matrix : (D+1, D+1) rigid map of fixed points to moving points that fits them best.
    candidates : how many pairs looked alike, agreeing or not.
    """

    fixed: Points
    moving: Points
    matrix: NDArray[np.float64]
    candidates: int


def keypoints(image: Image, *, scales: tuple[float, float] = (2.5, 8.0), count: int = 600) -> Keypoints:
    """The strongest blobs, bright or dark, found as extrema over place and scale of differences of Gaussians, with descriptors.

    Lowe 2004 (doi:10.1023/B:VISI.0000029664.99615.94); frames and descriptors in 3-D as Rister et al. 2017 (doi:10.1109/TIP.2017.2722689).

    Parameters
    ----------
    scales : smallest and largest, mm.
    count : at most so many.

    Raises
    ------
    InputError : a label map, several channels, a constant image, nothing counts, or scales out of order.
    """
    require.contrast(image, "keypoints")
    low, high = (require.number(s, "scales", 1e-3) for s in scales)
    if not low <= high:
        raise InputError(f"keypoints: scales {scales} were given; expected the smallest and the largest in mm")
    found = [_blobs(*level) for level in _levels(image, low, high)]
    at, scale, strength = (np.concatenate(part) for part in zip(*found, strict=True))
    counts = _counts(image, at)
    at, scale, strength = at[counts], scale[counts], strength[counts]
    order = np.argsort(-strength, kind="stable")[: int(require.number(count, "count", 1, 1e6))]
    return _described(image, at[order], scale[order], strength[order])


def _levels(image: Image, low: float, high: float) -> Iterator[tuple[NDArray, float, Grid]]:
    """Triples of neighbouring differences of Gaussians, the scale of the middle one, and their grid, which gets coarser with the scale."""
    count = int(np.ceil(np.log(high / low) / np.log(_STEP) - 1e-9)) + 1
    blurred = deque(maxlen=4)  # neighbouring scales share three
    for k in range(-3, count):
        blurred.append(smooth(image.data, image.grid, low * _STEP ** (k + 1.5), image.mask))
        if k >= 0:
            sigma = float(low * _STEP**k)
            grid = image.grid.with_spacing(np.maximum(image.grid.spacing, sigma / 2.5))
            steps = np.concatenate([b - a for a, b in pairwise(blurred)])
            yield pull(steps, image.grid, grid, Identity(image.dim)), sigma, grid


def _counts(image: Image, at: NDArray) -> NDArray[np.bool_]:
    """Whether world points lie where the image counts, (N,)."""
    if image.mask is None:
        return np.ones(len(at), bool)
    index = np.clip(np.rint(image.grid.index(at)).astype(int), 0, np.array(image.grid.shape) - 1)
    return image.mask[tuple(index.T)]


def _blobs(level: NDArray, sigma: float, grid: Grid) -> tuple[NDArray, NDArray, NDArray]:
    """World places (N, D), scales and strengths of the extrema of the middle of three differences."""
    from scipy import ndimage

    size = np.abs(level[1])
    window = ndimage.maximum_filter(np.abs(level).max(0), 3)  # over place and scale at once
    peak = (size >= window) & (size > 0.02 * size.max())
    for axis in range(size.ndim):  # at the faces nothing is known
        np.moveaxis(peak, axis, 0)[[0, -1]] = False
    at = np.argwhere(peak)
    shift = _between_voxels(level[1], at)
    return grid.world(at + shift), np.full(len(at), sigma), size[tuple(at.T)].astype(np.float64)


def _between_voxels(response: NDArray, at: NDArray) -> NDArray[np.float64]:
    """Where parabolas along each axis have their top, (N, D), within half a voxel."""
    shift = np.zeros(at.shape)
    middle = response[tuple(at.T)].astype(np.float64)
    for axis in range(at.shape[1]):
        step = np.eye(at.shape[1], dtype=int)[axis]
        before, after = (response[tuple((at + side * step).T)].astype(np.float64) for side in (-1, 1))
        bend = before - 2 * middle + after
        shift[:, axis] = np.divide(before - after, 2 * bend, out=np.zeros(len(at)), where=np.abs(bend) > 1e-12)
    return np.clip(shift, -0.5, 0.5)


# -------------------------------------------------------------------- descriptors
def _described(image: Image, at: NDArray, scale: NDArray, strength: NDArray) -> Keypoints:
    dim = image.dim
    out = np.zeros((len(at), _CELLS**dim * len(_bins(dim))), np.float32)
    for sigma in np.unique(scale):
        grid = image.grid.with_spacing(np.maximum(image.grid.spacing, sigma / 2.5))
        coarse = pull(smooth(image.data, image.grid, sigma, image.mask), image.grid, grid, Identity(dim))[0]
        field = slope(coarse, grid)
        which = np.flatnonzero(scale == sigma)
        for part in np.array_split(which, len(which) * (_CELLS * _PER_CELL) ** dim // _SAMPLES + 1):
            out[part] = _histograms(field, grid, at[part], float(sigma))
    return Keypoints(at, scale, strength, out)


def _histograms(field: NDArray, grid: Grid, at: NDArray, sigma: float) -> NDArray[np.float32]:
    """Lengths of gradients by cell and direction, in the frame of each blob, (N, M) unit vectors."""
    edge = sigma * _CELL
    lattice = _lattice(grid.dim) * (edge / _PER_CELL)
    near = np.exp(-(lattice**2).sum(-1) / (2 * edge**2)).astype(np.float32)
    seen = sample(field, grid, at[:, None] + lattice).transpose(1, 2, 0)  # (N, S, D)
    frames = _frames(seen, near**2)
    points = at[:, None] + np.einsum("sk,nkd->nsd", lattice, frames)
    seen = np.einsum("nkd,dns->nsk", frames, sample(field, grid, points)) * near[:, None]
    along = np.maximum(seen @ _bins(grid.dim).T, 0)
    along *= (along / np.maximum(np.linalg.norm(seen, axis=-1, keepdims=True), 1e-12)) ** 3  # a narrow beam
    out = np.zeros((len(at), _CELLS**grid.dim, along.shape[-1]), np.float32)
    cells = _cells(grid.dim)
    for cell in range(out.shape[1]):
        out[:, cell] = along[:, cells == cell].sum(1)
    return _unit(np.minimum(_unit(out.reshape(len(at), -1)), 0.1))  # one strong edge is not all


def _frames(seen: NDArray, weight: NDArray) -> NDArray[np.float64]:
    """Rows are the axes of each blob: along the commonest gradient, and so on; each points the way the mean gradient does."""
    tensor = np.einsum("nsi,nsj,s->nij", seen, seen, weight)
    frames = np.linalg.eigh(tensor.astype(np.float64))[1].transpose(0, 2, 1)[:, ::-1]
    mean = np.einsum("nsi,s->ni", seen, weight)
    frames = frames * np.where(np.einsum("nki,ni->nk", frames, mean) < 0, -1, 1)[..., None]
    frames[:, -1] *= np.sign(np.linalg.det(frames))[:, None]  # a rotation
    return frames


def _lattice(dim: int) -> NDArray[np.float64]:
    """Places of the samples about a blob, in samples, (S, D)."""
    line = np.arange(_CELLS * _PER_CELL) - (_CELLS * _PER_CELL - 1) / 2
    return np.stack(np.meshgrid(*[line] * dim, indexing="ij"), -1).reshape(-1, dim)


def _cells(dim: int) -> NDArray[np.int_]:
    """The cell that each sample belongs to, (S,)."""
    line = np.arange(_CELLS * _PER_CELL) // _PER_CELL
    return np.ravel_multi_index(np.meshgrid(*[line] * dim, indexing="ij"), (_CELLS,) * dim).ravel()


def _bins(dim: int) -> NDArray[np.float32]:
    """Directions that gradients are sorted by, (8, 2), or the corners of an icosahedron, (12, 3)."""
    if dim == 2:
        angle = np.arange(8) * np.pi / 4
        return np.stack([np.cos(angle), np.sin(angle)], -1).astype(np.float32)
    golden = (1 + 5**0.5) / 2
    corners = [np.roll((0, a, b * golden), k) for k in range(3) for a in (-1, 1) for b in (-1, 1)]
    return (np.array(corners) / np.hypot(1, golden)).astype(np.float32)


def _unit(vectors: NDArray) -> NDArray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


# -------------------------------------------------------------------- pairs
def match(fixed: Image, moving: Image, *, scales: tuple[float, float] = (2.5, 8.0), ratio: float = 0.9, tolerance: float = 5.0,
          seed: int = 0) -> Match:
    """Pairs of blobs that look alike and agree on one rigid motion.

    A pair is the best of its fixed blob by a clear margin, and of its moving blob too (Lowe 2004); the motion is the one that most pairs
    agree on (RANSAC: Fischler and Bolles 1981, doi:10.1145/358669.358692), fitted by least squares (Kabsch 1976,
    doi:10.1107/S0567739476001873).

    Parameters
    ----------
    ratio : a pair's distance to that of the next best moving blob, at most.
    tolerance : mm within which a pair agrees.
    seed : of the random choices.

    Raises
    ------
    InputError : images of different dimensions, or no motion that pairs agree on: different modalities, or nothing in common.
    """
    if fixed.dim != moving.dim:
        raise InputError(f"match: fixed is {fixed.dim}-D and moving is {moving.dim}-D; expected two of one dimension")
    require.number(ratio, "ratio", 0.1, 1)
    one, other = (keypoints(image, scales=scales) for image in (fixed, moving))
    pairs = _alike(one.descriptors, other.descriptors, ratio)
    a, b = one.points[pairs[:, 0]], other.points[pairs[:, 1]]
    agree = _agreeing(a, b, require.number(tolerance, "tolerance", 1e-3), np.random.default_rng(seed))
    if agree.sum() < 2 * fixed.dim:
        raise InputError(f"match: of {len(one)} fixed and {len(other)} moving blobs {len(pairs)} pairs look alike, and {int(agree.sum())} "
                         f"agree on one motion; expected at least {2 * fixed.dim}: images of one modality that show the same body")
    return Match(Points(a[agree]), Points(b[agree]), fit_rigid(a[agree], b[agree]), len(pairs))


def _alike(fixed: NDArray, moving: NDArray, ratio: float) -> NDArray[np.int_]:
    """Rows (fixed, moving) of pairs that are each other's best and clearly so, (K, 2)."""
    if min(len(fixed), len(moving)) < 2:
        return np.empty((0, 2), int)
    distance = np.sqrt(np.maximum(2 - 2 * fixed @ moving.T, 0))
    best = distance.argmin(1)
    rows = np.arange(len(fixed))
    next_best = np.partition(distance, 1, axis=1)[:, 1]
    good = (distance.argmin(0)[best] == rows) & (distance[rows, best] < ratio * next_best)
    return np.stack([rows[good], best[good]], -1)


def _agreeing(a: NDArray, b: NDArray, tolerance: float, rng: np.random.Generator, tries: int = 2000) -> NDArray[np.bool_]:
    """Which pairs the motion that most agree on brings together."""
    agree = np.zeros(len(a), bool)
    if len(a) < a.shape[1] + 1:
        return agree
    for _ in range(tries):
        some = rng.choice(len(a), a.shape[1], replace=False)
        if not _congruent(a[some], b[some], tolerance):
            continue
        found = _within(fit_rigid(a[some], b[some]), a, b, tolerance)
        agree = found if found.sum() > agree.sum() else agree
    for _ in range(5):  # the fit to all that agree may win more
        if agree.sum() > a.shape[1]:
            agree = _within(fit_rigid(a[agree], b[agree]), a, b, tolerance)
    return agree


def _congruent(a: NDArray, b: NDArray, tolerance: float) -> bool:
    """Whether distances between the points are kept, and far enough to fix a rotation."""
    one, other = (np.linalg.norm(p - np.roll(p, 1, 0), axis=1) for p in (a, b))
    return bool((np.abs(one - other) < 2 * tolerance).all() and one.min() > 3 * tolerance)


def _within(matrix: NDArray, a: NDArray, b: NDArray, tolerance: float) -> NDArray[np.bool_]:
    return np.linalg.norm(a @ matrix[:-1, :-1].T + matrix[:-1, -1] - b, axis=1) < tolerance


def fit_rigid(fixed: NDArray, moving: NDArray) -> NDArray[np.float64]:
    """The rotation and shift that bring points (N, D) nearest to their partners, (D+1, D+1)."""
    a, b = fixed.mean(0), moving.mean(0)
    u, _, v = np.linalg.svd((fixed - a).T @ (moving - b))
    sign = np.diag([*np.ones(len(a) - 1), np.linalg.det(u @ v)])
    matrix = np.eye(len(a) + 1)
    matrix[:-1, :-1] = (u @ sign @ v).T
    matrix[:-1, -1] = b - matrix[:-1, :-1] @ a
    return matrix
