"""Memory and processors: what there is, what a registration will take, and how it is kept within a limit."""
from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..core import Identity, Image, InputError, ResourceError
from ..register import Settings, similarity
from ..register.deformable import working_image
from ..register.device import chosen
from ..register.modality import ONE, likeness_anywhere
from ..register.prepare import scale
from ..register.presets import PRESETS
from .checks import warn

# Bytes, measured over images of 4 to 17 million voxels (docs/explanation/engine.md says where they go)
_BASE = 100e6  # interpreter, libraries and what small arrays take
_READ = 4  # each voxel of an image as read
_LINEAR = 9  # ... and its version scaled for the search and the linear stages, with its pyramid
_SCORED = 54  # a fixed voxel, while the map is judged there
_WRITTEN = 70  # a working voxel, while the map, its inverse and the moved image are written
_WORKING = 54  # a working voxel of a deformation, and what each loss adds
_COMPARED = {"mi": 23, "nmi": 23, "mse": 26, "ncc": 26, "mind": 146}
_COMPARED_OTHERS = 50
_DESCRIBED = 8  # ... of an image made of both
_ADAPTED = 2.5  # times as much for a loss that compares twice, on images made for it
_BOTH_WAYS = 1.65  # times as much where both images are deformed
_WORKING_2D = 138  # for any loss: 2-D arrays are lifted to three dimensions
_TORCH = 350e6  # torch itself, and its first convolution
_NETWORK = 1.7  # what a process takes for each byte that `nn.memory` counts: copies that convolutions make
_BY_NETWORK = {"learned": False, "learned+refine": True, "features": True}  # whether the engine deforms afterwards
_ACROSS = PRESETS["multimodal"]["loss"]  # the dearest that ``auto`` may be
_AFAR = 24  # voxels across an image, where its kind is looked at
_LOOK = 64  # voxels along an axis that the body is looked for in
_COARSER = 2 ** (1 / 3)  # factor between the working resolutions tried; each halves the voxels
_COARSEST = 16  # times the fixed image's own spacing
_CGROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
                     "VOXALIGN_THREADS")


def limit_threads(count: int) -> None:
    """Let libraries use at most ``count`` threads; works on those that are not loaded yet, so call it first."""
    if count > 0:
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(count)))


def memory_forecast(fixed: Image, moving: Image, settings: Settings, method: str = "classical") -> int:
    """Bytes that a registration takes at its peak, within a quarter; with a network, within a half, and none of a GPU's.

    Raises
    ------
    UsageError, InputError, SecurityError : the method's weights cannot be used, see `register.learned.opened`.
    """
    images = fixed.grid.size + moving.grid.size
    stages = [_LINEAR * images + _READ * fixed.grid.size, _network(fixed, settings, method)]
    if settings.transform == "deformable" and _BY_NETWORK.get(method, True):
        working = _working_voxels(fixed, settings.spacing)
        voxel = _working(_foreseen(fixed, moving, settings)) if fixed.dim == 3 else _WORKING_2D
        voxel *= _BOTH_WAYS if settings.direction == "symmetric" else 1
        stages += [voxel * working, _WRITTEN * working + _READ * fixed.grid.size, _SCORED * fixed.grid.size + 24 * working]
    return int(_BASE + _READ * images + max(stages))


def _working(settings: Settings) -> float:
    """Bytes of a working voxel of a deformation."""
    terms = similarity.terms(settings.loss)
    return _WORKING + sum(_COMPARED.get(term.loss, _COMPARED_OTHERS) * (_ADAPTED if term.adapted else 1)
                          + _DESCRIBED * (term.feature in similarity.FEATURES) for term in terms)


def _foreseen(fixed: Image, moving: Image, settings: Settings) -> Settings:
    """The settings with what ``auto`` will likely be, by a look from afar."""
    if not any(term.loss == "auto" for term in similarity.terms(settings.loss)):
        return settings
    try:
        one, other = (scale(_looked(image)) for image in (fixed, moving))
    except InputError:  # nothing to be seen: said where it is used
        return _with(settings, "lncc")
    alike = likeness_anywhere(one, other, Identity(fixed.dim), float(one.grid.extent.max()) / _AFAR)
    return _with(settings, "lncc" if alike > ONE else _ACROSS)


