"""``voxalign info``."""
from __future__ import annotations

import argparse
from pathlib import Path

from . import options
from .output import say_json, say_table


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("info", help="describe an image: geometry, orientation, what is odd")
    parser.add_argument("file", type=Path, metavar="FILE", help="image, or a folder of one DICOM series")
    options.common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    from ..run.describe import describe_file

    content = describe_file(arguments.file)
    say_json(content) if arguments.json else say_table(content)
    return 0
