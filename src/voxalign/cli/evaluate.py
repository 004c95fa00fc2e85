"""``voxalign evaluate``."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import options
from .output import say_error, say_json, say_table, say_warnings

if TYPE_CHECKING:
    from ..run.evaluate import Evaluation

_FILES = {
    "fixed": "fixed image", "moving": "moving image", "fixed-mask": "voxels of the fixed image that count",
    "fixed-labels": "label map of the fixed image", "moving-labels": "label map of the moving image",
    "fixed-points": "landmarks of the fixed image; names such as lung/3 make regions",
    "moving-points": "the same landmarks of the moving image",
}
_SHORT = {"fixed": ["-f"], "moving": ["-m"]}
_DESCRIPTION = """Score a transform, ours or another program's, by what is given: images (similarity), labels (Dice, Jaccard, volume
similarity, HD95, mean surface distance), landmarks (TRE), before and after; and what it does to space. Distances in mm. Several -t go in
the order of ANTs: points go through the first one first. Without -t the headers are scored."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("evaluate", help="score transforms by images, labels and landmarks", description=_DESCRIPTION)
    for name, text in _FILES.items():
        parser.add_argument(*_SHORT.get(name, []), f"--{name}", type=Path, metavar="FILE", help=text)
    parser.add_argument("-t", "--transform", type=Path, action="append", default=[], metavar="FILE", help="repeatable")
    parser.add_argument("--inverse", type=Path, action="append", default=[], metavar="FILE",
                        help="the way home from moving to fixed space: an inverse, a registration the other way; repeatable")
    parser.add_argument("--cases", type=Path, metavar="TABLE", help="many cases: a row each, columns named as these options, and 'case'")
    parser.add_argument("--label-names", type=Path, metavar="FILE", help="lines of a number and a name")
    parser.add_argument("-o", "--out", type=Path, metavar="FOLDER", help="write scores.tsv, scores.json, a picture and a page")
    parser.add_argument("--clinical", type=Path, nargs="?", const=Path(), metavar="REQUEST",
                        help="write clinical.html too, what AAPM TG-132 asks to be on file; REQUEST (YAML) says what was asked for")
    options.part(parser)
    options.overwrite(parser)
    options.common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, and print the scores; exit code 3 if a case of a table could not be scored."""
    from ..run.evaluate import evaluate_files

    job = _job(arguments)
    done = evaluate_files(job, None if arguments.json else _say)
    if arguments.json:
        say_json({"cases": [_plain(case) for case in done]})
    return 3 if any(case.error for case in done) else 0


def _job(arguments: argparse.Namespace) -> Evaluation:
    from ..core import UsageError
    from ..run.choose import Choose
    from ..run.clinical import read_request
    from ..run.evaluate import Case, Evaluation, read_label_names, read_table

    files = {name: path for name in (key.replace("-", "_") for key in _FILES) if (path := getattr(arguments, name))}
    alone = files or arguments.transform or arguments.inverse
    if arguments.cases and (alone or arguments.clinical):
        raise UsageError("--cases takes its files from the table, and makes no clinical pages; leave the other options out")
    if arguments.clinical and (arguments.out is None or "fixed" not in files):
        raise UsageError("--clinical needs -f, -m and -o: the page shows the images, and has to go somewhere")
    cases = read_table(arguments.cases) if arguments.cases else (Case("1", files, tuple(arguments.transform), tuple(arguments.inverse)),)
    return Evaluation(cases, read_label_names(arguments.label_names) if arguments.label_names else {},
                      Choose(arguments.frame, arguments.channel), arguments.out, arguments.overwrite,
                      read_request(arguments.clinical) if arguments.clinical else None)


def _say(case: Any) -> None:
    if case.error:
        say_error(f"case {case.name}: {case.error}", "InputError", 3, False)
        return
    say_warnings(case.warnings)
    short = {name: {k: v for k, v in value.items() if "_by_" not in k} if isinstance(value, dict) else value
             for name, value in case.scores.items()}
    say_table({f"case {case.name}": short})


def _plain(case: Any) -> dict[str, Any]:
    from ..io.atomic import plain

    return plain(case)
