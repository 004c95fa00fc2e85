"""``voxalign cohort``."""
from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from . import options
from .output import say_json, say_table

_DESCRIPTION = """Put the results of many registrations on one page, the worst first, each linked to its report. Give the folders that
voxalign register -o made, or a folder that holds them."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("cohort", help="the results of many registrations on one page, worst first", description=_DESCRIPTION)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="results, or folders that hold them")
    parser.add_argument("-o", "--out", type=Path, default=Path("cohort.html"), metavar="FILE", help="page to write (%(default)s)")
    parser.add_argument("--title", default="Cohort", metavar="TEXT", help="of the page")
    options.overwrite(parser)
    options.common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the page, and say how many of each verdict there are."""
    from ..run.cohort import Cohort, cohort_files

    entries = cohort_files(Cohort(arguments.folders, arguments.out, arguments.title, arguments.overwrite))
    if arguments.json:
        say_json({"out": str(arguments.out), "cases": [asdict(entry) for entry in entries]})
    else:
        say_table(Counter(entry.status or "not judged" for entry in entries) | {"page": arguments.out})
    return 0
