"""Losses: lower is better; each gives value, residual and curvature, so that every optimiser can use every one."""
from ..core.errors import choose
from .base import Bound, Loss, Terms
from .correlation import LNCC, NCC
from .information import MI, binned, mutual_information
from .intensity import MSE

LOSSES = {"lncc": LNCC, "ncc": NCC, "mse": MSE, "mi": MI}

__all__ = ["LNCC", "LOSSES", "MI", "MSE", "NCC", "Bound", "Loss", "Terms", "binned", "loss", "mutual_information"]


def loss(name: str, **settings) -> Loss:
    """The loss of that name, with its settings.

    Raises
    ------
    UsageError : there is none of that name; the nearest right one is suggested.
    """
    return LOSSES[choose(name, LOSSES, "loss")](**settings)
