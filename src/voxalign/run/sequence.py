"""From a sequence of images to an aligned one: what ``voxalign sequence`` does."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import io
from ..core import Image, InputError, Transform, UsageError, resample
from ..core.errors import choose
from ..filters.threshold import otsu_split
from ..io.sequence import Series, open_series, plane, writing
from ..register import Settings
from ..register.device import chosen
from ..register.follow import FRAME_MODELS, Fit, suited_model
from ..register.recurrent import RecurrentTracker
from ..register.result import OnStep
from ..register.sequence import Motion, deform, follow, mean_image, settled
from .api import collected
from .checks import masked
from .interrupt import stopping
from .output import RECORD, REPORT, check_folder, claimed
from .study import Begun, tell, write_table

MODELS = ("auto", *FRAME_MODELS, "deformable")
METHODS = ("classical", "recurrent")
FIXED = ("mean", "first", "middle")
OUTPUTS = ("aligned.nii.gz", "mean.nii.gz", "motion.tsv", "motion.png", "transforms", REPORT, RECORD)
_IN_MEAN = 20  # frames, spread over the sequence, that the mean is made of: so many at most,
_MORE = 1.05  # times as much variation after alignment that is worth a remark
_MEAN_BYTES = 400e6  # and no more than take this much memory, but three


@dataclass(frozen=True)
class SequenceJob:
    """A sequence, and how it is aligned.

    Parameters
    ----------
    frames : one file with several frames, or several files.
    fixed : what frames are aligned to: ``mean`` (of frames aligned to each other: none is preferred), ``first``, ``middle``, a number
        from 0, or an image file. None is ``first`` for ``recurrent``, else ``mean``.
    model : ``auto`` (rigid; in-plane where there are few slices), one of `FRAME_MODELS`, or ``deformable``. What ``recurrent`` finds is
        deformable.
    method : ``classical``, or ``recurrent``: the network in ``settings.weights`` follows the frames, each known from it and those before.
    mask : image in the space of the fixed one; what counts.
    smooth : frames; sigma of the smoothing of motion in time, 0 for none.
    settings : of the deformable model; of a network ``weights`` and ``device``.
    """

    frames: tuple[Path, ...]
    out: Path
    fixed: str | None = None
    model: str = "auto"
    method: str = "classical"
    mask: Path | None = None
    smooth: float = 0.0
    interpolation: str | None = None
    settings: Settings = field(default_factory=lambda: Settings(loss="lncc"))
    report: bool = True
    overwrite: bool = False

    def __post_init__(self) -> None:
        choose(self.model, MODELS, "model of motion")
        recurrent = choose(self.method, METHODS, "method for sequences") == "recurrent"
        if recurrent and (self.model not in ("auto", "deformable") or self.smooth):
            raise UsageError(f"method recurrent with transform {self.model!r} and smoothing over {self.smooth:g} frames: the network "
                             "deforms, and remembers by itself; expected neither, or method classical")
        if self.fixed is None:
            object.__setattr__(self, "fixed", "first" if recurrent else "mean")
        if not 0 <= self.smooth < 1000:
            raise InputError(f"smoothing over {self.smooth} frames: expected 0 or more")

    @property
    def deforms(self) -> bool:
        """Whether frames are deformed."""
        return self.model == "deformable" or self.method == "recurrent"


@dataclass(frozen=True)
class SequenceOutcome:
    """What became of it: the folder, its motion in numbers, the record."""

    out: Path
    metrics: dict[str, Any]
    record: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"out": str(self.out), "metrics": self.metrics, "run": self.record}

    def summary(self) -> dict[str, Any]:
        """For people."""
        return self.metrics | {"note": self.record["notes"], "seconds": self.record["seconds"]["total"], "results": str(self.out)}


def sequence_files(job: SequenceJob, on_step: OnStep | None = None) -> SequenceOutcome:
    """Align all frames and write ``aligned.nii.gz``, ``mean.nii.gz``, ``motion.tsv``, ``motion.png``, ``transforms/``, ``report.html`` and
    ``run.json`` to the job's folder: all of them or none. Frames are read one at a time, two or more times.

    Raises
    ------
    InputError : files that cannot be used, no frame that could be aligned.  UsageError : unknown names.
    """
    files = {f"frames_{k}" if len(job.frames) > 1 else "frames": path for k, path in enumerate(job.frames)}
    files |= {"mask": job.mask} if job.mask else {}
    files |= {"fixed": Path(job.fixed)} if _is_file(job.fixed) else {}
    files |= {"weights": Path(job.settings.weights)} if job.method == "recurrent" and job.settings.weights else {}
    check_folder(job.out, job.overwrite, files.values(), OUTPUTS)
    with collected() as messages, claimed(job.out) as claim, stopping(claim.release):
        begun = Begun.with_files(files)
        series = _opened(job)
        model = _linear_model(series, job)
        tell(on_step, "mean", 0.02)
        fixed = fixed_image(series, job.fixed, model, job.mask)
        motion, spread = _WAYS[job.method](series, fixed, job, _Output(claim.staging, on_step))
        metrics = _metrics(motion, job, model, spread)
        write_motion(motion, claim.staging / "motion.tsv", series.seconds)
        notes = [*_notes(motion, model, job, series.flat), *_worse(*spread)]
        if job.report:
            _pictured(motion, metrics, notes, claim.staging)
        record = begun.record(_choices(job, model), notes, messages)
        io.write_json(claim.staging / RECORD, record | {"metrics": metrics})
        claim.publish()
    return SequenceOutcome(job.out, metrics, record)


def fixed_image(series: Series, fixed: str, model: str, mask: Path | None = None) -> Image:
    """What the frames are aligned to; see `SequenceJob`."""
    count = len(series)
    numbers = {"first": 0, "middle": count // 2}
    if fixed == "mean":
        image = mean_image(_spread_out(series), model)
    elif fixed in numbers or fixed.isdigit():
        image = series.frame(numbers[fixed] if fixed in numbers else int(fixed))
    elif _is_file(fixed):
        image = _as_frames(io.load(Path(fixed)), series)
    else:
        raise InputError(f"fixed {fixed!r}: no such file; expected {', '.join(FIXED)}, the number of a frame, or an image")
    return masked(image, _as_frames(io.load(mask), series) if mask else None, "mask")


def write_motion(motion: Motion, path: Path, seconds: float | None = None) -> None:
    """A row a frame: shift (mm) and rotation (degrees) at the middle of the fixed grid, framewise displacement (mm), confidence."""
    names = [f"{axis}_mm" for axis in "xyz"[: motion.transforms[0].dim]]
    names += ["rotation_degrees"] if len(names) == 2 else [f"rotation_{axis}_degrees" for axis in "xyz"]
    rows = zip(motion.parameters, motion.framewise_displacement, motion.confidence, motion.uncertain, strict=True)
    write_table(path, ["frame", "seconds", *names, "framewise_displacement_mm", "confidence", "uncertain"],
                ([k, k * seconds if seconds else None, *map(float, row), float(fd), float(sure), bool(not_aligned)]
                 for k, (row, fd, sure, not_aligned) in enumerate(rows)))


# -------------------------------------------------------------------- inside
@dataclass(frozen=True)
class _Output:
    """Where results go, and who is told how far it is."""

    folder: Path
    on_step: OnStep | None


def _linear_model(series: Series, job: SequenceJob) -> str:
    return suited_model(series.grid) if job.model in ("auto", "deformable") else job.model


def _classical(series: Series, fixed: Image, job: SequenceJob, out: _Output) -> tuple[Motion, tuple[float, float]]:
    """Linear motion of all frames first, then what deforms; written, with what voxels vary over time."""
    motion = settled(_told(follow(series, fixed, _linear_model(series, job)), len(series), out.on_step), job.smooth)
    transforms = iter(motion.transforms) if job.model != "deformable" else deform(series, fixed, motion, job.settings, job.smooth)
    return motion, _written(series, fixed, transforms, job, out)


def _recurrent(series: Series, fixed: Image, job: SequenceJob, out: _Output) -> tuple[Motion, tuple[float, float]]:
    """The same in one pass, by a network; the motion is the nearest rigid one."""
    tracker = RecurrentTracker(fixed, job.settings.weights, chosen(job.settings.device))
    fits: list[Fit] = []
    lost: list[bool] = []

    def transforms() -> Iterator[Transform]:
        for found in map(tracker, series):
            fits.append(Fit(tracker.rigid(found.transform), found.confidence))
            lost.append(found.lost)
            yield found.transform

    spread = _written(series, fixed, transforms(), job, out)
    if all(lost):
        raise InputError("no frame looks like the image they are aligned to: give another one (--fixed), a mask, or other weights")
    return Motion(tuple(fit.transform for fit in fits), np.array([fit.confidence for fit in fits]), np.array(lost)), spread


_WAYS = {"classical": _classical, "recurrent": _recurrent}


def _spread_out(series: Series) -> list[Image]:
    """The frames that the mean is made of."""
    most = int(np.clip(_MEAN_BYTES // (4 * series.grid.size), 3, _IN_MEAN))
    chosen = {round(k) for k in np.linspace(0, len(series) - 1, min(len(series), most))}
    return [frame for k, frame in zip(range(max(chosen) + 1), series, strict=False) if k in chosen]


class _Spread:
    """Mean and variance of frames as they pass (Welford 1962, doi:10.1080/00401706.1962.10490022)."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, data: NDArray[np.float32]) -> None:
        self.count += 1
        step = data - self.mean
        self.mean = self.mean + step / self.count
        self.squares = self.squares + step * (data - self.mean)

    @property
    def percent(self) -> float:
        """Root mean square, where there is a body, of the standard deviation over time, in percent of how much brighter than the darkest
        the body is. A median would see nothing of motion, which shows at edges, and those are few.
        """
        bright = self.mean > otsu_split(self.mean)
        if not bright.any():
            return float("nan")
        deviation = np.sqrt(self.squares[bright].mean() / max(self.count - 1, 1))
        return 100 * float(deviation / (self.mean[bright].mean() - self.mean.min()))


