"""``voxalign demo``."""
from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from . import options
from .output import Progress, say_json, say_table, say_warnings


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("demo", help="make a pair of head-like images, register them, and compare with the truth")
    parser.add_argument("-o", "--out", type=Path, default=Path("voxalign-demo"), metavar="FOLDER", help="folder (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the images (%(default)s)")
    parser.add_argument("--no-report", action="store_true", help="make no pictures")
    options.overwrite(parser)
    options.common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it, and print the true error and where the results are."""
    from ..run.demo import demonstrate

    with closing(Progress()) as progress:
        content = demonstrate(arguments.out, arguments.seed, not arguments.no_report, arguments.overwrite, progress)
    say_warnings(content.pop("warnings"))
    say_json(content) if arguments.json else say_table(content)
    return 0
