"""A template of many images, round by round, and each image's way to it: what ``voxalign template`` does."""
from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import io
from ..core import Identity, Image, UsageError, resample
from ..metrics.deformation import SMALLEST, jacobian_determinant
from ..register import Settings
from ..register.result import OnStep
from ..register.template import Round, first_round, next_round, sharpness
from ..transforms import Affine
from .api import collected
from .checks import loaded
from .interrupt import stopping
from .output import RECORD, REPORT, check_folder, claimed
from .study import Begun, tell, write_table

OUTPUTS = ("template.nii.gz", "rounds.tsv", "transforms", "moved", "jacobians", REPORT, RECORD)
ROUNDS = "rounds"  # folder that an interrupted run continues from


@dataclass(frozen=True)
class TemplateJob:
    """Images of many, to be brought together.

    Parameters
    ----------
    rounds : deformable ones, after one that is affine.
    spacing : mm of the template; None takes the median of the images.
    jobs : images at a time; the result does not depend on it.
    """

    images: tuple[Path, ...]
    out: Path
    rounds: int = 4
    spacing: float | None = None
    jobs: int = 1
    settings: Settings = field(default_factory=Settings)
    overwrite: bool = False

    def __post_init__(self) -> None:
        if len(self.images) < 2:
            raise UsageError(f"{len(self.images)} image was given: expected at least two")
        if self.rounds < 0 or self.jobs < 1:
            raise UsageError(f"{self.rounds} rounds, {self.jobs} jobs: expected at least 0 and 1")


def template_files(job: TemplateJob, on_step: OnStep | None = None) -> dict[str, Any]:
    """Make the template and write it with every image's transform, moved image and map of volume change.

    What each round found is kept in ``rounds/`` of the folder: the same command continues from the last one.

    Raises
    ------
    UsageError, InputError : images that cannot be brought together.
    """
    files = {f"image_{k:04d}": path for k, path in enumerate(job.images, 1)}
    check_folder(job.out, job.overwrite, files.values(), OUTPUTS)
    with collected() as messages, claimed(job.out) as claim, stopping(claim.release):
        begun = Begun.with_files(files)
        images = loaded(job.images)
        last, sharp = _rounds(images, job, _key(begun, job), on_step)
        _written(images, last, sharp, claim.staging)
        record = begun.record(_choices(job), [], messages)
        io.write_json(claim.staging / RECORD, record)
        claim.publish()
    return {"out": str(job.out), "images": len(images), "grid": repr(last.mean.grid), "sharpness": sharp, "run": record}


# -------------------------------------------------------------------- rounds
def _rounds(images: Sequence[Image], job: TemplateJob, key: str, on_step: OnStep | None) -> tuple[Round, list[float]]:
    """All rounds, those that an earlier run kept included; the sharpness of each."""
    kept = job.out / ROUNDS
    state, sharp = None, []
    for number in range(job.rounds + 1):
        folder = kept / f"{number:02d}"
        found = _load_round(folder, key, len(images))
        if found is None:
            def say(done: int, number: int = number) -> None:
                tell(on_step, f"round {number}", (number + done / len(images)) / (job.rounds + 1))

            found = (first_round(images, job.spacing, job.jobs, say) if state is None else
                     next_round(state, images, job.settings, job.jobs, say))
            _keep_round(found, folder, key)
        state = found
        sharp.append(state.sharpness)
    return state, sharp


def _keep_round(found: Round, folder: Path, key: str) -> None:
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    io.save(found.mean, partial / "template.nii.gz")
    for number, transform in enumerate(found.transforms, 1):
        io.save_transform(transform, partial / f"{number:04d}.h5")
    io.write_json(partial / "round.json", {"key": key, "affines": [[a.matrix, a.centre] for a in found.affines]})
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


def _load_round(folder: Path, key: str, count: int) -> Round | None:
    """A round kept by an earlier run of the same command; None if there is none."""
    if not (folder / "round.json").exists():
        return None
    content = json.loads((folder / "round.json").read_text())
    if content["key"] != key:
        return None
    mean = io.load(folder / "template.nii.gz")
    affines = tuple(Affine(np.array(matrix), np.array(centre)) for matrix, centre in content["affines"])
    transforms = tuple(io.load_transform(folder / f"{number:04d}.h5") for number in range(1, count + 1))
    return Round(mean, affines, transforms, sharpness(mean))


def _key(begun: Begun, job: TemplateJob) -> str:
    """What a kept round must have been made of; the number of rounds and jobs do not matter."""
    return json.dumps([[source.sha256 for source in begun.sources.values()], job.spacing, asdict(job.settings)])


# -------------------------------------------------------------------- results
def _written(images: Sequence[Image], last: Round, sharp: list[float], folder: Path) -> None:
    for name in ("transforms", "moved", "jacobians"):
        (folder / name).mkdir()
    io.save(last.mean, folder / "template.nii.gz")
    for number, (image, transform) in enumerate(zip(images, last.transforms, strict=True), 1):
        io.save_transform(transform, folder / "transforms" / f"{number:04d}.h5")
        io.save(resample(image, last.mean.grid, transform), folder / "moved" / f"{number:04d}.nii.gz")
        volume = np.log(np.maximum(np.abs(jacobian_determinant(transform, last.mean.grid)), SMALLEST))
        io.save(Image(volume, last.mean.grid), folder / "jacobians" / f"{number:04d}.nii.gz")
    write_table(folder / "rounds.tsv", ("round", "kind", "sharpness_per_mm"),
                ((k, "deformable" if k else "affine", value) for k, value in enumerate(sharp)))
    io.write_text(folder / REPORT, _page(last, sharp))


def _page(last: Round, sharp: list[float]) -> str:
    from ..report.draw import jpeg
    from ..report.motion import curves
    from ..report.page import Section, facts, note, render, strip
    from ..report.plots import greys
    from ..report.scene import Scene

    scene = Scene(last.mean, last.mean, Identity(last.mean.dim))
    shown = strip(jpeg(greys(scene, scene.fixed_shades)), "Planes through the middle of the template",
                  f"The mean of {len(last.transforms)} images, each brought to the middle of their shapes.")
    drawn = strip(jpeg(curves([("sharpness, per mm", {"sharpness": sharp})], "round")), "Sharpness of the template after each round",
                    "Root of the mean squared slope in the body: it grows as long as the images agree better.")
    grid = last.mean.grid
    numbers = facts({"images": len(last.transforms), "grid": repr(grid), "rounds": len(sharp) - 1})
    sections = [Section("Template", shown), Section("Rounds", drawn), Section("Numbers", numbers, note("Round 0 is affine."))]
    return render("Template", sections)


def _choices(job: TemplateJob) -> dict[str, Any]:
    return {"rounds": job.rounds, "spacing": job.spacing, "jobs": job.jobs, "settings": asdict(job.settings)}