def _written(series: Series, fixed: Image, transforms: Iterator[Transform], job: SequenceJob, out: _Output) -> tuple[float, float]:
    """Write the aligned frames, their mean and the transforms; how much voxels vary over time, before and after, in percent."""
    before, after, folder = _Spread(), _Spread(), out.folder
    (folder / "transforms").mkdir()
    with writing(folder / "aligned.nii.gz", len(series), series.seconds) as append:
        for number, (frame, transform) in enumerate(zip(series, transforms, strict=True)):
            moved = resample(frame, fixed.grid, transform, job.interpolation)
            before.add((frame if frame.grid == fixed.grid else resample(frame, fixed.grid)).array)
            after.add(moved.array)
            append(moved)
            io.save_transform(transform, folder / "transforms" / f"{number:04d}.h5")
            tell(out.on_step, "write", 0.5 + 0.5 * number / len(series))
    io.save(fixed.with_data(after.mean[None]), folder / "mean.nii.gz")
    return before.percent, after.percent


def _metrics(motion: Motion, job: SequenceJob, model: str, spread: tuple[float, float]) -> dict[str, Any]:
    moved, steps = motion.parameters, motion.framewise_displacement
    dim = motion.transforms[0].dim
    model = job.method if job.method == "recurrent" else "deformable" if job.deforms else model
    return {"frames": len(steps), "model": model, "uncertain_frames": np.flatnonzero(motion.uncertain).tolist(),
            "confidence": {"median": float(np.median(motion.confidence)), "min": float(motion.confidence.min())},
            "framewise_displacement_mm": {"mean": float(steps.mean()), "max": float(steps.max())},
            "largest_shift_mm": float(np.linalg.norm(moved[:, :dim], axis=1).max()),
            "largest_rotation_degrees": float(np.linalg.norm(moved[:, dim:], axis=1).max()),
            "temporal_deviation_percent": {"before": spread[0], "after": spread[1]}}


