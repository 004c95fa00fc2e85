"""``voxalign search``."""
from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path
from typing import Any

from . import options, train
from .output import Progress, say_json

_DESCRIPTION = """Train several times with other choices, and compare: every combination of the values given with --try, or --trials of
optuna (pip install 'voxalign[search]'), which proposes likely ones and ends hopeless ones early. The folder gets a folder for each trial,
search.json and search.png; finished trials are not repeated."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("search", help="compare trainings with different choices", description=_DESCRIPTION)
    parser.add_argument("-d", "--data", type=Path, metavar="PATH", help="as of train")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="folder for all trials")
    parser.add_argument("--try", dest="axes", action="append", default=[], metavar="KEY=A|B", help="values, or a range A..B; repeatable")
    parser.add_argument("--trials", type=int, metavar="N", help="a study of so many trials by optuna instead of the whole grid")
    train.choices(parser)
    options.common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Search, and print the trials, best first."""
    from ..run.resources import limit_threads

    limit_threads(arguments.threads or 0)
    from ..run.search import PLOT, RESULTS, axis, search_files
    from ..run.train import Training

    with closing(Progress()) as progress:
        job = Training(arguments.out, train.recipe(arguments), arguments.data)
        content = search_files(job, [axis(text) for text in arguments.axes], arguments.trials, progress)
    if arguments.json:
        say_json(content)
        return 0
    print(f"{'trial':>5}  {'score':>8}  {'state':<8}  {'steps':>6}  choices")
    for row in content["trials"]:
        choices = ", ".join(map(_choice, row["choices"].items()))
        print(f"{row['number']:>5}  {row['score']:>8.4f}  {row['state']:<8}  {row['steps']:>6}  {choices}")
    print(f"compared in {arguments.out / RESULTS} and {arguments.out / PLOT}")
    return 0


def _choice(pair: tuple[str, Any]) -> str:
    """As it is given with --set."""
    key, value = pair
    return f"{key}={f'{value:.3g}' if isinstance(value, float) else 'x'.join(map(str, value)) if isinstance(value, list) else value}"
