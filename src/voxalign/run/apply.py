"""Transforms from files applied to images, labels and points from files; transforms turned into others."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import io
from ..core import Grid, InputError, Points, Transform, UsageError, compose, resample
from ..io.image import read_header
from ..io.sequence import open_series, writing
from .checks import labelled
from .choose import Choose
from .output import check_file

POINT_SUFFIXES = (".csv", ".tsv", ".txt", ".pts", ".fcsv", ".json")


@dataclass(frozen=True)
class Application:
    """What to bring along which transforms.

    Parameters
    ----------
    moving : an image or label map, brought onto the grid of ``reference``; or a file of fixed points, pushed to moving space.
    transforms : in the order of ANTs (``-t 1Warp.nii.gz -t 0GenericAffine.mat``): points go through the first one first.
    interpolation : ``linear``, ``nearest``, ``cubic``, ``label``, or None to choose by the content.
    """

    moving: Path
    transforms: tuple[Path, ...]
    out: Path
    reference: Path | None = None
    interpolation: str | None = None
    choose: Choose = field(default_factory=Choose)
    overwrite: bool = False


def apply_files(job: Application) -> Path:
    """Do it, and write ``job.out``.

    Raises
    ------
    UsageError : an image without a reference grid.  InputError : files that cannot be used.
    """
    inputs = [job.moving, *job.transforms, *([job.reference] if job.reference else [])]
    check_file(job.out, job.overwrite, inputs)
    if not is_points(job.moving) and _is_series(job):
        return _apply_series(job)
    transform = chained(job.transforms)
    if is_points(job.moving):
        points = io.load_points(job.moving)
        io.save_points(Points(transform(points.coordinates), points.names), job.out)
        return job.out
    if job.reference is None:
        raise UsageError("an image needs -r, the image on whose grid the result is wanted")
    image = labelled(job.choose.load(job.moving), job.interpolation, str(job.moving))
    interpolation = None if image.is_label and job.interpolation == "label" else job.interpolation
    io.save(resample(image, io.load(job.reference).grid, transform, interpolation), job.out)
    return job.out


def _is_series(job: Application) -> bool:
    """Whether all frames of a file are meant, each with its own transforms or all with the same."""
    several = job.choose.frame is None and job.choose.channel is None and io.describe(job.moving)["frames"] > 1
    folders = [path for path in job.transforms if path.is_dir()]
    if folders and not several:
        raise InputError(f"{folders[0]}: is a folder of transforms, one a frame: expected an image with several frames and no --frame")
    return several


def _apply_series(job: Application) -> Path:
    """Bring every frame along its transforms, one at a time; a folder holds one a frame, by name in order."""
    if job.reference is None:
        raise UsageError("an image needs -r, the image on whose grid the result is wanted")
    first = job.interpolation == "label" or labelled(open_series([job.moving]).frame(0), job.interpolation, str(job.moving)).is_label
    series, grid = open_series([job.moving], first), _grid(job.reference)
    interpolation = None if first and job.interpolation == "label" else job.interpolation
    chains = [_by_frame(path, len(series)) for path in job.transforms]
    with writing(job.out, len(series), series.seconds) as append:
        for number, frame in enumerate(series):
            append(resample(frame, grid, compose([chain(number) for chain in chains]), interpolation))
    return job.out


def _grid(path: Path) -> Grid:
    """Of an image, or of the frames of a sequence."""
    return read_header(path).grid


def _by_frame(path: Path, frames: int) -> Callable[[int], Transform]:
    """Frame -> transform, of a folder with one for each or of a single file."""
    if not path.is_dir():
        transform = io.load_transform(path)
        return lambda number: transform
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    if len(files) != frames:
        raise InputError(f"{path}: holds {len(files)} transforms, expected {frames}, one for each frame")
    return lambda number: io.load_transform(files[number])


def chained(paths: Sequence[Path]) -> Transform:
    """One transform of several files in the order of ANTs: points go through the first file first."""
    return compose([io.load_transform(path) for path in paths])


def is_points(path: Path) -> bool:
    """Whether a file holds points, by its suffix."""
    return path.name.lower().endswith(POINT_SUFFIXES)


def convert(given: Path, out: Path, reference: Path | None = None, overwrite: bool = False) -> Path:
    """Write a transform in the format that ``out`` ends in; displacement fields take the grid of ``reference``."""
    check_file(out, overwrite, [given])
    return _save(io.load_transform(given), out, reference)


def join(given: Sequence[Path], out: Path, reference: Path | None = None, overwrite: bool = False) -> Path:
    """Write several transforms as one; points go through the first one first."""
    check_file(out, overwrite, given)
    return _save(chained(given), out, reference)


def invert(given: Path, out: Path, reference: Path | None = None, overwrite: bool = False) -> Path:
    """Write the inverse of a transform."""
    check_file(out, overwrite, [given])
    return _save(io.load_transform(given).inverse(), out, reference)


def _save(transform: Transform, out: Path, reference: Path | None) -> Path:
    if out.name.lower().endswith((".nii", ".nii.gz")) and reference is None:
        raise InputError(f"{out}: a displacement field needs --reference, the image whose grid it is given on")
    io.save_transform(transform, out, io.load(reference).grid if reference else None)
    return out


def transform_info(path: Path) -> dict[str, Any]:
    """What a transform file holds, in words and numbers."""
    import numpy as np

    transform = io.load_transform(path)
    parts: list[dict[str, Any]] = []
    for part in transform.parts():
        if isinstance(part, np.ndarray):
            scale = float(abs(np.linalg.det(part[:-1, :-1]))) ** (1 / transform.dim)
            parts.append({"kind": "matrix", "matrix": part.tolist(), "mean_scale": round(scale, 6)})
        else:
            length = np.linalg.norm(part.data, axis=0)
            parts.append({"kind": "displacement", "grid": repr(part.grid), "mean_mm": float(length.mean()),
                          "max_mm": float(length.max())})
    return {"file": path.name, "type": type(transform).__name__, "dimension": transform.dim,
            "direction": "fixed points to moving points, RAS mm; the first part is applied to points first", "parts": parts}