def _notes(motion: Motion, model: str, job: SequenceJob, flat: bool) -> list[str]:
    recurrent = job.method == "recurrent"
    notes = [f"motion {model} chosen by the number of slices"] if job.model == "auto" and not recurrent else []
    notes += ["frames of one slice are deformed in their plane: as 2-D images, in mm of the plane"] if flat else []
    notes += ["frames followed by a recurrent network; the table holds the rigid motion nearest to each deformation"] if recurrent else []
    if motion.uncertain.any():
        whose = "transform of the last good frame" if recurrent else "motion of their neighbours in time"
        notes.append(f"{int(motion.uncertain.sum())} of {len(motion.uncertain)} frames do not look like the image they are aligned to "
                     f"(another contrast, an artefact): they got the {whose}; see motion.tsv")
    return notes


def _worse(before: float, after: float) -> list[str]:
    """A remark if alignment did no good."""
    text = (f"voxels vary more over time than before ({after:.3g} for {before:.3g} %): the frames moved less than can be told, their "
            "shading differs more than their place, or the method (or its weights) does not suit them; see the confidence in motion.tsv")
    return [text] if after > _MORE * before else []


def _choices(job: SequenceJob, model: str) -> dict[str, Any]:
    fixed = Path(job.fixed).name if _is_file(job.fixed) else job.fixed
    weights = job.settings.weights and Path(job.settings.weights).name
    return {"fixed": fixed, "method": job.method, "model": job.model, "linear_model": model, "smooth_frames": job.smooth,
            "interpolation": job.interpolation,
            "settings": asdict(replace(job.settings, weights=weights)) if job.deforms else None}


