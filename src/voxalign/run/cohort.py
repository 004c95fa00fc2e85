"""``voxalign cohort``: the results of many registrations on one page, the worst first."""
from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .. import io
from ..core import InputError
from .output import RECORD, REPORT, STAGING, check_file

if TYPE_CHECKING:
    from ..report import Entry

_METRICS = "metrics.json"
_SHOWN = {"dice": "Dice", "tre_mm": "landmark error, mm"}  # where labels or landmarks were given
_UNFINISHED = "no result: interrupted, or still running"


@dataclass(frozen=True)
class Cohort:
    """Whose results to show.

    Parameters
    ----------
    folders : results of ``register`` or ``run``, or folders that hold such folders, however deep.
    out : the page that is written.
    """

    folders: Sequence[Path]
    out: Path
    title: str = "Cohort"
    overwrite: bool = False


def cohort_files(job: Cohort) -> list[Entry]:
    """Write the page of a cohort, worst first; its cases in the order they were found.

    Raises
    ------
    InputError : a folder is missing, holds no results, or the page cannot be written.
    """
    from ..report import cohort  # matplotlib takes a second

    cases = list(dict.fromkeys(case for folder in job.folders for case in _cases(folder)))
    check_file(job.out, job.overwrite, [])
    entries = [_entry(case, name, job.out) for case, name in zip(cases, _names(cases), strict=True)]
    io.write_text(job.out, cohort(job.title, entries))
    return entries


def _cases(folder: Path) -> Iterator[Path]:
    """Results in a folder: itself, or those below."""
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; expected results of voxalign register, or a folder that holds them")
    found = sorted({path.parent for name in (_METRICS, STAGING) for path in folder.rglob(name)})
    found = [case for case in found if case.name != STAGING]
    if not found:
        raise InputError(f"{folder}: holds no results; expected folders that voxalign register -o made")
    yield from found


def _names(cases: Sequence[Path]) -> list[str]:
    """What tells the folders apart."""
    whole = [case.resolve() for case in cases]
    common = Path(os.path.commonpath(whole))
    return [case.relative_to(common).as_posix() if case != common else case.name for case in whole]


def _entry(case: Path, name: str, page: Path) -> Entry:
    from ..report import Entry

    if not (case / RECORD).exists():
        return Entry(name, "ERROR", reasons=(_UNFINISHED,))
    try:
        metrics = json.loads((case / _METRICS).read_text(encoding="utf-8"))
        verdict = metrics.get("verdict") or {}
        report = _address(case / REPORT, page) if (case / REPORT).exists() else None
        reasons = tuple(verdict.get("reasons", ()))
        return Entry(name, verdict.get("status", ""), report, verdict.get("probability"), reasons, _numbers(metrics))
    except (ValueError, AttributeError) as error:
        return Entry(name, "ERROR", reasons=(f"{_METRICS} is damaged ({type(error).__name__})",))


def _address(report: Path, page: Path) -> str:
    """Of a report, seen from the page."""
    return quote(Path(os.path.relpath(report.resolve(), page.resolve().parent)).as_posix())


def _numbers(metrics: dict[str, Any]) -> dict[str, Any]:
    """What was measured, before and after, and how much is folded."""
    shown = {f"{word} {when}": metrics[when][key] for key, word in _SHOWN.items() for when in ("before", "after")
             if key in metrics.get(when, {})}
    return shown | {"folded, %": metrics.get("folded_percent")}
