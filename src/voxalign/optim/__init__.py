"""Optimisers: each a value with its settings, one verb, `minimise`; for vectors, and for whatever else can be moved by a vector."""
from ..core.errors import choose
from .descent import Adam, Descent, GradientDescent, Momentum, first_rate
from .newton import GaussNewton, Newton
from .objective import Iterate, Objective, Solver, minimise, with_differences
from .quasi import LBFGS

SOLVERS: dict[str, type[Solver]] = {"gradient-descent": GradientDescent, "momentum": Momentum, "adam": Adam, "lbfgs": LBFGS,
                                    "newton": Newton, "gauss-newton": GaussNewton}
"""Every optimiser by its name."""

__all__ = ["LBFGS", "SOLVERS", "Adam", "Descent", "GaussNewton", "GradientDescent", "Iterate", "Momentum", "Newton", "Objective", "Solver",
           "first_rate", "minimise", "solver", "with_differences"]


def solver(name: str, **settings: float) -> Solver:
    """The optimiser of that name, with its settings.

    Raises
    ------
    UsageError : there is none of that name; the nearest right one is suggested.
    """
    return SOLVERS[choose(name, SOLVERS, "optimiser")](**settings)
