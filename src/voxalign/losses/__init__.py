"""Losses: lower is better; each gives value, residual and curvature, so that every optimiser can use every one."""
from ..core.errors import choose
from .base import Bound, Loss, Terms
from .correlation import LNCC, NCC
from .information import MI, NMI, CrossEntropy, binned, mutual_information
from .intensity import MSE
from .overlap import label_cross_entropy, soft_dice
from .structural_similarity import SSIM
from .structure import MIND, NGF

LOSSES = {"lncc": LNCC, "ncc": NCC, "mse": MSE, "ssim": SSIM, "mi": MI, "nmi": NMI, "ngf": NGF, "mind": MIND, "cross_entropy": CrossEntropy}

__all__ = ["LNCC", "LOSSES", "MI", "MIND", "MSE", "NCC", "NGF", "NMI", "SSIM", "Bound", "CrossEntropy", "Loss", "Terms", "binned",
           "label_cross_entropy", "loss", "mutual_information", "soft_dice"]


def loss(name: str, **settings) -> Loss:
    """The loss of that name, with its settings.

    Raises
    ------
    UsageError : there is none of that name; the nearest right one is suggested.
    """
    return LOSSES[choose(name, LOSSES, "loss")](**settings)
