"""``voxalign template``."""
from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from . import options
from .output import Progress, say_json, say_table, say_warnings

_DESCRIPTION = """A template of many images in the middle of their shapes, and each image's way to it. The folder gets template.nii.gz,
transforms/0001.h5 ... (points of the template to points of each image), moved/, jacobians/ (logarithm of each image's volume for a volume
of the template), rounds.tsv (sharpness), report.html and run.json. An interrupted run continues from the last round in rounds/."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("template", help="a template of many images", description=_DESCRIPTION)
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="of one kind, in any position")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="folder for the results")
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="deformable ones, after one that is affine (4)")
    parser.add_argument("--spacing", type=float, metavar="MM", help="of the template; by default the median of the images")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="images at a time (1)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any key of the configuration; repeatable")
    parser.add_argument("--preset", metavar="NAME", help="how images are registered; see voxalign methods")
    options.overwrite(parser)
    options.common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make it, and print how sharp it became and where it is."""
    from ..run.config import configure
    from ..run.template import TemplateJob, template_files

    settings = configure({"preset": arguments.preset}, arguments.set).settings
    job = TemplateJob(tuple(arguments.images), arguments.out, arguments.rounds, arguments.spacing, arguments.jobs, settings,
                      arguments.overwrite)
    with closing(Progress()) as progress:
        found = template_files(job, progress)
    say_warnings(found["run"]["warnings"])
    say_json(found) if arguments.json else say_table({key: value for key, value in found.items() if key != "run"})
    return 0
