"""Tables of cases: one row each, columns named as options are."""
from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..core import InputError, SecurityError
from ..core.errors import choose

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_UNKNOWN = ("", "n/a")
_MOST_BYTES = 64 << 20


def read_rows(path: Path, known: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a table with tabs, commas or semicolons, by column; cells that are empty or ``n/a`` are left out.

    Raises
    ------
    InputError : unreadable, no rows, a column twice, a row with more cells than columns.  UsageError : a column that is not ``known``.
    """
    text = _text(path)
    reader = csv.reader(io.StringIO(text), delimiter=max("\t;,", key=text.partition("\n")[0].count))
    names, *rows = [[cell.strip() for cell in row] for row in reader if any(cell.strip() for cell in row)] or [[]]
    names = [choose(name.lower().replace("-", "_"), known, f"column of {path.name}") for name in names]
    if not rows or len(set(names)) < len(names):
        raise InputError(f"{path}: expected a line of column names, each once, and a row for each case")
    long = next((number for number, row in enumerate(rows, 2) if len(row) > len(names)), None)
    if long:
        raise InputError(f"{path}: line {long} has more cells than the {len(names)} columns; expected one each")
    return [{name: cell for name, cell in zip(names, row, strict=False) if cell not in _UNKNOWN} for row in rows]


def inside(table: Path, name: str) -> Path:
    """A file that a table names, in the table's folder or below.

    Raises
    ------
    SecurityError : it leads out of there.
    """
    root, path = table.parent.resolve(), (table.parent / name).resolve()
    if not path.is_relative_to(root):
        raise SecurityError(f"{table.name}: {name!r} leads out of the table's folder; expected files in it or below")
    return path


def table_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Tab-separated values under a line of names; numbers to six digits, what is not known ``n/a``, no cell a spreadsheet would run."""
    return "\n".join(["\t".join(columns), *("\t".join(map(_cell, row)) for row in rows)]) + "\n"


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "n/a"
    if isinstance(value, int | float):
        return f"{value:.6g}"
    text = " ".join(str(value).split())
    return f"'{text}" if text.startswith(_FORMULA) else text


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if len(raw) > _MOST_BYTES:
            raise InputError(f"{path}: {len(raw) >> 20} MB, expected a table of cases")
        return raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a table ({type(error).__name__}); expected UTF-8 text") from None
