"""Second-order methods: Newton's, and Gauss-Newton damped after Levenberg and Marquardt."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .objective import Iterate, Objective, Solver

_HALVINGS = 30
_ENOUGH = 1e-4  # part of the fall that the slope promises


@dataclass(frozen=True)
class Newton(Solver):
    """step = -H^-1 gradient, halved until the value falls (Armijo 1966, doi:10.2140/pjm.1966.16.1).

    Where the Hessian bends downwards, its eigenvalues are taken without their signs, so that every step goes down (Nocedal and Wright 2006,
    doi:10.1007/978-0-387-40065-5, chapter 3.4).

    Parameters
    ----------
    least : eigenvalues count as at least this part of the largest.
    """

    least: float = 1e-8

    def steps(self, objective: Objective, x0: Any) -> Iterator[Iterate]:
        """See `Solver.steps`; needs a Hessian (see `with_differences`)."""
        here: Iterate | None = Iterate(x0, objective.value(x0))
        while here is not None:
            yield here
            gradient = objective.gradient(here.x)
            here = backtracked(objective, here, gradient, self._step(objective.hessian(here.x), gradient))

    def _step(self, hessian: NDArray, gradient: NDArray) -> NDArray[np.float64]:
        values, vectors = np.linalg.eigh(hessian)
        size = np.maximum(np.abs(values), max(self.least * np.abs(values).max(), np.finfo(float).tiny))
        return -vectors @ (vectors.T @ gradient / size)


def backtracked(objective: Objective, here: Iterate, gradient: NDArray, step: NDArray) -> Iterate | None:
    """The iterate after ``step``, halved until the value falls by part of what the slope promises; None if it never does."""
    slope = float(gradient @ step)
    for _ in range(_HALVINGS if slope < 0 else 0):
        x = objective.move(here.x, step)
        value = objective.value(x)
        if value <= here.value + _ENOUGH * slope:
            return here.next(x, value, step)
        step, slope = step / 2, slope / 2
    return None


@dataclass(frozen=True)
class GaussNewton(Solver):
    """step = -(H + damping diag H)^-1 gradient, H being a model of the Hessian that never bends downwards.

    A step is taken if the value falls, and the damping shrinks tenfold; else it grows tenfold (Levenberg 1944, doi:10.1090/qam/10666;
    Marquardt 1963, doi:10.1137/0111030). Damping 0 would be Gauss-Newton; large, gradient descent along scaled axes.

    Parameters
    ----------
    damping : at the start.
    tries : at most so many for one step.
    """

    damping: float = 1e-3
    tries: int = 6

    def steps(self, objective: Objective, x0: Any) -> Iterator[Iterate]:
        """See `Solver.steps`; needs a Hessian."""
        here, damping = Iterate(x0, objective.value(x0)), self.damping
        while here is not None:
            yield here
            here, damping = self._next(objective, here, damping)

    def _next(self, objective: Objective, here: Iterate, damping: float) -> tuple[Iterate | None, float]:
        gradient, hessian = objective.gradient(here.x), objective.hessian(here.x)
        for _ in range(self.tries):
            step = _damped(hessian, gradient, damping)
            if step is not None:
                x = objective.move(here.x, step)
                value = objective.value(x)
                if value < here.value:
                    return here.next(x, value, step), max(damping / 10, 1e-7)
            damping *= 10
        return None, damping


def _damped(hessian: NDArray, gradient: NDArray, damping: float) -> NDArray[np.float64] | None:
    """The damped step; None where there is none."""
    scale = np.maximum(np.diag(hessian), 1e-12 * max(float(np.trace(hessian)), 1e-30))
    try:
        step = -np.linalg.solve(hessian + damping * np.diag(scale), gradient)
    except np.linalg.LinAlgError:
        return None
    return step if np.isfinite(step).all() else None
