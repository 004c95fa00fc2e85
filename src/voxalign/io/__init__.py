"""Files and values: images, labels, points and transforms in, the same out, whole or not at all.

Everything is imported at its first use, so that ``import voxalign.io`` costs nothing.
"""
from __future__ import annotations

from importlib import import_module

_HOME = {
    "load": "image", "save": "image", "describe": "image", "sha256": "image",
    "load_points": "points", "save_points": "points",
    "as_image": "convert", "to_nibabel": "convert", "to_sitk": "convert",
    "atomic_path": "atomic", "write_bytes": "atomic", "write_json": "atomic", "write_text": "atomic",
    "load_transform": "transform", "save_transform": "transform",
}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
