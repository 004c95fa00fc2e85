"""``voxalign export``."""
from __future__ import annotations

import argparse
from pathlib import Path

from . import options
from .output import say_json, say_table

_DESCRIPTION = """Write a trained network as ONNX, for programs without torch (pip install 'voxalign[onnx]'). What ONNX Runtime computes
with it is compared with the original before the file is there."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("export", help="write a trained network as ONNX", description=_DESCRIPTION)
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="file of voxalign train")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="file to write, .onnx")
    parser.add_argument("--shape", type=size, default=(), metavar="AxBxC",
                        help="voxels of the images, such as 160x192x160; networks that take any size need none")
    options.overwrite(parser)
    options.common(parser)
    parser.set_defaults(run=run)


def size(text: str) -> tuple[int, ...]:
    """Voxels along each axis, of ``160x192x160``."""
    try:
        return tuple(int(word) for word in text.split("x"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: expected whole numbers such as 160x192x160") from error


def run(arguments: argparse.Namespace) -> int:
    """Export, and print what the file holds."""
    from ..run.export import export_file

    content = export_file(arguments.weights, arguments.out, arguments.shape, arguments.overwrite)
    say_json(content) if arguments.json else say_table(content)
    return 0
