"""What the commands for many images share: their record, their tables, their progress."""
from __future__ import annotations

import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import __version__, io
from ..core import InputError, kernels
from ..register.result import OnStep, Step
from .record import Source, peak_memory_mb, versions, without_folders


@dataclass(frozen=True)
class Begun:
    """A run that has begun: when, and with which files."""

    sources: dict[str, Source]
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    clock: float = field(default_factory=time.perf_counter)

    @classmethod
    def with_files(cls, files: Mapping[str, Path]) -> Begun:
        """Files by what they are, hashed."""
        return cls({name: Source(path, io.sha256(path)) for name, path in files.items()})

    def record(self, choices: Mapping[str, Any], notes: Iterable[str], messages: Iterable[str]) -> dict[str, Any]:
        """The content of ``run.json``."""
        return {
            "voxalign": __version__, "python": platform.python_version(), "platform": platform.platform(), "packages": versions(),
            "configuration": dict(choices),
            "inputs": {name: {"name": source.path.name, "sha256": source.sha256} for name, source in self.sources.items()},
            "threads": kernels.get_threads(), "started": self.started,
            "seconds": {"total": round(time.perf_counter() - self.clock, 3)}, "peak_memory_mb": peak_memory_mb(),
            "notes": list(notes), "warnings": [without_folders(message, self.sources) for message in messages]}


def tell(on_step: OnStep | None, stage: str, fraction: float) -> None:
    """Say how far a stage of several images is."""
    if on_step:
        on_step(Step(stage, 0, 0, 0.0, min(fraction, 1.0), 0.0))


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Tab-separated values with a line of names, as BIDS has them; numbers to six digits, what is not known ``n/a``."""
    lines = ["\t".join(columns), *("\t".join(map(_cell, row)) for row in rows)]
    io.write_text(path, "\n".join(lines) + "\n")


def read_table(path: Path, needed: Sequence[str] = ()) -> list[dict[str, str]]:
    """Rows of a ``.tsv`` or ``.csv`` file with a line of names, in order.

    Raises
    ------
    InputError : unreadable, without rows, a column missing, a row of another length.
    """
    try:
        lines = [line for line in Path(path).read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read the table ({error})") from error
    tab = "\t" if lines and "\t" in lines[0] else ","
    names, *rows = [[cell.strip() for cell in line.split(tab)] for line in lines] or [[]]
    missing = [name for name in needed if name not in names]
    if missing:
        raise InputError(f"{path}: has no column {', '.join(missing)}: expected a first line with {' '.join(needed)}")
    if not rows or any(len(row) != len(names) for row in rows):
        raise InputError(f"{path}: expected rows of {len(names)} cells under {', '.join(names)}, as tab- or comma-separated values")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "n/a"
    return f"{value:.6g}" if isinstance(value, float) else str(int(value)) if isinstance(value, bool) else str(value)
