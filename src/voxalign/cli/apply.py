"""``voxalign apply``."""
from __future__ import annotations

import argparse
from pathlib import Path

from . import options
from .output import say_json

_DESCRIPTION = """Bring an image or label map onto the grid of REFERENCE, or push a file of fixed points to moving space.
Several -t go in the order of ANTs (-t 1Warp.nii.gz -t 0GenericAffine.mat): points go through the first one first. Of a file with several
frames all are brought along; a -t that is a folder then holds one transform a frame, in the order of their names."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("apply", help="bring images, labels or points along transforms", description=_DESCRIPTION)
    parser.add_argument("-i", "--input", type=Path, required=True, metavar="FILE", help="image, label map, or points (.csv)")
    parser.add_argument("-r", "--reference", type=Path, metavar="IMAGE", help="image whose grid the result is wanted on")
    parser.add_argument("-t", "--transform", type=Path, action="append", required=True, metavar="FILE", help="repeatable; or a folder")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="result")
    parser.add_argument("--interpolation", metavar="NAME", help="linear, nearest, cubic, label; by default by the content")
    options.part(parser)
    options.overwrite(parser)
    options.common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Apply, and print where the result is."""
    from ..run.apply import Application, apply_files
    from ..run.choose import Choose

    out = apply_files(Application(arguments.input, tuple(arguments.transform), arguments.out, arguments.reference,
                                  arguments.interpolation, Choose(arguments.frame, arguments.channel), arguments.overwrite))
    say_json({"out": str(out)}) if arguments.json else print(out)
    return 0
