"""``voxalign population``."""
from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from . import options
from .output import Progress, say_json, say_table

_DESCRIPTION = """Where the images of a template differ in volume by a column of a table (a group, a genotype as 0, 1, 2, an age): a linear
model at every voxel, p corrected for all voxels by permutation. The folder gets t.nii.gz, p.nii.gz, effect.nii.gz (percent of volume for
one unit), tests.tsv (by label, with --labels), report.html and run.json."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("population", help="where populations differ, on a template", description=_DESCRIPTION)
    parser.add_argument("template", type=Path, metavar="FOLDER", help="made by voxalign template")
    parser.add_argument("--table", type=Path, required=True, metavar="TABLE", help=".tsv or .csv: a row for each image, in their order")
    parser.add_argument("--effect", required=True, metavar="COLUMN", help="what is tested")
    parser.add_argument("--others", nargs="+", default=[], metavar="COLUMN", help="what is accounted for")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="folder for the results")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="label map on the template")
    parser.add_argument("--smooth", type=float, metavar="MM", help="sigma; by default twice the spacing")
    parser.add_argument("--permutations", type=int, default=1000, metavar="N", help="1000")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the permutations")
    options.overwrite(parser)
    options.common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Test, and print how much was found."""
    from ..run.statistics import PopulationJob, population_files

    job = PopulationJob(arguments.template, arguments.table, arguments.out, arguments.effect, tuple(arguments.others), arguments.labels,
                        arguments.smooth, arguments.permutations, arguments.seed, arguments.overwrite)
    with closing(Progress()) as progress:
        found = population_files(job, progress)
    say_json(found) if arguments.json else say_table(found)
    return 0
