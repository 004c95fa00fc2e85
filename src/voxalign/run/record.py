"""What was done, with what, how long it took: ``run.json``."""
from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import __version__
from ..core import kernels
from .api import Result

_PACKAGES = ("numpy", "scipy", "nibabel", "SimpleITK", "h5py", "pydicom", "matplotlib", "torch")


@dataclass(frozen=True)
class Source:
    """An input file as the record names it: base name and hash, never its folder (which may name a patient)."""

    path: Path
    sha256: str


def record(result: Result, inputs: dict[str, Source], outputs: dict[str, str], started: str) -> dict[str, Any]:
    """The content of ``run.json``.

    Parameters
    ----------
    inputs : by the name of the option.
    outputs : sha256 by file name.
    started : ISO 8601, UTC.
    """
    return {
        "voxalign": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions(),
        "configuration": _without_paths(result.configuration.as_dict()),
        "inputs": {name: {"name": source.path.name, "sha256": source.sha256} for name, source in inputs.items()},
        "grids": {"fixed": _grid(result.fixed.grid), "moving": _grid(result.moving.grid)},
        "outputs": outputs,
        "device": result.registration.device,
        "threads": kernels.get_threads(),
        "started": started,
        "seconds": result.seconds | {"total": round(sum(result.seconds.values()), 3)},
        "peak_memory_mb": peak_memory_mb(),
        "verdict": {"status": result.verdict.status, "probability": round(result.verdict.probability, 4)},
        "notes": list(result.registration.notes),
        "warnings": [without_folders(message, inputs) for message in result.warnings],
    }


def versions() -> dict[str, str]:
    """Versions of the packages that matter, without importing them."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def peak_memory_mb() -> float | None:
    """The most memory this process has held, in MB; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)


def _grid(grid: Any) -> dict[str, Any]:
    return {"shape": list(grid.shape), "spacing_mm": [round(float(s), 6) for s in grid.spacing], "axes": grid.axes,
            "affine": grid.affine.tolist()}


def _without_paths(configuration: dict[str, Any]) -> dict[str, Any]:
    """Files by their base names."""
    return configuration | {key: Path(configuration[key]).name for key in ("initial", "weights") if configuration[key]}


def without_folders(message: str, inputs: dict[str, Source]) -> str:
    """A sentence with the base names of the inputs only; folders may name a patient."""
    for source in inputs.values():
        message = message.replace(str(source.path), source.path.name)
    return message
