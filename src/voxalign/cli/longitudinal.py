"""``voxalign longitudinal``."""
from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from . import options
from .output import Progress, say_json, say_table, say_warnings

_DESCRIPTION = """What changed between images of one body: the time points are brought to the space in the middle between them (none is
preferred, their order does not matter), change maps and volumes by label with 95 % intervals are written. --trial takes a table of many
people (subject, arm, visit, image, labels) and adds effects.tsv: what one arm does that another does not, by region."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("longitudinal", help="what changed between images of one body; trials", description=_DESCRIPTION)
    parser.add_argument("times", type=Path, nargs="*", metavar="IMAGE", help="time points, the earliest first")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="folder for the results")
    parser.add_argument("--labels", type=Path, nargs="+", default=[], metavar="FILE", help="label map of each time point, or of the first")
    parser.add_argument("--spacing", type=float, metavar="MM", help="of the common grid; by default that of the images")
    parser.add_argument("--trial", type=Path, metavar="TABLE", help=".tsv or .csv: subject, arm, visit, image, labels; instead of IMAGEs")
    parser.add_argument("--threads", type=int, metavar="N", help="at most so many; 0 takes all cores")
    options.overwrite(parser)
    options.common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, and print the changes."""
    from ..run.resources import limit_threads

    limit_threads(arguments.threads or 0)
    from ..core import UsageError
    from ..run.longitudinal import LongitudinalJob, longitudinal_files, trial_files

    if bool(arguments.trial) == bool(arguments.times):
        raise UsageError("give either the IMAGEs of one body or --trial TABLE")
    with closing(Progress()) as progress:
        if arguments.trial:
            found = trial_files(arguments.trial, arguments.out, arguments.overwrite, progress)
        else:
            found = longitudinal_files(LongitudinalJob(tuple(arguments.times), arguments.out, tuple(arguments.labels), arguments.spacing,
                                                       overwrite=arguments.overwrite), progress)
    say_warnings(found.get("run", {}).get("warnings", []))
    short = {key: value for key, value in found.items() if key not in ("run", "changes")}
    lines = [f"label {row['label']}, {row['from']} to {row['to']}: {row['value_percent']:+.2f} % {_interval(row)}"
             for row in found.get("changes", [])]
    say_json(found) if arguments.json else say_table(({"change": lines} if lines else {}) | short)
    return 0


def _interval(row: dict) -> str:
    known = row["low"] == row["low"]  # small structures have none
    return f"({row['low']:+.2f} to {row['high']:+.2f})" if known else "(too small for an interval)"
