"""The page of many registrations: worst first, each linked to its own report."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import page
from .page import Section

_ORDER = {"ERROR": 0, "FAIL": 1, "CHECK": 2, "": 3, "PASS": 4}


@dataclass(frozen=True)
class Entry:
    """One case of a cohort.

    Parameters
    ----------
    name : of the case.
    status : ``PASS``, ``CHECK``, ``FAIL``, ``ERROR`` (there is no result), or empty where it was not judged.
    report : address of its report, relative to the page; None if there is none.
    probability : of a mean error that matters, 0 to 1; None if unknown.
    reasons : why.
    numbers : what else to show, by name.
    """

    name: str
    status: str = ""
    report: str | None = None
    probability: float | None = None
    reasons: tuple[str, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)


def cohort(title: str, entries: Sequence[Entry]) -> str:
    """The page as HTML: how many of each verdict, and a table sorted worst first."""
    ordered = sorted(entries, key=lambda e: (_ORDER.get(e.status, 3), -(e.probability or 0.0), e.name))
    counts = Counter(entry.status or "not judged" for entry in ordered)
    names = list(dict.fromkeys(name for entry in ordered for name in entry.numbers))
    rows = [(page.link(e.report, e.name) if e.report else e.name, page.sign(e.status or "–"), e.probability, "; ".join(e.reasons) or None,
             *(e.numbers.get(name) for name in names)) for e in ordered]
    columns = ("case", "verdict", "probability of error", "reasons", *names)
    summary = ", ".join(f"{count} {status}" for status, count in counts.items())
    return page.render(title, [Section(f"{len(ordered)} registrations, worst first", page.prose(f"{summary}."), page.table(columns, rows))])
