"""What ``voxalign evaluate`` does: transforms from files judged by images, labels and landmarks from files, one case or a table."""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import io
from ..core import Identity, Image, InputError, Points, Transform, UsageError, VoxalignError
from ..judge.evaluate import Evidence, assess, matched
from .api import collected
from .apply import chained
from .cases import inside, read_rows, table_text
from .checks import check_image, masked
from .choose import Choose
from .interrupt import stopping
from .output import RECORD, check_folder, claimed
from .record import versions

FILES = ("fixed", "moving", "fixed_mask", "fixed_labels", "moving_labels", "fixed_points", "moving_points")
CHAINS = ("transform", "inverse")  # several files, in the order of ANTs
COLUMNS = ("case", *FILES, *CHAINS)
OUTPUTS = ("scores.tsv", "scores.json", "evaluation.png", "evaluation.html", "clinical.html", RECORD)
SCORES = ("case", "quantity", "region", "before", "after")

_PAIRS = (("fixed", "moving"), ("fixed_labels", "moving_labels"), ("fixed_points", "moving_points"))
_BY = re.compile(r"_by_(label|region)$")


@dataclass(frozen=True)
class Case:
    """The files of one case; images, labels and points come in pairs or not at all.

    Parameters
    ----------
    files : by the names of `FILES`.
    transforms : fixed points -> moving points; points go through the first one first. None: the headers.
    back : the way home, moving points -> fixed points: an inverse, or a chain through other images.

    Raises
    ------
    UsageError : one of a pair is missing, or there is nothing to judge by.
    """

    name: str
    files: Mapping[str, Path]
    transforms: tuple[Path, ...] = ()
    back: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for pair in _PAIRS:
            missing = [name for name in pair if name not in self.files]
            if len(missing) == 1:
                raise UsageError(f"{' and '.join(pair)} go together, {missing[0]} is missing; give both or none".replace("_", " "))
        if not any(pair[0] in self.files for pair in _PAIRS):
            raise UsageError("nothing to judge by: expected images, labels or points, each fixed and moving")

    def paths(self) -> dict[str, Path]:
        """All files by what they are."""
        chains = {f"{name} {k}": path for name, chain in zip(CHAINS, (self.transforms, self.back), strict=True)
                  for k, path in enumerate(chain, 1)}
        return dict(self.files) | chains


@dataclass(frozen=True)
class Scored:
    """A case and what became of it.

    Parameters
    ----------
    scores : see `judge.evaluate.assess`; empty where there is an ``error``.
    warnings : what was odd about its inputs.
    """

    name: str
    scores: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate, and where results go.

    Parameters
    ----------
    names : of labels, by number.
    out : folder for the tables, the page and the record; None writes nothing.
    request : of a clinical page, see `clinical.REQUEST`; None makes none.
    """

    cases: tuple[Case, ...]
    names: Mapping[int, str] = field(default_factory=dict)
    choose: Choose = field(default_factory=Choose)
    out: Path | None = None
    overwrite: bool = False
    request: Mapping[str, str] | None = None


def evaluate_files(job: Evaluation, on_case: Callable[[Scored], None] | None = None) -> list[Scored]:
    """Score every case; of several, one that fails does not keep the others from being scored.

    Raises
    ------
    VoxalignError : of a single case, whatever is wrong with it; of an output folder that cannot be written.
    """
    if job.out is None:
        return _all(job, on_case)
    check_folder(job.out, job.overwrite, [path for case in job.cases for path in case.paths().values()], OUTPUTS)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with claimed(job.out) as claim, stopping(claim.release):
        done = _all(job, on_case)
        _write(job, done, claim.staging)
        if job.request is not None:
            io.write_text(claim.staging / "clinical.html", _clinical(job, done[0]))
        io.write_json(claim.staging / RECORD, _record(job, started))
        claim.publish()
    return done


def rows(done: list[Scored], names: Mapping[int, str]) -> list[tuple[Any, ...]]:
    """The scores as a long table, see `SCORES`: ``region`` is a label or a group of landmarks, empty for all together."""
    return [(case.name, *row) for case in done for row in _rows(case.scores, names)]


def read_table(path: Path) -> tuple[Case, ...]:
    """The cases of a table; see `cases.read_rows`. A cell with several transforms has blanks between them.

    Raises
    ------
    InputError, UsageError, SecurityError : as `cases.read_rows` and `Case`; a name twice.
    """
    found = []
    for number, row in enumerate(read_rows(path, COLUMNS), 1):
        chains = [tuple(inside(path, name) for name in row.get(chain, "").split()) for chain in CHAINS]
        files = {name: inside(path, row[name]) for name in FILES if name in row}
        found.append(Case(row.get("case", f"{number:03}"), files, *chains))
    twice = {case.name for case in found if [other.name for other in found].count(case.name) > 1}
    if twice:
        raise InputError(f"{path}: case {sorted(twice)[0]!r} is there twice, expected another name for each")
    return tuple(found)


def read_label_names(path: Path) -> dict[int, str]:
    """Names of labels from lines of a number and a name (tables of FreeSurfer and ITK-SNAP too; what follows the name is left out).

    Raises
    ------
    InputError : no such line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({type(error).__name__}); expected lines such as '17 hippocampus'") from None
    found = (re.match(r"\s*(\d+)[\s,;]+(?:[\d.]+\s+)*\"?([^\d\s\"][^\t\n\"]*?)\"?(?=\s+\d|\s*$)", line) for line in text.splitlines())
    names = {int(match[1]): match[2].strip() for match in found if match}
    if not names:
        raise InputError(f"{path}: holds no names of labels, expected lines such as '17 hippocampus'")
    return names


