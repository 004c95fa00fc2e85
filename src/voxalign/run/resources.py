"""Memory and processors: what there is, and what a registration will take."""
from __future__ import annotations

import os
import sys
from pathlib import Path

from ..core import Grid, ResourceError
from ..register import Settings
from .checks import warn

_BASE = 250e6            # interpreter and libraries
_PER_INPUT_VOXEL = 16    # each image as read and as float32, its pyramid, the moved image
_PER_WORKING_VOXEL = 120  # fields, gradients and windows of the finest level
_CGROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
                     "VOXALIGN_THREADS")


def limit_threads(count: int) -> None:
    """Let libraries use at most ``count`` threads; works on those that are not loaded yet, so call it first."""
    if count > 0:
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(count)))


def memory_forecast(fixed: Grid, moving: Grid, settings: Settings) -> int:
    """Bytes that a registration takes at its peak, within a factor of about two."""
    working = fixed if settings.spacing is None else fixed.with_spacing(settings.spacing)
    fields = _PER_WORKING_VOXEL if settings.transform == "deformable" else _PER_INPUT_VOXEL
    return int(_BASE + _PER_INPUT_VOXEL * (fixed.size + moving.size) + fields * working.size)


def memory_available() -> int | None:
    """Bytes this process may still take: what the system has free, or its container allows; None if unknown."""
    limits = [limit - used for limit, used in [_cgroup()] if limit]
    try:
        text = Path("/proc/meminfo").read_text()
        limits.append(1024 * int(text.split("MemAvailable:")[1].split()[0]))
    except (OSError, IndexError, ValueError):
        pass
    return min(limits, default=None)


def check_memory(fixed: Grid, moving: Grid, settings: Settings) -> None:
    """Refuse what cannot fit; warn of what may not.

    Raises
    ------
    ResourceError : the forecast is beyond twice the memory there is.
    """
    need, have = memory_forecast(fixed, moving, settings), memory_available()
    if have is None or need <= have:
        return
    message = f"about {need / 1e9:.1f} GB of memory expected, {have / 1e9:.1f} GB available"
    advice = f"work on a coarser grid (--set spacing={2 * float(fixed.spacing.min()):.3g}) or on a larger machine"
    if need > 2 * have:
        raise ResourceError(f"{message}: {advice}")
    warn(f"{message}: if it fails, {advice}")


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
