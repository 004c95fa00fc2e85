"""Named sets of choices: what differs from the defaults of `Settings`, and which of them suits two images."""
from __future__ import annotations

import numpy as np

from ..core import Image

PRESETS: dict[str, dict] = {
    "default": {},
    "fast": {"spacing": 2.0, "iterations": (20, 15, 10)},
    "accurate": {"iterations": (40, 40, 40, 20)},
    "rigid": {"transform": "rigid"},
    "affine": {"transform": "affine"},
    "multimodal": {"loss": "0.25*mi + 0.5*mind + 2*lncc(adapted)"},
    "brain": {"smoothness": 0.6, "iterations": (20, 20, 20, 12), "window": (1, 1, 1, 1, 1, 1, 4, 8)},
    "follow-up": {"body": "one", "iterations": (20,)},
    "mouse": {"smoothness": 2.0},
    "lung-ct": {"smoothness": 0.7, "loss": "lncc", "iterations": (40, 40, 40, 20)},
    "abdomen": {"smoothness": 1.5},
    "histology-2d": {"smoothness": 2.0},
}


def suited(fixed: Image, moving: Image) -> tuple[str, str]:
    """The preset for what two images seem to show, and why, in a few words; ``default`` where nothing is clear.

    Sizes, and intensities that mean the same everywhere (Hounsfield units, a background of one value, the light ground of a
    section), decide; both images must agree.
    """
    for name, shows, why in _KINDS:
        if shows(fixed) and shows(moving):
            return name, why
    return "default", "nothing particular"


def _small_animal(image: Image) -> bool:
    return image.dim == 3 and float(image.grid.extent.max()) < 40 and float(image.grid.spacing.max()) < 0.3


def _ct(image: Image) -> bool:
    return image.dim == 3 and float(image.data.min()) < -500


def _lung(image: Image) -> bool:
    some = image.data[0].ravel()[:: max(image.grid.size // 100_000, 1)]
    return _ct(image) and float(((some > -950) & (some < -600)).mean()) > 0.1


def _stripped_brain(image: Image) -> bool:
    some = image.data[0].ravel()[:: max(image.grid.size // 100_000, 1)]
    filled = some != some.min()
    litres = float(filled.mean()) * image.grid.size * image.grid.voxel_volume / 1e6
    return image.dim == 3 and filled.mean() < 0.5 and 0.6 < litres < 2.6


def _section(image: Image) -> bool:
    if image.dim != 2:
        return False
    data = image.data[0]
    edge = np.concatenate([data[0], data[-1], data[:, 0], data[:, -1]])
    low, high = np.percentile(data, (1, 99))
    return bool(np.median(edge) > low + 0.7 * (high - low))


_KINDS = (("mouse", _small_animal, "voxels and size of a small animal"), ("lung-ct", _lung, "CT with much lung"),
          ("abdomen", _ct, "CT"), ("brain", _stripped_brain, "brains without their surroundings"),
          ("histology-2d", _section, "dark on light ground, 2-D"))
