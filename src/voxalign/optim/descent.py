"""First-order methods: gradient descent, momentum, Adam. Their rules take gradients of any shape, vectors or whole fields."""
from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .objective import Iterate, Objective, Solver

Rule = Callable[[NDArray], NDArray]
_SHORTEST = 1e-10  # part of the usual rate below which nothing is to be won
_GROWTH = 1.2  # of the rate after a step that went down, up to the usual one


@dataclass(frozen=True)
class Descent(Solver):
    """What first-order methods share: a `rule`, and steps that never go up.

    A step after which the value is higher is taken back, what the rule remembers is forgotten (O'Donoghue and Candes 2015,
    doi:10.1007/s10208-013-9150-3) and the rate halved; after steps that help it grows back. Far from such trouble these are the textbook's.

    Parameters
    ----------
    rate : how far a step goes; what it means is the rule's.
    """

    rate: float = 1e-3

    @abstractmethod
    def rule(self) -> Rule:
        """A function that gradients are given to, one after the other, and that answers with the steps; it may remember."""

    def steps(self, objective: Objective, x0: Any) -> Iterator[Iterate]:
        """See `Solver.steps`."""
        here, rule, share = Iterate(x0, objective.value(x0)), self.rule(), 1.0
        yield here
        gradient = objective.gradient(x0)
        while share > _SHORTEST and np.any(gradient):
            step = share * rule(gradient)
            x = objective.move(here.x, step)
            value = objective.value(x)
            if not value <= here.value:
                rule, share = self.rule(), share / 2
                continue
            here, share = here.next(x, value, step), min(share * _GROWTH, 1.0)
            gradient = objective.gradient(x)
            yield here


@dataclass(frozen=True)
class GradientDescent(Descent):
    """step = -rate gradient (Cauchy 1847)."""

    def rule(self) -> Rule:
        """See `Descent.rule`."""
        return lambda gradient: -self.rate * gradient


@dataclass(frozen=True)
class Momentum(Descent):
    """step = beta (last step) - rate gradient: a heavy ball (Polyak 1964, doi:10.1016/0041-5553(64)90137-5).

    Parameters
    ----------
    beta : part of the last step that goes on, 0 to 1; along a steady slope steps grow to rate / (1 - beta).
    """

    beta: float = 0.9

    def rule(self) -> Rule:
        """See `Descent.rule`."""
        last: Any = 0.0

        def step(gradient: NDArray) -> NDArray:
            nonlocal last
            last = self.beta * last - self.rate * gradient
            return last
        return step


@dataclass(frozen=True)
class Adam(Descent):
    """step = -rate m / (sqrt(v) + epsilon), m and v being running means of the gradient and of its square (Kingma and Ba 2015).

    At step t, m = beta1 m + (1 - beta1) g and v = beta2 v + (1 - beta2) g^2, from 0, are divided by 1 - beta1^t and 1 - beta2^t.
    arXiv:1412.6980 (doi:10.48550/arXiv.1412.6980).

    Parameters
    ----------
    rate : length of a step along each parameter while the gradient is steady, whatever its size.
    epsilon : added to the root; keeps steps small where gradients all but vanish.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def rule(self) -> Rule:
        """See `Descent.rule`."""
        mean: Any = 0.0
        square: Any = 0.0
        count = 0

        def step(gradient: NDArray) -> NDArray:
            nonlocal mean, square, count
            count += 1
            mean = self.beta1 * mean + (1 - self.beta1) * gradient
            square = self.beta2 * square + (1 - self.beta2) * gradient * gradient
            root = (square / (1 - self.beta2**count)) ** 0.5
            return -self.rate / (1 - self.beta1**count) * mean / (root + self.epsilon)
        return step


def first_rate(objective: Objective, x0: Any, length: float) -> float:
    """The rate at which the first step of `GradientDescent` has a ``length``."""
    objective.value(x0)
    size = float(np.linalg.norm(objective.gradient(x0)))
    return length / size if size > 0 and math.isfinite(size) else length
