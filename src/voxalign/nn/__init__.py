"""Networks that register, denoise and judge; what needs torch is imported at its first use, which takes seconds."""
from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .architecture import AffineNet, Architecture, Autoencoder, Classifier, Critic, Painter, Pyramid, Recurrent, Translator, UNet
from .inputs import Inputs

if TYPE_CHECKING:
    from .fields import affine_displacement, compose, integrate, warp
    from .networks import build, count
    from .prediction import AffinePrediction, Prediction

_HOME = {"networks": ("build", "count"), "fields": ("affine_displacement", "compose", "integrate", "warp"),
         "prediction": ("AffinePrediction", "Prediction")}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = ["AffineNet", "AffinePrediction", "Architecture", "Autoencoder", "Classifier", "Critic", "Inputs", "Painter",
           "Prediction", "Pyramid", "Recurrent", "Translator", "UNet", "affine_displacement", "build", "compose", "count", "integrate",
           "warp"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'voxalign.nn' has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value
