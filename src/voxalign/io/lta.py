"""FreeSurfer's ``.lta``: source (moving) to destination (fixed), in scanner RAS mm or between voxels.

It is the inverse of what an image is resampled along, so of ours.
"""
from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, InputError, Transform
from ..transforms import Affine
from .atomic import write_text
from .header import refuse
from .linear import spatial_matrix, text_of

_VOXELS, _RAS = 0, 1


def load_lta(path: str | os.PathLike[str]) -> Affine:
    """The transform in a ``.lta`` file.

    Raises
    ------
    InputError : damaged, of another type than RAS or voxels, several transforms, or singular.
    """
    path = Path(path)
    text = re.sub(r"#.*", "", text_of(path))
    kind, count = _value(path, text, "type"), _value(path, text, "nxforms")
    if kind not in (_VOXELS, _RAS) or count != 1:
        raise refuse(path, f"an LTA of type {kind} with {count} transforms: expected type 0 (voxels) or 1 (RAS), one transform")
    found = re.search(r"^\s*1 4 4\s*\n((?:.*\n){4})", text, re.M)
    if not found:
        raise refuse(path, "an LTA without a '1 4 4' matrix: damaged")
    matrix = _floats(path, found[1], 16).reshape(4, 4)
    if kind == _VOXELS:
        matrix = _affine(path, text, "dst") @ matrix @ np.linalg.inv(_affine(path, text, "src"))
    return Affine(matrix).inverse()


def save_lta(transform: Transform, path: str | os.PathLike[str], fixed_grid: Grid, moving_grid: Grid) -> None:
    """Write a linear 3-D transform between two images as ``.lta`` (RAS), atomically.

    Raises
    ------
    InputError : the transform is not linear, or not 3-D.
    """
    rows = np.linalg.inv(spatial_matrix(transform))
    lines = [f"type      = {_RAS} # LINEAR_RAS_TO_RAS", "nxforms   = 1", "mean      = 0.0000 0.0000 0.0000", "sigma     = 1.0000",
             "1 4 4", *(_joined(row) for row in rows),
             "src volume info", *_volume(moving_grid), "dst volume info", *_volume(fixed_grid), ""]
    write_text(Path(path), "\n".join(lines))


def _value(path: Path, text: str, key: str) -> int:
    found = re.search(rf"^\s*{key}\s*=\s*(-?\d+)", text, re.M)
    if not found:
        raise refuse(path, f"an LTA without {key!r}: damaged, or another kind of file")
    return int(found[1])


def _floats(path: Path, text: str, count: int) -> NDArray[np.float64]:
    try:
        values = np.array(text.split(), np.float64)
    except ValueError:
        values = np.empty(0)
    if len(values) != count or not np.isfinite(values).all():
        raise refuse(path, f"{text.strip()[:40]!r} in an LTA: expected {count} finite numbers")
    return values


def _affine(path: Path, text: str, which: str) -> NDArray[np.float64]:
    """Index -> scanner RAS of the ``src`` or ``dst`` volume, (4, 4)."""
    section = text.partition(f"{which} volume info")[2]

    def read(key: str) -> NDArray[np.float64]:
        found = re.search(rf"^\s*{key}\s*=(.*)$", section, re.M)
        return _floats(path, found[1] if found else "", 3)

    affine = np.eye(4)
    affine[:3, :3] = np.stack([read("xras"), read("yras"), read("zras")], 1) * read("voxelsize")
    affine[:3, 3] = read("cras") - affine[:3, :3] @ read("volume") / 2
    return Grid(tuple(read("volume").astype(int)), affine).affine


def _volume(grid: Grid) -> list[str]:
    if grid.dim != 3:
        raise InputError(f"an LTA with a {grid.dim}-D grid: expected 3-D images")
    centre = grid.world(np.array(grid.shape) / 2)
    axes = [f"{name}ras   = {_joined(column)}" for name, column in zip("xyz", grid.direction.T, strict=True)]
    return ["valid = 1  # volume info valid", "filename = unknown", "volume = {} {} {}".format(*grid.shape),
            f"voxelsize = {_joined(grid.spacing)}", *axes, f"cras   = {_joined(centre)}"]


def _joined(values: NDArray) -> str:
    return " ".join(f"{v:.15e}" for v in values)
