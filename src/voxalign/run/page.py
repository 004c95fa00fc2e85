"""``report.html`` of a result."""
from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import io

if TYPE_CHECKING:
    from ..judge.explain import Explanation
    from ..report import Scene
    from .api import Result


def scene_of(result: Result) -> Scene:
    """What pictures of a result are made of."""
    from ..report import Scene  # matplotlib takes a second

    return Scene(result.fixed, result.moving, result.transform)


def page_of(result: Result, metrics: Mapping[str, Any], record: Mapping[str, Any], scene: Scene | None = None,
            explanation: Explanation | None = None) -> str:
    """The report as HTML, of a result and the contents of its ``metrics.json`` and ``run.json``."""
    from ..report import Case, case_page

    maps = () if result.verdict.status == "FAIL" else (result.expected_error, result.evidence)
    case = Case(result.registration, result.fixed, result.moving, record, metrics, result.verdict, *maps, explanation=explanation)
    return case_page(case, scene or scene_of(result))


def write_report(result: Result, path: str | Path, explanation: Explanation | None = None) -> Path:
    """The report of a result that was made from Python; the path written."""
    from .record import record

    content = record(result, {}, {}, datetime.now(UTC).isoformat(timespec="seconds"))
    io.write_text(path, page_of(result, result.metrics, content, explanation=explanation))
    return Path(path)
