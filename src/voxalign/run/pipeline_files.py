"""A pipeline from files to files: what ``voxalign run`` does."""
from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import __version__, io
from ..core import Image, InputError, Points, Transform
from ..register.result import OnStep
from .api import collected
from .checks import warn
from .choose import Choose
from .files import check_unchanged
from .interrupt import stopping
from .operations import Picture
from .output import RECORD, check_folder, claimed
from .pipeline import Finished, Pipeline, as_kind
from .record import Source, peak_memory_mb, versions, without_folders
from .stage import Value

PIPELINE, SCORES = "pipeline.yaml", "scores.json"
_SUFFIX = {"image": ".nii.gz", "points": ".csv", "transform": ".h5", "picture": ".png"}


@dataclass(frozen=True)
class PipelineJob:
    """A pipeline, the files it is given, and where its results go.

    Parameters
    ----------
    inputs : file by the name of the input.
    keep : whether the values between are written too.
    choose : which ``frame`` and ``channel`` of images that hold several.
    """

    pipeline: Pipeline
    inputs: Mapping[str, Path]
    out: Path
    keep: bool = False
    choose: Choose = field(default_factory=Choose)
    overwrite: bool = False

    def names(self) -> list[str]:
        """Of the files that it writes."""
        wanted = [stage for stage in self.pipeline.steps if self.keep or stage.name in self.pipeline.results]
        return [stage.name + _SUFFIX[stage.makes] for stage in wanted if stage.makes in _SUFFIX] + [PIPELINE, SCORES, RECORD]


def run_pipeline(job: PipelineJob, on_step: OnStep | None = None) -> dict[str, Any]:
    """Run the pipeline and write its results, ``scores.json``, the pipeline itself and ``run.json``: all of them or none.

    Returns
    -------
    ``out``, ``scores`` by step, ``failed`` (steps whose verdict is FAIL), ``files``, ``notes``, ``warnings`` and ``seconds``.

    Raises
    ------
    UsageError, InputError, ResourceError, SecurityError : see the package's table of exit codes.
    KeyboardInterrupt : stopped by SIGINT or SIGTERM; nothing is left behind.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    job.pipeline.check_inputs(job.inputs)
    check_folder(job.out, job.overwrite, job.inputs.values(), job.names())
    with collected() as messages, claimed(job.out) as claim, stopping(claim.release):
        values, sources = _load(job)
        finished = job.pipeline.run(values, job.keep, on_step)
        hashes = _write(job.pipeline, finished, claim.staging)
        check_unchanged(sources)
        said = [without_folders(message, sources) for message in messages]
        io.write_json(claim.staging / RECORD, _record(finished, sources, hashes, said) | {"started": started})
        claim.publish()
    return {"out": str(job.out), "scores": finished.scores, "failed": list(finished.failed), "files": sorted(hashes),
            "notes": list(finished.notes), "warnings": said, "seconds": finished.seconds}


def _load(job: PipelineJob) -> tuple[dict[str, Value], dict[str, Source]]:
    """All inputs, read at the same time, and their hashes."""
    for name, path in job.inputs.items():
        if not Path(path).exists():
            raise InputError(f"{name} {path}: no such file")
    with ThreadPoolExecutor() as pool:
        hashes = {name: pool.submit(io.sha256, path) for name, path in job.inputs.items()}
        values = {name: pool.submit(_read, job, name, path) for name, path in job.inputs.items()}
        loaded = {name: future.result() for name, future in values.items()}
        sources = {name: Source(path, hashes[name].result()) for name, path in job.inputs.items()}
    _notice_same({name: source for name, source in sources.items() if job.pipeline.kind(name) == "image"})
    return loaded, sources


def _notice_same(sources: Mapping[str, Source]) -> None:
    first: dict[str, str] = {}
    for name, source in sources.items():
        if (other := first.setdefault(source.sha256, name)) != name:
            warn(f"{other} and {name} are the same file, {source.path.name}")


def _read(job: PipelineJob, name: str, path: Path) -> Value:
    kind = job.pipeline.kind(name)
    return as_kind(job.choose.load(path) if kind == "image" else path, kind, f"{name} {path}")


def _write(pipeline: Pipeline, finished: Finished, folder: Path) -> dict[str, str]:
    """Write everything but the record, at the same time; sha256 by file name."""
    import yaml

    text = yaml.safe_dump(pipeline.as_dict(), sort_keys=False, allow_unicode=True, width=120)
    tasks: list[tuple[Callable[..., Any], str, Any]] = [(_text, PIPELINE, text), (_json, SCORES, finished.scores)]
    for name, value in finished.values.items():
        for kind, save, suffix in _WRITERS:
            if isinstance(value, kind):
                tasks.append((save, name + suffix, value))
    with ThreadPoolExecutor() as pool:
        return {name: digest for name, digest in pool.map(lambda task: _hashed(folder, *task), tasks)}


def _hashed(folder: Path, save: Callable[[Any, Path], Any], name: str, value: Any) -> tuple[str, str]:
    save(value, folder / name)
    return name, io.sha256(folder / name)


def _text(value: str, path: Path) -> None:
    io.write_text(path, value)


def _json(value: Any, path: Path) -> None:
    io.write_json(path, value)


def _png(value: Picture, path: Path) -> None:
    io.write_bytes(path, [value.png])


_WRITERS = ((Image, io.save, _SUFFIX["image"]), (Points, io.save_points, _SUFFIX["points"]),
            (Transform, io.save_transform, _SUFFIX["transform"]), (Picture, _png, _SUFFIX["picture"]))


def _record(finished: Finished, sources: Mapping[str, Source], hashes: Mapping[str, str], said: list[str]) -> dict[str, Any]:
    return {"voxalign": __version__, "python": platform.python_version(), "platform": platform.platform(), "packages": versions(),
            "inputs": {name: {"name": source.path.name, "sha256": source.sha256} for name, source in sources.items()},
            "outputs": hashes, "seconds": finished.seconds | {"total": round(sum(finished.seconds.values()), 3)},
            "peak_memory_mb": peak_memory_mb(), "failed": list(finished.failed), "notes": list(finished.notes), "warnings": said}
