"""Time points of one body, or of the people of a trial: what ``voxalign longitudinal`` does."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import io
from ..core import Identity, Image, InputError, Transform, UsageError, compose, resample
from ..core.smoothing import smooth
from ..metrics.deformation import SMALLEST, jacobian_determinant
from ..register.midspace import MidSpace, deformations, mid_space
from ..register.result import OnStep
from .api import collected
from .checks import loaded
from .interrupt import stopping
from .output import RECORD, REPORT, check_folder, claimed
from .study import Begun, read_table, tell, write_table
from .volumes import Effect, Structure, effect, joined, structures

OUTPUTS = ("mean.nii.gz", "volumes.tsv", "changes.tsv", "transforms", "times", "maps", REPORT, RECORD)
_MAP_SIGMA = 2.0  # voxels that maps are smoothed by
_LEAST = 10.0  # percent that colours reach to at least, so that nothing looks like something
_TRIAL = ("subject", "arm", "visit", "image", "labels")


@dataclass(frozen=True)
class LongitudinalJob:
    """Time points of one body.

    Parameters
    ----------
    times : images, in the order of time.
    labels : one label map for each time point, or one for the first; none: change maps only.
    spacing : mm of the common grid; None takes that of the images.
    """

    times: tuple[Path, ...]
    out: Path
    labels: tuple[Path, ...] = ()
    spacing: float | None = None
    report: bool = True
    overwrite: bool = False

    def __post_init__(self) -> None:
        if len(self.times) < 2:
            raise UsageError(f"{len(self.times)} time point was given: expected at least two")
        if len(self.labels) not in (0, 1, len(self.times)):
            raise UsageError(f"{len(self.labels)} label maps for {len(self.times)} time points: expected one for each, or for the first")


@dataclass(frozen=True, eq=False)
class Course:
    """What became of a body over time.

    Parameters
    ----------
    space : the time points brought together.
    transforms : points of the middle -> points of each time point, mm.
    jacobians : (*grid.shape) each: volume of each time point for a volume of the middle.
    structures : by label.
    """

    space: MidSpace
    transforms: tuple[Transform, ...]
    jacobians: tuple[NDArray[np.float32], ...]
    structures: dict[int, Structure]

    def change_map(self, first: int, second: int) -> Image:
        """Percent: 100 times the logarithm of the local change of volume, smoothed; swapping the times negates it.

        Where voxels go is known to a tenth of a voxel, which from one to the next is 7 % of volume, whatever their size.
        """
        before, after = (np.log(np.maximum(self.jacobians[k], SMALLEST)) for k in (first, second))
        grid = self.space.grid
        return Image(smooth(100 * (after - before)[None], grid, _MAP_SIGMA * grid.spacing), grid)


def course(images: Sequence[Image], labels: Sequence[Image] = (), spacing: float | None = None, on_step: OnStep | None = None) -> Course:
    """Bring time points of one body to the space between them and measure what changed; none is preferred.

    Parameters
    ----------
    labels : one for each image, or one for the first.
    """
    def say(stage: str, fraction: float) -> None:
        tell(on_step, stage, fraction)

    space = mid_space(images, spacing, say)
    bent = list(deformations(space, tell=say))
    transforms = tuple(compose([one, pose]) for one, pose in zip(bent, space.poses, strict=True))
    jacobians = tuple(jacobian_determinant(one, space.grid) for one in bent)
    maps = [resample(map_, space.grid, one) for map_, one in zip(labels, transforms, strict=False)]
    return Course(space, transforms, jacobians, joined([structures(map_, jacobians) for map_ in maps]) if maps else {})


def longitudinal_files(job: LongitudinalJob, on_step: OnStep | None = None) -> dict[str, Any]:
    """Write mean, time points, change maps, transforms, ``volumes.tsv``, ``changes.tsv``, report and record; all of them or none.

    Raises
    ------
    UsageError, InputError : see `LongitudinalJob`; images that cannot be aligned.
    """
    files = {f"time_{k}": path for k, path in enumerate(job.times, 1)} | {f"labels_{k}": path for k, path in enumerate(job.labels, 1)}
    check_folder(job.out, job.overwrite, files.values(), OUTPUTS)
    with collected() as messages, claimed(job.out) as claim, stopping(claim.release):
        begun = Begun.with_files(files)
        images = loaded(job.times)
        found = course(images, [io.load(path, is_label=True) for path in job.labels], job.spacing, on_step)
        changes = _changes(found)
        _written(found, changes, claim.staging)
        if job.report:
            _paged(found, changes, claim.staging)
        record = begun.record({"spacing": job.spacing}, [], messages)
        io.write_json(claim.staging / RECORD, record)
        claim.publish()
    return {"out": str(job.out), "changes": changes, "run": record}


def trial_files(table: Path, out: Path, overwrite: bool = False, on_step: OnStep | None = None) -> dict[str, Any]:
    """Everyone of a trial over time, each in ``out/SUBJECT``, and ``effects.tsv``: what one arm does that another does not, by region.

    A subject that is done already (its ``run.json`` is there) is not done again unless ``overwrite``.

    Parameters
    ----------
    table : columns subject, arm, visit, image, labels (paths relative to the table); visits in the order they appear in.

    Raises
    ------
    InputError : columns missing, a subject in two arms or without its first visit.
    """
    rows = read_table(table, _TRIAL)
    visits = list(dict.fromkeys(row["visit"] for row in rows))
    people = {name: [row for row in rows if row["subject"] == name] for name in dict.fromkeys(row["subject"] for row in rows)}
    arms = {name: _arm(name, own, visits) for name, own in people.items()}
    out.mkdir(parents=True, exist_ok=True)
    measured: dict[str, dict[tuple[str, int], float]] = {}
    for number, (name, own) in enumerate(people.items()):
        tell(on_step, name, number / len(people))
        own = sorted(own, key=lambda row: visits.index(row["visit"]))
        if overwrite or not (out / name / RECORD).exists():
            paths = [tuple(table.parent / row[kind] for row in own) for kind in ("image", "labels")]
            longitudinal_files(LongitudinalJob(paths[0], out / name, paths[1], overwrite=overwrite))
        measured[name] = _since_first(out / name / "changes.tsv", [row["visit"] for row in own])
    effects = _effects(measured, arms)
    write_table(out / "effects.tsv", ("label", "visit", "arm", "other", "n_arm", "n_other", "mean_arm_percent", "mean_other_percent",
                                      "difference_percent", "low", "high", "p"), effects)
    return {"out": str(out), "subjects": len(people), "effects": str(out / "effects.tsv")}


# -------------------------------------------------------------------- inside
def _changes(found: Course) -> list[dict[str, Any]]:
    """Every label between every two times, first to later."""
    times = range(len(found.transforms))
    return [{"label": label, "from": i + 1, "to": j + 1, "from_ml": float(one.volumes[i]), "to_ml": float(one.volumes[j]),
             **{f"{key}_percent" if key == "value" else key: value for key, value in asdict(one.change(i, j)).items()}}
            for label, one in found.structures.items() for i, j in combinations(times, 2)]


def _written(found: Course, changes: list[dict[str, Any]], folder: Path) -> None:
    for name in ("transforms", "times", "maps"):
        (folder / name).mkdir()
    io.save(found.space.mean, folder / "mean.nii.gz")
    for number, (transform, image) in enumerate(zip(found.transforms, found.space.images, strict=True), 1):
        io.save_transform(transform, folder / "transforms" / f"{number}.h5")
        io.save(image, folder / "times" / f"{number}.nii.gz")
        if number > 1:
            io.save(found.change_map(0, number - 1), folder / "maps" / f"change-1-{number}.nii.gz")
    write_table(folder / "volumes.tsv", ("label", "time", "ml"),
                ((label, k + 1, float(ml)) for label, one in found.structures.items() for k, ml in enumerate(one.volumes)))
    columns = ("label", "from", "to", "from_ml", "to_ml", "value_percent", "low", "high")
    write_table(folder / "changes.tsv", columns, ([row[name] for name in columns] for row in changes))


def _paged(found: Course, changes: list[dict[str, Any]], folder: Path) -> None:
    from ..report.draw import jpeg
    from ..report.page import Section, note, render, strip, table
    from ..report.plots import changes as drawn
    from ..report.scene import Scene

    mean, last = found.space.mean, len(found.transforms)
    figure = drawn(Scene(mean, mean, Identity(mean.dim)), found.change_map(0, last - 1), "percent; orange grew, purple shrank", _LEAST)
    shown = strip(jpeg(figure), "Local change of volume over the outlines of the mean", f"Change of volume from time 1 to time {last}.")
    rows = [(row["label"], f"{row['from']} to {row['to']}", row["from_ml"], row["to_ml"], row["value_percent"],
             f"{row['low']:.2f} to {row['high']:.2f}" if row["low"] == row["low"] else "-") for row in changes]
    body = table(("label", "times", "before, ml", "after, ml", "change, %", "95 % interval"), rows)
    grid = found.space.grid
    remark = note(f"Measured in the space between {len(found.transforms)} time points, {grid!r}. Percent of the mean of both volumes.")
    sections = [Section("Where", shown), Section("Volumes", body, remark)]
    io.write_text(folder / REPORT, render("Change over time", sections, f"{len(found.transforms)} time points"))


def _arm(name: str, rows: list[dict[str, str]], visits: list[str]) -> str:
    arms = {row["arm"] for row in rows}
    own = [row["visit"] for row in rows]
    if len(arms) > 1 or visits[0] not in own or len(own) < 2 or len(set(own)) < len(own):
        raise InputError(f"subject {name}: arms {sorted(arms)}, visits {own}; expected one arm, visit {visits[0]} and another, each once")
    if Path(name).name != name or name.startswith("."):
        raise InputError(f"subject {name!r}: expected a name that can be that of a folder")
    return arms.pop()


def _since_first(path: Path, visits: Sequence[str]) -> dict[tuple[str, int], float]:
    """(label, visit) -> percent since the first visit."""
    rows = read_table(path, ("label", "from", "to", "value_percent"))
    return {(row["label"], visits[int(row["to"]) - 1]): float(row["value_percent"]) for row in rows if row["from"] == "1"}


def _effects(measured: dict[str, dict[tuple[str, int], float]], arms: dict[str, str]) -> list[list[Any]]:
    """A row for each label, visit and pair of arms."""
    rows = []
    for label, visit in dict.fromkeys(key for values in measured.values() for key in values):
        by_arm = {arm: [values[label, visit] for name, values in measured.items() if arms[name] == arm and (label, visit) in values]
                  for arm in sorted(set(arms.values()))}
        for arm, other in combinations([arm for arm, values in by_arm.items() if values], 2):
            found: Effect = effect(by_arm[arm], by_arm[other])
            rows.append([label, visit, arm, other, *found.counts, *found.means, found.difference.value, found.difference.low,
                         found.difference.high, found.p])
    return rows
