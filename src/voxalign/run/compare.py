"""Several ways of registering tried on the same pairs, each run in a process of its own: what ``voxalign compare`` does.

What is finished stays and is not done again: a run counts as finished if its record names the same inputs and choices by content,
and the files it lists are there, unchanged.
"""
from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import io
from ..core import InputError, ResourceError, VoxalignError
from ..io.atomic import plain
from ..judge import evaluate
from ..register import Registration
from .api import Result, collected
from .config import Configuration
from .files import Inputs, Job, load
from .output import RECORD
from .ways import Case, Way, check_unique

Row = dict[str, Any]

COLUMNS = ("case", "way", "verdict", "dice", "hd95_mm", "tre_mm", "folded_percent", "sd_log_jacobian", "inverse_error_mm", "seconds",
           "cpu_seconds", "peak_memory_mb", "warnings", "error")
NUMBERS = COLUMNS[3:-2]
_ROW = "row.json"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute


@dataclass(frozen=True)
class Comparison:
    """What to compare, and where.

    Parameters
    ----------
    out : folder; runs that are finished in it are not done again.
    threads : of every run; 0 takes all cores.

    Raises
    ------
    UsageError : no cases or no ways.  InputError : a name twice.
    """

    cases: tuple[Case, ...]
    ways: tuple[Way, ...]
    out: Path
    threads: int = 0

    def __post_init__(self) -> None:
        check_unique("case", [case.name for case in self.cases])
        check_unique("way", [way.name for way in self.ways])


def compare(job: Comparison, on_row: Callable[[Row, float], None] | None = None) -> list[Row]:
    """Run every way on every case; the rows, which ``comparison.tsv`` and ``comparison.json`` hold from the first run on and a picture
    and a page at the end. A run that fails is a row too.

    Parameters
    ----------
    on_row : called with each row and the part that is done; may raise to stop.

    Raises
    ------
    InputError : the folder cannot be written.  KeyboardInterrupt : stopped; what is finished is in the table.
    """
    try:
        job.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output {job.out}: cannot be a folder ({error.strerror}); give another -o") from error
    rows: list[Row] = []
    for row in _rows(job):
        rows.append(row)
        _write_tables(job.out, rows)
        if on_row:
            on_row(row, len(rows) / (len(job.cases) * len(job.ways)))
    _write_pictures(job.out, rows)
    return rows


def summary(rows: Iterable[Row]) -> dict[str, Row]:
    """Of each way: how many cases, how many of them failed, and the mean of each number over the others."""
    ways: dict[str, list[Row]] = {}
    for row in rows:
        ways.setdefault(row["way"], []).append(row)
    return {way: {"cases": len(own), "failed": sum(map(_failed, own))} | _means(own) for way, own in ways.items()}


# -------------------------------------------------------------------- runs
def _rows(job: Comparison) -> Iterator[Row]:
    for case in job.cases:
        for way in job.ways:
            try:
                inputs = Inputs(**case.files)
                yield _judged(case, way, inputs) if way.given else _ran(case, way, inputs, job)
            except ResourceError:
                raise
            except VoxalignError as error:
                yield _row(case, way, error=_said(str(error), case))


def _ran(case: Case, way: Way, inputs: Inputs, job: Comparison) -> Row:
    """The row of a run, which is made unless it is there."""
    assert way.configuration is not None
    folder, configuration = job.out / case.name / way.name, replace(way.configuration, threads=job.threads)
    return _finished(folder, inputs, configuration) or _made(case, way, folder, configuration)


def _made(case: Case, way: Way, folder: Path, configuration: Configuration) -> Row:
    """Register in a process of its own; the scores, and what they cost."""
    folder.mkdir(parents=True, exist_ok=True)
    choices = folder / "choices.json"
    io.write_json(choices, {key: value for key, value in configuration.as_dict().items() if value is not None})
    files = [word for name, path in case.files.items() for word in (f"--{name.replace('_', '-')}", str(path.absolute()))]
    before, start = os.times(), time.perf_counter()
    code, said = _process([sys.executable, "-m", "voxalign", "register", *files, "--out", str(folder.absolute()),
                           "--config", str(choices.absolute()), "--no-report", "--overwrite"])
    seconds, after = time.perf_counter() - start, os.times()
    if code not in (0, 4):
        return _row(case, way, seconds=seconds, error=_said(said, case))
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    row = _row(case, way, **_scores(json.loads((folder / "metrics.json").read_text(encoding="utf-8"))), seconds=seconds,
               cpu_seconds=sum(after[2:4]) - sum(before[2:4]) or None, peak_memory_mb=record["peak_memory_mb"],
               warnings=_joined(record["warnings"], case))
    io.write_json(folder / _ROW, row)
    return row


