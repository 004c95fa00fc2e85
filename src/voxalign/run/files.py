"""From files to files: what ``voxalign register`` does."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import io
from ..core import Image, InputError, Points, Transform, UsageError, compose
from ..io.h5 import stored
from ..judge import Verdict, evaluate, matched
from ..register import Guide, Settings
from ..register.result import OnStep
from ..transforms import Displacement, Velocity
from .api import Clock, Pair, Result, affordable, align, collected, prepare, start_of
from .checks import warn
from .choose import Choose
from .config import Configuration
from .explain import check_trials
from .interrupt import stopping
from .output import RECORD, REPORT, check_folder, claimed
from .page import page_of, scene_of
from .record import Source, record
from .resources import memory_available, memory_forecast

if TYPE_CHECKING:
    from ..judge.explain import Explanation
    from ..report import Scene

_LABELS = ("fixed_labels", "moving_labels")
_POINTS = ("fixed_points", "moving_points")


@dataclass(frozen=True)
class Inputs:
    """The files of one registration; labels and points come in pairs or not at all.

    Raises
    ------
    UsageError : one of a pair is missing.  InputError : a file does not exist.
    """

    fixed: Path
    moving: Path
    fixed_mask: Path | None = None
    moving_mask: Path | None = None
    fixed_labels: Path | None = None
    moving_labels: Path | None = None
    fixed_points: Path | None = None
    moving_points: Path | None = None
    rigid_regions: Path | None = None
    sliding_regions: Path | None = None

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self)):
            path = getattr(self, name)
            object.__setattr__(self, name, None if path is None else Path(path))
        for one, other in (_LABELS, _POINTS):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise UsageError(f"{_flag(one)} and {_flag(other)} go together, one was given; give both or none")
        for name, path in self.given().items():
            if not path.exists():
                raise InputError(f"{name.replace('_', ' ')} {path}: no such file")

    def given(self) -> dict[str, Path]:
        """Those that were given, by name."""
        return {f.name: path for f in fields(self) if (path := getattr(self, f.name)) is not None}


@dataclass(frozen=True)
class Job:
    """One registration from files to files.

    Parameters
    ----------
    out : folder for the results.
    choose : which ``frame`` and ``channel`` of images that hold several.
    report : whether pictures and a page are made.
    trials : how often the same question is asked to see how sure the answer is; 0: once, and the page does not say.
    overwrite : whether results that are there may be replaced.
    """

    inputs: Inputs
    out: Path
    configuration: Configuration = field(default_factory=Configuration)
    choose: Choose = field(default_factory=Choose)
    report: bool = True
    overwrite: bool = False
    trials: int = 0

    def __post_init__(self) -> None:
        if self.trials:
            check_trials(self.trials, self.configuration)
        if self.trials and not self.report:
            raise UsageError("trials are shown in the report, and none was wanted: leave out --trials or --no-report")


@dataclass(frozen=True)
class Outcome:
    """What became of a job: where the results are, their scores, and the record."""

    out: Path
    metrics: dict[str, Any]
    record: dict[str, Any]

    @property
    def failed(self) -> bool:
        """Whether the verdict is FAIL."""
        return Verdict(**self.metrics["verdict"]).failed

    def summary(self) -> dict[str, Any]:
        """For people: the scores without the long lists, the time, the place."""
        short = {name: {k: v for k, v in value.items() if not k.endswith("_by_label")} if isinstance(value, dict) else value
                 for name, value in self.metrics.items() if name != "verdict"}
        return Verdict(**self.metrics["verdict"]).summary() | {name: value for name, value in short.items() if value != {}} | {
            "note": self.record["notes"], "seconds": self.record["seconds"]["total"], "results": str(self.out)}

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"out": str(self.out), "metrics": self.metrics, "run": self.record}


@dataclass(frozen=True)
class Loaded:
    """The inputs of a job as values, and its choices as far as the memory allows them."""

    pair: Pair
    configuration: Configuration
    labels: tuple[Image, Image] | None
    points: tuple[Points, Points] | None
    regions: tuple[Image | None, Image | None]
    initial: Transform | None
    sources: dict[str, Source]


def register_files(job: Job, on_step: OnStep | None = None) -> Outcome:
    """Register the files of a job and write ``moved.nii.gz``, ``transform.h5``, ``inverse.h5``, ``metrics.json``, ``run.json``,
    pictures and ``report.html`` to its folder: all of them or none.

    Raises
    ------
    UsageError, InputError, ResourceError, SecurityError : see the package's table of exit codes.
    KeyboardInterrupt : stopped by SIGINT or SIGTERM; nothing is left behind.
    """
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), Clock()
    check_folder(job.out, job.overwrite, _paths(job))
    with collected() as messages, claimed(job.out) as claim, stopping(claim.release):
        loaded = load(job)
        clock.mark("load")
        guide = _guide(loaded, loaded.configuration.settings)
        result = _as_written(align(loaded.pair, loaded.configuration, loaded.initial, on_step, clock, guide))
        with ThreadPoolExecutor() as pool:
            hashes = _writing(pool, result, claim.staging, clock)
            scores = _scored(result, loaded, clock)
            scene = scene_of(result) if job.report else None
            hashes = _written(hashes, scores, claim.staging, scene)
        clock.mark("write")
        check_unchanged(loaded.sources)
        result = result.warned(messages)
        content = record(result, loaded.sources, hashes, started)
        if scene:
            told = result.explain(job.trials) if job.trials else None
            hashes |= {REPORT: _hashed(partial(_paged, result, scores, content, scene, told), claim.staging / REPORT)}
            clock.mark("report")
            content = record(result, loaded.sources, hashes, started)
        io.write_json(claim.staging / RECORD, content)
        claim.publish()
    return Outcome(job.out, scores, content)


def plan(job: Job) -> dict[str, Any]:
    """What `register_files` would do; inputs are read and checked, nothing is written."""
    check_folder(job.out, job.overwrite, _paths(job))
    with collected() as messages:
        loaded = load(job)
    pair = loaded.pair
    return {"out": str(job.out), "configuration": loaded.configuration.as_dict(),
            "inputs": {name: str(path) for name, path in job.inputs.given().items()},
            "fixed": repr(pair.fixed.grid), "moving": repr(pair.moving.grid),
            "memory_forecast_mb": round(memory_forecast(*pair.masked, loaded.configuration.settings, loaded.configuration.method) / 1e6),
            "memory_available_mb": round((memory_available() or 0) / 1e6), "warnings": messages}


def load(job: Job) -> Loaded:
    """Read all inputs of a job at the same time, and check them.

    Raises
    ------
    InputError : one of them cannot be used.  ResourceError : they would not fit.
    """
    given = job.inputs.given()
    with ThreadPoolExecutor() as pool:
        hashes = {name: pool.submit(io.sha256, path) for name, path in _sources(job).items()}
        read = {name: pool.submit(_READERS.get(name.partition("_")[2], job.choose.load), path) for name, path in given.items()}
        values = {name: future.result() for name, future in read.items()}
        sources = {name: Source(path, hashes[name].result()) for name, path in _sources(job).items()}
    pair = prepare((values["fixed"], values["moving"]), (values.get("fixed_mask"), values.get("moving_mask")), job.configuration,
                   (str(given["fixed"]), str(given["moving"])))
    labels, points = (tuple(values[name] for name in names) if names[0] in values else None for names in (_LABELS, _POINTS))
    _check_company(pair.fixed, labels, points)
    if sources["fixed"].sha256 == sources["moving"].sha256:
        warn(f"fixed and moving are the same file, {given['fixed'].name}")
    regions = values.get("rigid_regions"), values.get("sliding_regions")
    return Loaded(pair, affordable(pair, job.configuration), labels, points and matched(*points), regions,
                  start_of(job.configuration, pair.fixed.dim), sources)


def _guide(loaded: Loaded, settings: Settings) -> Guide | None:
    """What takes part in the deformation beside the images; None if nothing does."""
    labels, points = loaded.labels if settings.label_weight else None, loaded.points if settings.point_weight else None
    if labels is points is None and loaded.regions == (None, None):
        return None
    return Guide(labels, points, settings.label_weight, settings.point_weight, *loaded.regions)


def _as_written(result: Result) -> Result:
    """The result with its displacement as the file will hold it, so that what is resampled here is what the file gives, to the bit."""
    chain = getattr(result.transform, "transforms", [])
    parts = [Displacement(stored(t.parts()[0])) if isinstance(t, Displacement | Velocity) else t for t in chain]
    return replace(result, registration=replace(result.registration, transform=compose(parts))) if parts else result


def _writing(pool: Executor, result: Result, folder: Path, clock: Clock) -> dict[str, Future[str]]:
    """Work out what the large files hold, each under its own name in the clock; they are packed and written while the scores are found."""
    files: dict[str, Future[str]] = {}

    def begin(name: str, save: Callable[[Any, Path], None], value: Any) -> None:
        files[name] = pool.submit(_hashed, partial(save, value), folder / name)
    begin("transform.h5", io.save_transform, result.transform)
    begin("inverse.h5", io.save_transform, result.inverse)
    clock.mark("invert")
    begin("moved.nii.gz", io.save, result.moved)
    clock.mark("resample")
    return files


def _scored(result: Result, loaded: Loaded, clock: Clock) -> dict[str, Any]:
    """The scores."""
    scores = evaluate(result.registration, result.fixed, loaded.labels, loaded.points)
    scores["verdict"] = asdict(result.verdict)
    clock.mark("score")
    return scores


def _written(files: dict[str, Future[str]], scores: dict[str, Any], folder: Path, scene: Scene | None) -> dict[str, str]:
    """All results but the record and the report are in the folder, and pictures of the scene if there is one; sha256 by file name."""
    pictures = _pictures(scene, folder) if scene else {}
    metrics = _hashed(lambda path: io.write_json(path, scores), folder / "metrics.json")
    return {name: file.result() for name, file in files.items()} | {"metrics.json": metrics} | pictures


def _hashed(write: Callable[[Path], Any], path: Path) -> str:
    write(path)
    return io.sha256(path)


def _pictures(scene: Scene, folder: Path) -> dict[str, str]:
    from .. import report  # matplotlib takes a second

    return {path.name: io.sha256(path) for path in report.write_pictures(scene, folder)}


def _paged(result: Result, scores: dict[str, Any], content: dict[str, Any], scene: Scene, told: Explanation | None, path: Path) -> None:
    io.write_text(path, page_of(result, scores, content, scene, told))


def _check_company(fixed: Image, labels: tuple[Image, Image] | None, points: tuple[Points, Points] | None) -> None:
    for kind, values in (("labels", labels), ("points", points)):
        if values and any(value.dim != fixed.dim for value in values):
            raise InputError(f"{kind} are {'- and '.join(str(v.dim) for v in values)}-D, expected {fixed.dim}-D as the images")


def check_unchanged(sources: dict[str, Source]) -> None:
    """Refuse inputs that another program wrote to meanwhile (InputError)."""
    for name, source in sources.items():
        if io.sha256(source.path) != source.sha256:
            raise InputError(f"{name} {source.path}: was changed while it was in use; nothing was written, run again")


def _sources(job: Job) -> dict[str, Path]:
    start, weights = job.configuration.initial_file, job.configuration.settings.weights
    return job.inputs.given() | {name: Path(path) for name, path in (("initial", start), ("weights", weights)) if path}


def _paths(job: Job) -> Iterable[Path]:
    return _sources(job).values()


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


_READERS = {"mask": lambda path: io.load(path), "labels": lambda path: io.load(path, is_label=True),
            "regions": lambda path: io.load(path, is_label=True),
            "points": lambda path: io.load_points(path)}
