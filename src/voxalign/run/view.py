"""``voxalign view``: any two images in a page with the viewer."""
from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import io
from ..core import Identity, Image, InputError, Transform
from .apply import chained
from .choose import Choose
from .output import check_file


@dataclass(frozen=True)
class View:
    """What to look at.

    Parameters
    ----------
    fixed, moving : images.
    transforms : in the order of ANTs, fixed points to moving points; none where both lie in one space.
    out : the page that is written.
    """

    fixed: Path
    moving: Path
    out: Path
    transforms: Sequence[Path] = ()
    choose: Choose = field(default_factory=Choose)
    overwrite: bool = False


def view_files(job: View) -> Path:
    """Write the page of two images; its path.

    Raises
    ------
    InputError : files that cannot be used, or images of different dimensions.
    """
    from ..report import Scene, view_page  # matplotlib takes a second

    check_file(job.out, job.overwrite, [job.fixed, job.moving, *job.transforms])
    fixed, moving = (_loaded(path, job.choose) for path in (job.fixed, job.moving))
    transform: Transform = chained(job.transforms) if job.transforms else Identity(fixed.dim)
    if not fixed.dim == moving.dim == transform.dim:
        raise InputError(f"a {fixed.dim}-D and a {moving.dim}-D image and a {transform.dim}-D transform: expected the same dimension")
    names = job.fixed.name, job.moving.name
    io.write_text(job.out, view_page(Scene(fixed, moving, transform), names, bool(job.transforms)))
    return job.out


def open_page(path: Path) -> bool:
    """Open a page in the browser; whether there was one."""
    try:
        return webbrowser.open(path.resolve().as_uri())
    except webbrowser.Error:
        return False


def _loaded(path: Path, choose: Choose) -> Image:
    image = choose.load(path)
    if image.channels != 1:
        raise InputError(f"{path}: has {image.channels} channels, expected one; choose one with --channel")
    return image