# ---------------------------------------------------------------- one case
def load_case(case: Case, choose: Choose) -> tuple[Transform, Evidence]:
    """The transform of a case and what it is judged by.

    Raises
    ------
    InputError : a file is missing or cannot be used.
    """
    for name, path in case.paths().items():
        if not path.exists():
            raise InputError(f"{name.replace('_', ' ')} {path.name}: no such file")
    with ThreadPoolExecutor() as pool:
        values = dict(zip(case.files, pool.map(lambda name: _read(name, case.files[name], choose), case.files), strict=True))
    images, labels, points = (tuple(values[name] for name in pair) if pair[0] in values else None for pair in _PAIRS)
    if images:
        for image, name in zip(images, _PAIRS[0], strict=True):
            check_image(image, case.files[name].name)
        images = masked(images[0], values.get("fixed_mask"), "fixed mask"), images[1]
    evidence = Evidence(images, labels, matched(*points) if points else None, chained(case.back) if case.back else None)
    return chained(case.transforms) if case.transforms else Identity(evidence.dim), evidence


def _read(name: str, path: Path, choose: Choose) -> Image | Points:
    if name.endswith("points"):
        return io.load_points(path)
    return io.load(path, is_label=True) if name.endswith("labels") else io.load(path) if name.endswith("mask") else choose.load(path)


def _all(job: Evaluation, on_case: Callable[[Scored], None] | None) -> list[Scored]:
    done = []
    for case in job.cases:
        done.append(_one(case, job) if len(job.cases) == 1 else _tried(case, job))
        if on_case:
            on_case(done[-1])
    return done


def _one(case: Case, job: Evaluation) -> Scored:
    with collected() as messages:
        scores = assess(*load_case(case, job.choose))
    return Scored(case.name, scores, tuple(_bare(message, case) for message in messages))


def _tried(case: Case, job: Evaluation) -> Scored:
    try:
        return _one(case, job)
    except VoxalignError as error:
        return Scored(case.name, error=_bare(str(error), case))


def _bare(message: str, case: Case) -> str:
    """Without folders, which may name a patient."""
    for path in case.paths().values():
        message = message.replace(str(path), path.name)
    return message


# ---------------------------------------------------------------- tables
def _rows(scores: Mapping[str, Any], names: Mapping[int, str]) -> list[tuple[Any, ...]]:
    sides = before, after = scores.get("before", {}), scores.get("after", {})
    found = []
    for key in dict.fromkeys([*before, *after]):
        if not _BY.search(key):
            found.append((key, "", before.get(key), after.get(key)))
            continue
        for region in dict.fromkeys(region for side in sides for region in side.get(key, {})):
            found.append((_BY.sub("", key), _named(region, names), *(side.get(key, {}).get(region) for side in sides)))
    return found + [(key, "", None, value) for key, value in scores.items() if key not in ("before", "after")]


def _named(region: Any, names: Mapping[int, str]) -> str:
    return f"{region} {names[region]}" if region in names else str(region)


def _write(job: Evaluation, done: list[Scored], folder: Path) -> None:
    from ..report.evaluation import evaluation_page, evaluation_png

    table = rows(done, job.names)
    io.write_text(folder / "scores.tsv", table_text(SCORES, table))
    io.write_json(folder / "scores.json", {"label_names": job.names, "cases": done})
    picture = evaluation_png(table)
    io.write_bytes(folder / "evaluation.png", [picture])
    io.write_text(folder / "evaluation.html", evaluation_page(done, table, picture))


def _clinical(job: Evaluation, done: Scored) -> str:
    from .clinical import page

    with collected():  # what there is to say was said when it was scored
        return page(job, load_case(job.cases[0], job.choose), done.scores)


def _record(job: Evaluation, started: str) -> dict[str, Any]:
    from .. import __version__

    inputs = {case.name: {name: {"name": path.name, "sha256": io.sha256(path)} for name, path in case.paths().items() if path.is_file()}
              for case in job.cases}
    return {"voxalign": __version__, "packages": versions(), "started": started, "inputs": inputs}
