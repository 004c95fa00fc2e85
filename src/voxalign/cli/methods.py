"""``voxalign methods``."""
from __future__ import annotations

import argparse

from . import options
from .output import say_json, say_table


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("methods", help="list methods, presets, transforms, losses and starts")
    options.common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the list."""
    from ..run.methods import catalogue

    say_json(catalogue()) if arguments.json else say_table(catalogue())
    return 0
