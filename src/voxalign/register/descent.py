"""First-order steps of a deformation: what `optim` has for vectors, on whole fields of forces."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from ..core import arrays
from ..optim import Adam, Descent, GradientDescent, Momentum

_BETA = 0.8

RULES: dict[str, Callable[[float, float], Descent]] = {
    "gradient-descent": lambda longest, top: GradientDescent(longest / top),
    "momentum": lambda longest, top: Momentum((1 - _BETA) * longest / top, _BETA),
    "adam": lambda longest, top: Adam(0.25 * longest, _BETA, epsilon=0.3 * top),  # smaller: noise moves as far as edges
}
"""First-order optimisers by name, given the longest step in voxels and the largest force at the start of a level."""


class FirstOrder:
    """The rule of one level; set up by the first force that it is given."""

    def __init__(self, optimiser: str, longest: float) -> None:
        self.optimiser, self.longest, self._rule = optimiser, longest, None

    def __call__(self, force: NDArray, weights: Any) -> NDArray:
        """An update in voxels, nowhere longer than the longest, of a smoothed force (D, *shape); ``weights`` as in `kernels.step`."""
        gradient = -force * arrays.like(weights, force).reshape(-1, *(1,) * (force.ndim - 1))
        if self._rule is None:
            self._rule = RULES[self.optimiser](self.longest, max(float(_size(gradient).max()), 1e-30)).rule()
        step = self._rule(gradient)
        return step * (self.longest / _size(step).clip(self.longest))


def _size(field: NDArray) -> NDArray:
    return (field * field).sum(0) ** 0.5
