"""How well the moved image fits in every place, and whether it would fit better one voxel to the side.

The fit of a place is the squared correlation of the two images in a small window, which no linear change of contrast alters, averaged
over a neighbourhood. Where the structure of a place is clear and a transform is right, no shift fits better, whatever was optimised.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import kernels
from .views import View

_RADIUS = 2  # of windows and of neighbourhoods, voxels
_NOISE = 4e-4  # variance that is taken for noise, of intensities from 0 to 1
_STRUCTURE = 4e-3  # variance of a window in which there is half as much to see as there can be
_NEIGHBOURS = 2.5  # voxels, standard deviation of a neighbourhood whose offset is averaged
_FAR = 6  # voxels; so far off, fits are chance


@dataclass(frozen=True, eq=False)
class Matching:
    """Fits of one pair of images at one spacing.

    Parameters
    ----------
    fit : (*shape) 0 to 1, where the transform lays the moved image.
    beside : (D, 2, *shape), with the moved image read one voxel farther and one voxel before along each axis.
    weight : (*shape) 0 to 1, how much there is to see in the fixed image; 0 outside the body or what both images show.
    """

    fit: NDArray[np.float32]
    beside: NDArray[np.float32]
    weight: NDArray[np.float32]

    @classmethod
    def of(cls, view: View) -> Matching:
        """Of a view."""
        pair = _Windows.of(view)
        beside = np.stack([[pair.fit(axis, step) for step in (1, -1)] for axis in range(view.fixed.ndim)])
        return cls(pair.fit(0, 0), beside, pair.weight)

    def at(self, index: NDArray) -> Matching:
        """Of some places only, (N, D) voxels: all arrays end with (N,)."""
        where = tuple(index.T)
        return Matching(self.fit[where], self.beside[(slice(None), slice(None), *where)], self.weight[where])

    def mean(self, values: NDArray, nothing: float = 0.0) -> float:
        """Mean over the places, by what there is to see in them; ``nothing`` where there is nothing to see."""
        total = float(self.weight.sum())
        return float((values * self.weight).sum() / total) if total > 0 else nothing

    @property
    def better_beside(self) -> NDArray[np.bool_]:
        """(*shape), where some shift by one voxel fits better."""
        return (self.beside > self.fit).any((0, 1))

    @property
    def offset(self) -> NDArray[np.float32]:
        """(D, *shape) voxels, at most 1.5 along each axis: where the fit is best, on a parabola through the three fits of an axis."""
        return np.stack([_top(before, self.fit, after) for after, before in self.beside])

    @property
    def drift(self) -> NDArray[np.float32]:
        """(D, *shape) voxels: the mean offset of a neighbourhood. Errors of places next to each other are alike, their noise is not."""
        summed = kernels.smooth(np.concatenate([self.offset * self.weight, self.weight[None]]), (_NEIGHBOURS,) * self.fit.ndim)
        return summed[:-1] / np.maximum(summed[-1], np.float32(1e-3))

    @property
    def sharpness(self) -> NDArray[np.float32]:
        """(*shape), by how much the fit falls one voxel off in the direction in which it falls least, both sides together."""
        return (2 * self.fit - self.beside.sum(1)).min(0)

    @property
    def common_offset(self) -> NDArray[np.float64]:
        """(D,) voxels: the same of the mean fits."""
        means = [[self.mean(before), self.mean(self.fit), self.mean(after)] for after, before in self.beside]
        return np.array([float(_top(*map(np.float64, three))) for three in means])


def chance(view: View) -> float:
    """Mean fit with the moved image far off in every direction."""
    pair = _Windows.of(view)
    total = max(float(pair.weight.sum()), 1e-6)
    axes = [axis for axis, n in enumerate(view.fixed.shape) if n > 2 * _FAR]
    fits = [float((pair.fit(axis, step) * pair.weight).sum() / total) for axis in axes for step in (_FAR, -_FAR)]
    return float(np.mean(fits)) if fits else 0.0


@dataclass(frozen=True, eq=False)
class _Windows:
    """What the fits of all shifts have in common."""

    fixed: NDArray[np.float32]
    moved: NDArray[np.float32]
    means: tuple[NDArray[np.float32], NDArray[np.float32]]
    variances: tuple[NDArray[np.float32], NDArray[np.float32]]
    weight: NDArray[np.float32]

    @classmethod
    def of(cls, view: View) -> _Windows:
        fixed, moved, whole = (np.where(view.counts, a, np.float32(0)) for a in (view.fixed, view.moved, np.float32(1)))
        f, m, ff, mm, share = _means(np.stack([fixed, moved, fixed * fixed, moved * moved, whole]))
        variances = np.maximum(ff - f * f, 0), np.maximum(mm - m * m, 0)
        counts = view.body & (share > 0.99)
        return cls(fixed, moved, (f, m), variances, counts * variances[0] / (variances[0] + np.float32(_STRUCTURE)))

    def fit(self, axis: int, step: int) -> NDArray[np.float32]:
        """With the moved image read ``step`` voxels farther along an axis."""
        moved, mean, variance = (np.roll(a, -step, axis) for a in (self.moved, self.means[1], self.variances[1]))
        covariance = _means((self.fixed * moved)[None])[0] - self.means[0] * mean
        squared = covariance**2 / ((self.variances[0] + np.float32(_NOISE)) * (variance + np.float32(_NOISE)))
        return _means(np.minimum(squared, 1)[None])[0]


def _means(data: NDArray) -> NDArray[np.float32]:
    """Over boxes, (C, *shape); beyond the edge the array goes on as it ends."""
    return kernels.separable(np.ascontiguousarray(data, np.float32), [_box(n) for n in data.shape[1:]])


def _box(n: int) -> NDArray[np.float32]:
    width = 2 * min(_RADIUS, n - 1) + 1
    return np.full(width, 1 / width, np.float32)


def _top(before: NDArray, here: NDArray, after: NDArray) -> NDArray:
    """Where a parabola through three values one apart is highest, at most 1.5 off; the higher side where it is not a hill."""
    bend = 2 * here - before - after
    slope = 0.5 * (after - before)
    return np.where(bend > 1e-6, np.clip(slope / np.maximum(bend, 1e-6), -1.5, 1.5), 1.5 * np.sign(slope)).astype(here.dtype)
