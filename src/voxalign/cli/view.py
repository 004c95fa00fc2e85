"""``voxalign view``."""
from __future__ import annotations

import argparse
from pathlib import Path

from . import options
from .output import say_json

_DESCRIPTION = """Look at two images in a browser: fade, swipe, flicker, checkerboard, side by side. Makes one page that needs no network,
and opens it. Several -t go in the order of ANTs (-t 1Warp.nii.gz -t 0GenericAffine.mat)."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("view", help="look at two images in a browser", description=_DESCRIPTION)
    parser.add_argument("fixed", type=Path, metavar="FIXED", help="image that stays")
    parser.add_argument("moving", type=Path, metavar="MOVING", help="image to compare with it")
    parser.add_argument("-t", "--transform", type=Path, action="append", default=[], metavar="FILE",
                        help="fixed points to moving points; repeatable")
    parser.add_argument("-o", "--out", type=Path, default=Path("view.html"), metavar="FILE", help="page to write (%(default)s)")
    parser.add_argument("--no-open", action="store_true", help="write the page, open no browser")
    options.part(parser)
    options.overwrite(parser)
    options.common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the page, open it, and print where it is."""
    from ..run.choose import Choose
    from ..run.view import View, open_page, view_files

    out = view_files(View(arguments.fixed, arguments.moving, arguments.out, arguments.transform,
                          Choose(arguments.frame, arguments.channel), arguments.overwrite))
    say_json({"out": str(out)}) if arguments.json else print(out)
    if not arguments.no_open:
        open_page(out)
    return 0
