"""What a clinical page is made of: the request, as the user states it, and what files say of how a transform came about."""
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import io
from ..core import Image, Transform, UsageError, VoxalignError
from ..core.errors import choose
from ..judge.evaluate import Evidence
from ..register import Registration
from .config import read
from .output import RECORD

if TYPE_CHECKING:
    from .evaluate import Case, Evaluation

REQUEST = ("request", "patient", "purpose", "region", "accuracy_mm", "priority", "requested_by", "performed_by", "reviewed_by", "comments")
"""What a request may state; all of it is the user's, nothing is taken from image files."""


def read_request(path: Path) -> dict[str, str]:
    """The request in a YAML file of `REQUEST`; ``Path()`` is an empty one.

    Raises
    ------
    UsageError : an unknown key, a list or mapping where a line is expected.  InputError, SecurityError : see `config.read`.
    """
    stated = {} if path == Path() else read(path)
    for key, value in stated.items():
        choose(str(key), REQUEST, f"key of {path.name}")
        if isinstance(value, dict | list):
            raise UsageError(f"{path.name}: {key} holds a list, expected one line of text")
    return {key: " ".join(str(value).split()) for key, value in stated.items() if value is not None}


def page(job: Evaluation, given: tuple[Transform, Evidence], scores: Mapping[str, Any]) -> str:
    """The page as HTML, of the first case, which has images."""
    from ..report import Scene
    from ..report.clinical import Clinical, clinical_page

    (transform, evidence), case = given, job.cases[0]
    fixed, moving = evidence.images
    registration = Registration(transform, fixed.grid, moving.grid)
    record = made_by(case)
    content = Clinical(job.request or {}, _sources(case), scores, record, _verdict(registration, fixed, moving), _guided(case, record),
                       job.names)
    return clinical_page(content, Scene(fixed, moving, transform))


def made_by(case: Case) -> dict[str, Any] | None:
    """The record beside the first transform, if it is of the run that wrote it; told by the hash, not by the place."""
    for path in case.transforms[:1]:
        try:
            record = json.loads((path.parent / RECORD).read_text(encoding="utf-8"))
            if record["outputs"][path.name] == io.sha256(path):
                return record
        except (OSError, ValueError, KeyError, TypeError):
            pass
    return None


def _sources(case: Case) -> list[tuple[str, str, str]]:
    """What it is, base name and hash."""
    return [(name.replace("_", " "), path.name, io.sha256(path) if path.is_file() else "a folder") for name, path in case.paths().items()]


def _verdict(registration: Registration, fixed: Image, moving: Image) -> Any:
    from ..judge import judge

    try:
        return judge(registration, fixed, moving)
    except VoxalignError:  # a page without it is of use; it says that it was not judged
        return None


def _guided(case: Case, record: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Of ``labels`` and ``points``: those that took part in the registration, so that their scores say nothing of its accuracy."""
    if record is None:
        return ()
    used = {source.get("sha256") for source in record.get("inputs", {}).values()}
    weights = record.get("configuration", {})
    return tuple(kind for kind, weight in (("labels", "label_weight"), ("points", "point_weight"))
                 if weights.get(weight) and f"fixed_{kind}" in case.files and io.sha256(case.files[f"fixed_{kind}"]) in used)
