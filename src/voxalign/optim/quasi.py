"""L-BFGS: curvature learned from the last few gradients, steps by a line search that keeps the strong Wolfe conditions."""
from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .objective import Iterate, Objective, Solver

_FALL, _FLATTER = 1e-4, 0.9  # c1 and c2: the value falls by part of what the slope promises; the slope left is a part of it
_TRIES = 25


@dataclass(frozen=True)
class LBFGS(Solver):
    """step = -t B gradient, B being the inverse Hessian that fits the last steps (Liu and Nocedal 1989, doi:10.1007/BF01589116).

    Parameters
    ----------
    memory : steps that are remembered.
    first : length of the first try, when nothing is known of the curvature yet.
    """

    memory: int = 10
    first: float = 1.0

    def steps(self, objective: Objective, x0: Any) -> Iterator[Iterate]:
        """See `Solver.steps`."""
        here, gradient = Iterate(x0, objective.value(x0)), objective.gradient(x0)
        pairs: deque[tuple[NDArray, NDArray]] = deque(maxlen=self.memory)
        while True:
            yield here
            found = self._searched(objective, here, gradient, pairs)
            if found is None and pairs:  # what is remembered misleads: once more without
                pairs.clear()
                found = self._searched(objective, here, gradient, pairs)
            if found is None:
                return
            step, change = found.step, found.gradient - gradient
            if step @ change > 1e-10 * (step @ step) ** 0.5 * (change @ change) ** 0.5:
                pairs.append((step, change))
            here, gradient = here.next(found.x, found.value, step), found.gradient

    def _searched(self, objective: Objective, here: Iterate, gradient: NDArray, pairs: deque) -> _Tried | None:
        way = -two_loops(gradient, pairs)
        size = float(np.linalg.norm(way))
        if not size > 0 or not gradient @ way < 0:
            return None
        return _Line(objective, here, way, float(gradient @ way)).search(1.0 if pairs else min(1.0, self.first / size))


def two_loops(gradient: NDArray, pairs: deque[tuple[NDArray, NDArray]]) -> NDArray[np.float64]:
    """The inverse Hessian that fits (step, change of gradient) ``pairs``, oldest first, times a gradient (Nocedal 1980,
    doi:10.1090/S0025-5718-1980-0572855-7)."""
    way, parts = np.array(gradient, np.float64), []
    for step, change in reversed(pairs):
        parts.append((step @ way) / (step @ change))
        way -= parts[-1] * change
    if pairs:
        step, change = pairs[-1]
        way *= (step @ change) / (change @ change)
    for (step, change), part in zip(pairs, reversed(parts), strict=True):
        way += (part - (change @ way) / (step @ change)) * step
    return way


@dataclass(frozen=True, eq=False)
class _Tried:
    """A place on the line; slope and gradient are there where the value is finite."""

    t: float
    value: float
    x: Any = None
    step: NDArray = field(default_factory=lambda: np.zeros(0))
    gradient: NDArray = field(default_factory=lambda: np.zeros(0))
    slope: float = math.nan


@dataclass(frozen=True, eq=False)
class _Line:
    """From ``here`` along ``way``: the line search of Nocedal and Wright 2006 (doi:10.1007/978-0-387-40065-5), algorithms 3.5 and 3.6."""

    objective: Objective
    here: Iterate
    way: NDArray
    slope: float

    def at(self, t: float) -> _Tried:
        step = t * self.way
        x = self.objective.move(self.here.x, step)
        value = float(self.objective.value(x))
        if not math.isfinite(value):
            return _Tried(t, math.inf)
        gradient = np.asarray(self.objective.gradient(x), np.float64)
        return _Tried(t, value, x, step, gradient, float(gradient @ self.way))

    def falls(self, tried: _Tried) -> bool:
        return tried.value <= self.here.value + _FALL * tried.t * self.slope

    def flat(self, tried: _Tried) -> bool:
        return abs(tried.slope) <= -_FLATTER * self.slope

    def search(self, t: float) -> _Tried | None:
        """A place that keeps both conditions; one that falls, if there is none; None if nothing falls."""
        last = _Tried(0.0, self.here.value, slope=self.slope)
        for number in range(_TRIES):
            new = self.at(t)
            if not self.falls(new) or (number and new.value >= last.value):
                return self.zoom(last, new)
            if self.flat(new):
                return new
            if new.slope >= 0:
                return self.zoom(new, last)
            last, t = new, 2 * t
        return last

    def zoom(self, low: _Tried, high: _Tried) -> _Tried | None:
        """Between the best place so far, which falls, and another that shows that the least lies between them."""
        for _ in range(_TRIES):
            new = self.at(between(low, high))
            if not self.falls(new) or new.value >= low.value:
                high = new
                continue
            if self.flat(new):
                return new
            high = low if new.slope * (high.t - low.t) >= 0 else high
            low = new
        return low if low.t > 0 else None


def between(low: _Tried, high: _Tried) -> float:
    """Where the parabola through value and slope at ``low`` and the value at ``high`` is least, away from both ends."""
    width = high.t - low.t
    bend = high.value - low.value - low.slope * width
    part = 0.5 if not math.isfinite(bend) or bend <= 0 else -low.slope * width / (2 * bend)
    return low.t + min(max(part, 0.1), 0.9) * width