def _with(settings: Settings, chosen: str) -> Settings:
    """The settings with a loss in place of ``auto``."""
    return replace(settings, loss=" + ".join(chosen if term.loss == "auto" else str(term) for term in similarity.terms(settings.loss)))


def _network(fixed: Image, settings: Settings, method: str) -> float:
    """Bytes that a method's network takes on the CPU, where it is computed there and has a part."""
    if method not in _BY_NETWORK or settings.transform != "deformable" or settings.device == "cuda" or chosen(settings.device) != "cpu":
        return 0
    from ..register.learned import opened

    network = opened(settings.weights, fixed.dim, "cpu")
    return _TORCH + _NETWORK * network.bytes_a_voxel * network.inputs.grid(fixed).size


def _working_voxels(fixed: Image, spacing: float | None) -> float:
    """Voxels of the part of the fixed image that a deformation is worked out on, at ``spacing`` mm or its own."""
    looked = _looked(fixed)
    try:
        box = working_image(scale(looked), None).grid
    except InputError:  # nothing to be seen: said where it is used
        box = looked.grid
    own = fixed.grid.spacing
    return float(np.prod(box.extent / np.maximum(own, spacing or 0)))


def _looked(image: Image) -> Image:
    """Every so many voxels of it, of the same box."""
    steps = [max(n // _LOOK, 1) for n in image.grid.shape]
    part = (slice(None), *(slice(None, None, k) for k in steps))
    return Image(image.data[part], image.grid.with_shape(image.data[part].shape[1:]), None if image.mask is None else image.mask[part[1:]])


def memory_available() -> int | None:
    """Bytes this process may still take: what the system has free, or its container allows; None if unknown."""
    limits = [limit - used for limit, used in [_cgroup()] if limit]
    try:
        text = Path("/proc/meminfo").read_text()
        limits.append(1024 * int(text.split("MemAvailable:")[1].split()[0]))
    except (OSError, IndexError, ValueError):
        pass
    return min(limits, default=None)


def within_memory(fixed: Image, moving: Image, settings: Settings, most: float = 0, method: str = "classical") -> Settings:
    """The settings, with a coarser working resolution if the registration would not fit otherwise; what is changed is said.

    Parameters
    ----------
    most : GB it may take; 0 takes what there is.

    Raises
    ------
    ResourceError : even on a coarse grid it does not fit.
    """
    limit = most * 1e9 or memory_available()
    if limit is None or memory_forecast(fixed, moving, _with(settings, _ACROSS), method) <= limit:  # whatever ``auto`` will be
        return settings
    foreseen = _foreseen(fixed, moving, settings)
    need = memory_forecast(fixed, moving, foreseen, method)
    if need <= limit:
        return settings
    misfit = f"about {need / 1e9:.1f} GB of memory would be needed and {limit / 1e9:.1f} GB may be used"
    finest, own = settings.spacing, float(fixed.grid.spacing.min())
    for step in range(1, int(np.log(_COARSEST) / np.log(_COARSER)) + 1) if settings.transform == "deformable" else ():
        coarser = replace(settings, spacing=round(max(finest or 0, own) * _COARSER**step, 4))
        if memory_forecast(fixed, moving, replace(foreseen, spacing=coarser.spacing), method) <= limit:
            warn(f"{misfit}: the deformation is worked out on voxels of {coarser.spacing:.3g} mm")
            return coarser
    raise ResourceError(f"{misfit}: crop or resample the images (voxalign process), or take a larger machine")


def _cgroup() -> tuple[int, int]:
    """Limit and use of the container in bytes; 0 if there is none."""
    for path in _CGROUP if sys.platform == "linux" else ():
        try:
            limit = int(path.read_text())
            used = int(path.with_name("memory.current" if path.name == "memory.max" else "memory.usage_in_bytes").read_text())
        except (OSError, ValueError):
            continue
        if limit < 1 << 50:
            return limit, used
    return 0, 0
