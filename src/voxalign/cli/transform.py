"""``voxalign transform convert|compose|invert|info``."""
from __future__ import annotations

import argparse
from pathlib import Path

from . import options
from .output import say_json, say_table

_ENDINGS = "The ending of OUT is its format: .h5, .tfm (ITK), .mat (ANTs), .nii, .nii.gz (displacement field, with --reference)."


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command and what it can do."""
    parser = commands.add_parser("transform", help="convert, compose, invert or describe transform files")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _action(actions, "convert", convert, "write a transform in another format").add_argument("input", type=Path, metavar="IN")
    several = _action(actions, "compose", compose, "write several transforms as one")
    several.add_argument("input", type=Path, nargs="+", metavar="IN", help="in the order of ANTs: points go through the first one first")
    _action(actions, "invert", invert, "write the inverse").add_argument("input", type=Path, metavar="IN")
    described = actions.add_parser("info", help="say what a transform file holds")
    described.add_argument("input", type=Path, metavar="FILE")
    options.common(described)
    described.set_defaults(run=info)
    for name in ("convert", "compose", "invert"):
        actions.choices[name].add_argument("out", type=Path, metavar="OUT")


def _action(actions: argparse._SubParsersAction, name: str, run: object, text: str) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}. {_ENDINGS}")
    parser.add_argument("--reference", type=Path, metavar="IMAGE", help="image whose grid a displacement field is given on")
    options.overwrite(parser)
    options.common(parser)
    parser.set_defaults(run=run)
    return parser


def convert(arguments: argparse.Namespace) -> int:
    """Convert, and print where the result is."""
    from ..run.apply import convert

    return _done(convert(arguments.input, arguments.out, arguments.reference, arguments.overwrite), arguments)


def compose(arguments: argparse.Namespace) -> int:
    """Compose, and print where the result is."""
    from ..run.apply import join

    return _done(join(arguments.input, arguments.out, arguments.reference, arguments.overwrite), arguments)


def invert(arguments: argparse.Namespace) -> int:
    """Invert, and print where the result is."""
    from ..run.apply import invert

    return _done(invert(arguments.input, arguments.out, arguments.reference, arguments.overwrite), arguments)


def info(arguments: argparse.Namespace) -> int:
    """Print what the file holds."""
    from ..run.apply import transform_info

    content = transform_info(arguments.input)
    say_json(content) if arguments.json else say_table(content)
    return 0


def _done(out: Path, arguments: argparse.Namespace) -> int:
    say_json({"out": str(out)}) if arguments.json else print(out)
    return 0