def _process(command: Sequence[str]) -> tuple[int, str]:
    """Run it to its end, and end it when this process is stopped; exit code, and the last line it said."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        said = process.communicate()[1].strip()
        return process.returncode, said.rpartition("\n")[2].removeprefix("voxalign: error: ") or f"ended with {process.returncode}"
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _judged(case: Case, way: Way, inputs: Inputs) -> Row:
    """The row of a transform that is there: scores without a cost."""
    path = Path(str(way.given).replace("{case}", case.name))
    with collected() as messages:
        loaded = load(Job(inputs, path.parent))
        pair = loaded.pair
        registration = Registration(io.load_transform(path, pair.fixed.dim), pair.fixed.grid, pair.moving.grid)
        scores = evaluate(registration, pair.fixed, loaded.labels, loaded.points)
        verdict = Result(registration, pair.fixed, pair.moving, Configuration(), masked=pair.masked).verdict
    return _row(case, way, **_scores(scores | {"verdict": {"status": verdict.status}}), warnings=_joined(messages, case))


def _finished(folder: Path, inputs: Inputs, configuration: Configuration) -> Row | None:
    """The row of a run that is whole and answers the same question; None if there is none."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        row = json.loads((folder / _ROW).read_text(encoding="utf-8"))
        same = record["configuration"] == plain(configuration.as_dict()) and record["inputs"].keys() >= inputs.given().keys()
        same = same and all(record["inputs"][name]["sha256"] == io.sha256(path) for name, path in inputs.given().items())
        return row if same and all(io.sha256(folder / name) == digest for name, digest in record["outputs"].items()) else None
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return None


# -------------------------------------------------------------------- rows
def _row(case: Case, way: Way, **values: Any) -> Row:
    return dict.fromkeys(COLUMNS) | {"case": case.name, "way": way.name} | values


def _scores(metrics: dict[str, Any]) -> Row:
    flat = {**metrics, **(metrics.get("after") or {})}
    return {"verdict": (metrics.get("verdict") or {}).get("status")} | {name: flat[name] for name in NUMBERS if name in flat}


def _said(message: str, case: Case) -> str:
    """An error without the folders of the inputs."""
    for path in case.files.values():
        message = message.replace(str(path.absolute()), path.name).replace(str(path), path.name)
    return message


def _joined(warnings: Iterable[str], case: Case) -> str | None:
    return "; ".join(_said(message, case) for message in warnings) or None


def _failed(row: Row) -> bool:
    return bool(row["error"]) or row["verdict"] == "FAIL"


def _means(rows: Sequence[Row]) -> Row:
    found = {name: [row[name] for row in rows if isinstance(row[name], int | float) and math.isfinite(row[name])] for name in NUMBERS}
    return {name: statistics.fmean(values) for name, values in found.items() if values}


# -------------------------------------------------------------------- files
def _write_tables(out: Path, rows: Sequence[Row]) -> None:
    lines = ["\t".join(COLUMNS), *("\t".join(_cell(row[name]) for name in COLUMNS) for row in rows)]
    io.write_text(out / "comparison.tsv", "\n".join(lines) + "\n")
    io.write_json(out / "comparison.json", {"rows": rows, "summary": summary(rows)})


def _cell(value: Any) -> str:
    if value is None or isinstance(value, float):
        return "" if value is None else f"{value:.6g}"
    text = " ".join(str(value).split())
    return f"'{text}" if text.startswith(_FORMULA) else text


def _write_pictures(out: Path, rows: Sequence[Row]) -> None:
    from ..report.comparison import comparison_page, comparison_png

    picture = comparison_png(rows, NUMBERS)
    io.write_bytes(out / "comparison.png", [picture])
    io.write_text(out / "comparison.html", comparison_page(rows, summary(rows), COLUMNS, picture))
