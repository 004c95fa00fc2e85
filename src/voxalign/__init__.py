"""voxalign: two images of a body into one space.

    import voxalign as vx
    result = vx.register("fixed.nii.gz", "moving.nii.gz")
    vx.save(result.moved, "moved.nii.gz")

Every public name is imported at its first use, so that ``import voxalign`` costs nothing.
"""
from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import features, filters, losses, metrics, phantom, transforms
    from .core import (
        Compose,
        Grid,
        Identity,
        Image,
        InputError,
        InputWarning,
        Points,
        Transform,
        UsageError,
        VoxalignError,
        compose,
        resample,
        sample,
    )
    from .io import load, load_points, load_transform, save, save_points, save_transform, to_nibabel, to_sitk
    from .register import Guide, Registration, Settings
    from .report import plot
    from .run.api import Result, register
    from .run.live import track
    from .run.pipeline import pipeline

__version__ = "0.1.0"

_HOME = {
    "core": ("Compose", "Grid", "Identity", "Image", "InputError", "InputWarning", "Points", "Transform", "UsageError", "VoxalignError",
             "compose", "resample", "sample"),
    "io": ("load", "load_points", "load_transform", "save", "save_points", "save_transform", "to_nibabel", "to_sitk"),
    "register": ("Guide", "Registration", "Settings"),
    "report": ("plot",),
    "run.api": ("Result", "register"),
    "run.live": ("track",),
    "run.pipeline": ("pipeline",),
    "": ("features", "filters", "losses", "metrics", "phantom", "transforms"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = ["Compose", "Grid", "Guide", "Identity", "Image", "InputError", "InputWarning", "Points", "Registration", "Result", "Settings",
           "Transform", "UsageError", "VoxalignError", "__version__", "compose", "features", "filters", "load", "load_points",
           "load_transform", "losses", "metrics", "phantom", "pipeline", "plot", "register", "resample", "sample", "save",
           "save_points", "save_transform", "to_nibabel", "to_sitk", "track", "transforms"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'voxalign' has no attribute {name!r}: see dir(voxalign)")
    module = _MODULE_OF[name]
    if not module:
        return importlib.import_module(f".{name}", __name__)
    value = getattr(importlib.import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps ``vx.register`` the function when Python, on importing the package of that name, would put the package there."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and _MODULE_OF.get(name)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
