"""What is minimised, what an optimiser is, and the verb that brings them together."""
from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIFFERENCE = 1e-3


@dataclass(frozen=True, eq=False)
class Objective:
    """A function of a position x, and what is known about its slopes there.

    A position is a vector, or anything that ``move`` can move by one: a rotation moves by a rotation vector. Gradient and Hessian are those
    of ``value(move(x, step))`` in ``step`` at 0. They are asked for where the value was asked for last, as a rule.

    Parameters
    ----------
    value : what is to be small; infinite where x makes no sense.
    gradient : (P,) of x.
    hessian : (P, P) of x: the second derivatives, for `Newton`; their Gauss-Newton model (J'J of a sum of squares), for `GaussNewton`.
    move : x and a step (P,) to another x.
    """

    value: Callable[[Any], float]
    gradient: Callable[[Any], NDArray[np.float64]]
    hessian: Callable[[Any], NDArray[np.float64]] | None = None
    move: Callable[[Any, NDArray], Any] = add


@dataclass(frozen=True, eq=False)
class Iterate:
    """A position that an optimiser came to.

    Parameters
    ----------
    x, value : where, and how good it is.
    number : 0 at the start.
    length : of the step that led here, in the units of steps; infinite at the start.
    """

    x: Any
    value: float
    number: int = 0
    length: float = math.inf

    def next(self, x: Any, value: float, step: NDArray) -> Iterate:
        """The iterate after a ``step``."""
        return Iterate(x, value, self.number + 1, float(np.linalg.norm(step)))


class Solver(ABC):
    """A way to go down, with its settings."""

    @abstractmethod
    def steps(self, objective: Objective, x0: Any) -> Iterator[Iterate]:
        """The start, and every position after it, for as long as anything can be won; whoever asks decides when to stop."""


def minimise(objective: Objective, x0: Any, solver: Solver, on_step: Callable[[Iterate], None] | None = None, *,
             iterations: int = 1000, tolerance: float = 1e-9) -> Iterate:
    """Go down from ``x0``.

    Parameters
    ----------
    on_step : called with every `Iterate`, the start first; whatever it raises ends the search.
    iterations : at most so many steps.
    tolerance : a step shorter than this is the last.

    Returns
    -------
    The best position that was met.
    """
    best = None
    for here in solver.steps(objective, x0):
        best = here if best is None or here.value < best.value else best
        if on_step is not None:
            on_step(here)
        if here.number >= iterations or here.length < tolerance:
            break
    return best


def with_differences(objective: Objective, size: int, step: float = _DIFFERENCE) -> Objective:
    """The same objective with a Hessian by central differences of its gradient, 2 ``size`` gradients each.

    Parameters
    ----------
    size : P, the length of a step.
    step : of the differences; errors grow as its square, rounding as its inverse.
    """
    def at(x: Any, way: NDArray) -> NDArray[np.float64]:
        moved = objective.move(x, way)
        objective.value(moved)
        return np.asarray(objective.gradient(moved), np.float64)

    def hessian(x: Any) -> NDArray[np.float64]:
        rows = np.stack([at(x, way) - at(x, -way) for way in step * np.eye(size)]) / (2 * step)
        return (rows + rows.T) / 2

    return replace(objective, hessian=hessian)
