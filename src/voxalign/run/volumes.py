"""Volumes of structures over time, how they changed, how surely, and what a treatment does to that."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Image

_FEWEST = 64  # voxels of a structure that has an interval
_LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval; not-a-number where too little is known."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Structure:
    """A structure at every time.

    Parameters
    ----------
    volumes : (T,) ml.
    parts : (P, T) ml, of parts of it that lie apart; their scatter says how sure a change is.
    """

    volumes: NDArray[np.float64]
    parts: NDArray[np.float64]

    def change(self, first: int, second: int) -> Estimate:
        """Percent of the mean of both volumes; swapping the times negates it.

        The interval is that of the changes of the parts, weighted by their volume (Student's t): where a structure changes unevenly it
        is wide, as it should be for the statement that the structure changed.
        """
        value = percent(self.volumes[first], self.volumes[second])
        if len(self.parts) < 3:
            return Estimate(value, float("nan"), float("nan"))
        from scipy.stats import t

        each, weights = percent(self.parts[:, first], self.parts[:, second]), self.parts.mean(1) / self.parts.mean(1).sum()
        effective = 1 / np.sum(weights**2)
        spread = np.sqrt(np.sum(weights * (each - np.sum(weights * each)) ** 2) / max(effective - 1, 0.5))
        reach = float(t.ppf(0.5 + _LEVEL / 2, effective - 1)) * float(spread)
        return Estimate(value, value - reach, value + reach)


def percent(first: NDArray | float, second: NDArray | float) -> NDArray | float:
    """Change in percent of the mean."""
    return 200 * (second - first) / (first + second)


def structures(labels: Image, jacobians: Sequence[NDArray]) -> dict[int, Structure]:
    """Every label but 0.

    Parameters
    ----------
    labels : in the middle of the time points.
    jacobians : (*grid.shape) of each time point: its volume for a volume of the middle.
    """
    found = {}
    for label in np.unique(labels.array):
        if label:
            index = np.argwhere(labels.array == label)
            own = np.stack([jacobian[tuple(index.T)] for jacobian in jacobians], 1).astype(np.float64)
            own *= labels.grid.voxel_volume / 1000
            found[int(label)] = Structure(own.sum(0), _parts(index, own, labels.grid))
    return found


def joined(several: Sequence[Mapping[int, Structure]]) -> dict[int, Structure]:
    """Means over several label maps of one body; a label must be in all."""
    common = set.intersection(*(set(one) for one in several))
    return {label: Structure(np.mean([one[label].volumes for one in several], 0),
                             np.concatenate([one[label].parts for one in several]) if len(several) == 1 else _mean_parts(
                                 [one[label].parts for one in several])) for label in sorted(common)}


def _mean_parts(parts: Sequence[NDArray]) -> NDArray[np.float64]:
    fewest = min(len(part) for part in parts)
    return np.mean([part[:fewest] for part in parts], 0)


def _parts(index: NDArray, volumes: NDArray, grid: Grid) -> NDArray[np.float64]:
    """Sums over parts of a structure: cones about its middle, each with the opposite one, which a mere shift would take from it.

    None of a small structure.
    """
    if len(index) < _FEWEST:
        return np.empty((0, volumes.shape[1]))
    number = _cone((index - index.mean(0)) * grid.spacing)
    sums = np.stack([np.bincount(number, column) for column in volumes.T], 1)
    return sums[sums.mean(1) > 0.02 * volumes.sum(0).mean()]


def _cone(offset: NDArray) -> NDArray[np.int_]:
    """Which of the axes is nearest to the line through the middle: to the corners and faces of a cube; in 2-D one of eight."""
    if offset.shape[1] == 2:
        angles = np.arange(8) * np.pi / 8
        axes = np.stack([np.cos(angles), np.sin(angles)], 1)
    else:
        axes = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1)])
        axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    return np.abs(offset @ axes.T).argmax(1)


# -------------------------------------------------------------------- trials
@dataclass(frozen=True)
class Effect:
    """What one arm does that another does not: the difference of the mean changes, percent, and its p value (Welch 1947)."""

    means: tuple[float, float]
    counts: tuple[int, int]
    difference: Estimate
    p: float


def effect(arm: Sequence[float], other: Sequence[float]) -> Effect:
    """Compare changes (percent) of the people in two arms; intervals need two people in each."""
    from scipy.stats import t

    a, b = np.asarray(arm, np.float64), np.asarray(other, np.float64)
    difference = float(a.mean() - b.mean())
    if min(len(a), len(b)) < 2:
        return Effect((float(a.mean()), float(b.mean())), (len(a), len(b)), Estimate(difference, float("nan"), float("nan")), float("nan"))
    va, vb = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    error = float(np.sqrt(va + vb)) or 1e-12
    freedom = (va + vb) ** 2 / max(va**2 / (len(a) - 1) + vb**2 / (len(b) - 1), 1e-30)
    reach = float(t.ppf(0.5 + _LEVEL / 2, max(freedom, 1))) * error
    return Effect((float(a.mean()), float(b.mean())), (len(a), len(b)), Estimate(difference, difference - reach, difference + reach),
                  float(2 * t.sf(abs(difference) / error, max(freedom, 1))))
