"""``voxalign compare``."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import options
from .output import say_json, say_table, say_warnings

_FILES = ("fixed-mask", "moving-mask", "fixed-labels", "moving-labels", "fixed-points", "moving-points")
_DESCRIPTION = """Run several ways of registering on the same pairs, each in a process of its own, and write one table of accuracy, time,
memory, folding and verdict (comparison.tsv, .json, .png, .html). Started again, it does only what is missing.
A way is a name and settings: --way "stiff smoothness=2 loss=mi"; the name of a preset or method alone: --way fast --way learned; or a
transform that another program found: --way "ants given=ants_{case}.h5"."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("compare", help="try several ways on the same pairs, and make one table", description=_DESCRIPTION)
    parser.add_argument("--way", action="append", default=[], metavar="'NAME KEY=VALUE ...'", help="repeatable")
    parser.add_argument("--ways", type=Path, metavar="FILE", help="YAML: names, and under each its settings")
    parser.add_argument("--cases", type=Path, metavar="TABLE", help="CSV or TSV: case, fixed, moving, fixed_labels, ...")
    parser.add_argument("-f", "--fixed", type=Path, metavar="FILE", help="for one pair instead of a table")
    parser.add_argument("-m", "--moving", type=Path, metavar="FILE")
    for name in _FILES:
        parser.add_argument(f"--{name}", type=Path, metavar="FILE")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="folder for the table and all runs")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="of every run; 0 takes all cores")
    options.common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare, and print the means and what failed; 3 if nothing could be run."""
    from ..run.compare import Comparison, compare, summary
    from ..run.ways import Way, read_cases, read_ways

    ways = (*(read_ways(arguments.ways) if arguments.ways else ()), *map(Way.parse, arguments.way))
    cases = read_cases(arguments.cases) if arguments.cases else _pair(arguments)
    rows = compare(Comparison(cases, ways, arguments.out, arguments.threads), _show)
    means = summary(rows)
    say_warnings(dict.fromkeys(f"{row['case']}: {row['warnings']}" for row in rows if row["warnings"]))  # once for all ways
    say_warnings(f"{row['case']} by {row['way']}: {row['error']}" for row in rows if row["error"])
    if arguments.json:
        say_json({"out": str(arguments.out), "rows": rows, "summary": means})
    else:
        say_table(means | {"results": str(arguments.out)})
    return 3 if all(row["error"] for row in rows) else 0


def _pair(arguments: argparse.Namespace) -> tuple:
    """The one case of the command line."""
    from ..core import UsageError
    from ..run.files import Inputs
    from ..run.ways import Case

    if arguments.fixed is None or arguments.moving is None:
        raise UsageError("no pair: expected -f FIXED -m MOVING, or --cases TABLE")
    names = ("fixed", "moving", *(name.replace("-", "_") for name in _FILES))
    files = {name: path for name in names if (path := getattr(arguments, name)) is not None}
    Inputs(**files)  # one pair that cannot be read is an error; one of many is a row
    return (Case("pair", files),)


def _show(row: dict, part: float) -> None:
    if sys.stderr.isatty():
        print(f"{part:4.0%}  {row['case']}  {row['way']}  {row['error'] or row['verdict'] or ''}", file=sys.stderr)
