"""What is compared: ways of registering, and cases to try them on; from text, YAML and tables."""
from __future__ import annotations

import csv
import re
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from io import StringIO
from pathlib import Path
from typing import Any

from ..core import InputError, SecurityError, UsageError
from .config import Configuration, configure, read
from .files import Inputs
from .methods import METHODS

_GIVEN = "given"  # key of a way: a transform file instead of a configuration
_FILES = tuple(f.name for f in fields(Inputs))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+=, -]{0,99}")


@dataclass(frozen=True)
class Way:
    """One way of registering.

    Parameters
    ----------
    name : in the table, and of folders.
    configuration : what to run; None if ``given``.
    given : path of a transform that another program found; ``{case}`` stands for the name of the case.
    """

    name: str
    configuration: Configuration | None = None
    given: str | None = None

    @classmethod
    def of(cls, name: str, values: Mapping[str, Any]) -> Way:
        """From keys of the configuration, or from ``given`` alone.

        Raises
        ------
        UsageError : unknown keys or values, or ``given`` with others.
        """
        check_name(name, "way")
        if _GIVEN not in values:
            return cls(name, configure(values))
        if len(values) > 1:
            raise UsageError(f"way {name}: a given transform is taken as it is, expected no other keys")
        return cls(name, given=str(values[_GIVEN]))

    @classmethod
    def parse(cls, text: str) -> Way:
        """``"NAME KEY=VALUE ..."``, or the name of a preset or method alone; errors as of `of`."""
        name, *pairs = shlex.split(text) or [""]
        if not name or any("=" not in pair for pair in pairs):
            raise UsageError(f"--way {text!r}: expected a name and settings, such as 'stiff smoothness=2 loss=mi'")
        return cls.of(name, dict(pair.split("=", 1) for pair in pairs) or _alone(name))


@dataclass(frozen=True)
class Case:
    """A pair of images by name, with what belongs to it (files by the names of `Inputs`)."""

    name: str
    files: Mapping[str, Path]

    def __post_init__(self) -> None:
        check_name(self.name, "case")


def read_ways(path: Path) -> tuple[Way, ...]:
    """Ways from YAML: a name, and under it keys of the configuration or ``given: FILE``; nothing takes the preset or method of that name.

    Raises
    ------
    UsageError, InputError, SecurityError : as of `config.read` and `Way`.
    """
    content = read(path)
    for name, values in content.items():
        if not isinstance(values or {}, Mapping):
            raise UsageError(f"{path}: {name} is {values!r}, expected lines such as 'loss: mi' under the name of a way")
    return tuple(Way.of(str(name), values or _alone(str(name))) for name, values in content.items())


def read_cases(path: Path) -> tuple[Case, ...]:
    """Cases from a table (commas, semicolons or tabs) with columns ``fixed``, ``moving``, ``fixed_labels``, ... and, if wanted, ``case``.

    Files are named relative to the table, and lie in its folder or below.

    Raises
    ------
    InputError : no such table, unknown or missing columns, no rows.  SecurityError : a file outside the folder.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read the table of cases ({error})") from error
    rows = csv.DictReader(StringIO(text), delimiter=max("\t;,", key=text.partition("\n")[0].count))
    columns = [name.strip() for name in rows.fieldnames or []]
    if not {"fixed", "moving"} <= set(columns) <= {"case", *_FILES}:
        known = ", ".join(("case", *_FILES[2:]))
        raise InputError(f"{path}: columns {', '.join(columns) or 'none'}; expected fixed, moving, and any of {known}")
    cases = tuple(_case(path, number, dict(zip(columns, row.values(), strict=False))) for number, row in enumerate(rows, 1))
    if not cases:
        raise InputError(f"{path}: holds no rows, expected one for each case")
    return cases


def _alone(name: str) -> dict[str, str]:
    """What a name without settings stands for."""
    return {"method" if name in METHODS else "preset": name}


def check_unique(kind: str, names: list[str]) -> None:
    """Refuse a name that comes twice (InputError), and having none (UsageError)."""
    if not names:
        raise UsageError(f"nothing to compare: expected at least one {kind}")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise InputError(f"{kind} {name!r} is there twice, expected another name for each")


def check_name(name: str, kind: str) -> None:
    """Refuse what cannot be the name of a folder (UsageError)."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{kind} {name!r}: expected letters, digits, and any of _ . + = , - after the first (it becomes a folder)")


def _case(table: Path, number: int, row: Mapping[str, str | None]) -> Case:
    given = {key: value.strip() for key, value in row.items() if value and value.strip()}
    name = given.pop("case", f"{number:03}")
    return Case(name, {key: _inside(table, value) for key, value in given.items()})


def _inside(table: Path, name: str) -> Path:
    """A file of the table's folder."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise SecurityError(f"{table}: {name!r} leads out of the table's folder; expected files in it or below")
    return table.parent / name