def _pictured(motion: Motion, metrics: dict[str, Any], notes: list[str], folder: Path) -> None:
    """``motion.png`` and the page."""
    from ..report.draw import save
    from ..report.motion import curves
    from ..report.page import Section, facts, listing, picture, render

    dim = motion.transforms[0].dim
    moved = motion.parameters.T
    turned = {"rotation": moved[-1]} if dim == 2 else {f"about {axis}": row for axis, row in zip("xyz", moved[dim:], strict=True)}
    figure = curves([("shift, mm", dict(zip("xyz", moved[:dim], strict=False))), ("rotation, degrees", turned),
                     ("framewise displacement, mm", {"framewise displacement": motion.framewise_displacement}),
                     ("confidence, 0 to 1", {"confidence": motion.confidence})], odd=np.flatnonzero(motion.uncertain))
    save(figure, folder / "motion.png")
    shown = picture((folder / "motion.png").read_bytes(), "Shift, rotation, framewise displacement and confidence of every frame",
                    "Motion of every frame against the fixed image, at its middle. Frames that could not be aligned are shaded.")
    flat = {f"{name}, {part}" if part else name: value for name, values in metrics.items()
            for part, value in (values.items() if isinstance(values, dict) else [("", values)])}
    sections = [Section("Motion", shown), Section("Numbers", facts({k.replace("_", " "): v for k, v in flat.items()}))]
    sections += [Section("Remarks", listing(notes))] if notes else []
    io.write_text(folder / REPORT, render("Aligned sequence", sections, f"{metrics['frames']} frames, {metrics['model']}"))


def _told(fits: Iterable[Fit], count: int, on_step: OnStep | None) -> Iterator[Fit]:
    for number, fit in enumerate(fits):
        tell(on_step, "follow", 0.1 + 0.4 * number / count)
        yield fit


def _opened(job: SequenceJob) -> Series:
    """The frames; those of one slice that are to be deformed as 2-D images."""
    series = open_series(job.frames)
    if len(series) < 2:
        raise InputError(f"{job.frames[0]}: holds one frame, expected several; for two images there is voxalign register")
    return replace(series, flat=True) if job.deforms and series.grid.dim == 3 and min(series.grid.shape) == 1 else series


def _as_frames(image: Image, series: Series) -> Image:
    return plane(image) if series.flat else image


def _is_file(name: str) -> bool:
    return name not in FIXED and not name.isdigit() and Path(name).exists()
