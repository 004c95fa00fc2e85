"""Named sets of choices: what differs from the defaults of `Settings`."""
from __future__ import annotations

PRESETS: dict[str, dict] = {
    "default": {},
    "fast": {"spacing": 2.0, "iterations": (20, 15, 10)},
    "rigid": {"transform": "rigid"},
    "affine": {"transform": "affine"},
    "multimodal": {"loss": "mi"},
}
