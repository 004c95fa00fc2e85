"""``voxalign process``."""
from __future__ import annotations

import argparse
from pathlib import Path

from . import options
from .output import say_json, say_table

_DESCRIPTION = """Take an image through filters and features, in the order given. A step is a name and settings, lengths in mm:
--step "gaussian sigma=1.5" --step otsu. Lengths one an axis: sigma=1,1,2. --list shows all steps. With --gallery, OUT is a folder for
pictures of what filters and features make of a slice of IN."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("process", help="filter, segment, resample, crop; edges, texture and other features",
                                 description=_DESCRIPTION)
    parser.add_argument("input", type=Path, nargs="?", metavar="IN", help="image or label map")
    parser.add_argument("out", type=Path, nargs="?", metavar="OUT", help="result")
    parser.add_argument("--step", action="append", default=[], metavar="'NAME KEY=VALUE ...'", help="repeatable")
    parser.add_argument("--gallery", action="store_true", help="pictures of many filters and features of IN, in the folder OUT")
    parser.add_argument("--kind", choices=("image", "labels"), help="what IN is; by default by the content")
    parser.add_argument("--list", action="store_true", help="list all steps with their settings")
    options.part(parser)
    options.overwrite(parser)
    options.common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Process, and print where the result or the gallery is; or list."""
    from ..core import UsageError
    from ..run.choose import Choose
    from ..run.process import Processing, Step, catalogue, process_file, write_gallery

    if arguments.list:
        known = catalogue()
        say_json(known) if arguments.json else say_table({f"{name} {about['settings']}".strip(): about["does"]
                                                          for name, about in known.items()})
        return 0
    if arguments.input is None or arguments.out is None:
        raise UsageError("IN and OUT are needed: voxalign process IN OUT --step 'gaussian sigma=1.5'")
    job = Processing(arguments.input, arguments.out, tuple(map(Step.parse, arguments.step)), Choose(arguments.frame, arguments.channel),
                     arguments.kind, arguments.overwrite)
    out = (write_gallery if arguments.gallery else process_file)(job)
    say_json({"out": str(out)}) if arguments.json else print(out)
    return 0
