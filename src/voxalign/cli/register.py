"""``voxalign register``."""
from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from . import options
from .output import Progress, say_json, say_table, say_warnings

_FILES = {
    "fixed-mask": "voxels of the fixed image that count (above 0; any grid)",
    "moving-mask": "voxels of the moving image that count",
    "fixed-labels": "label map of the fixed image, for scores (and for the deformation with --set label_weight=1)",
    "moving-labels": "label map of the moving image",
    "fixed-points": "landmarks of the fixed image, for scores (and for the deformation with --set point_weight=1)",
    "moving-points": "the same landmarks of the moving image",
    "rigid-regions": "label map in fixed space; each label moves as a whole",
    "sliding-regions": "label map in fixed space; regions may slide along each other",
}
_DESCRIPTION = """Align the moving image to the fixed one. The folder gets moved.nii.gz (moving on the fixed grid), transform.h5
and inverse.h5 (ITK composites, fixed to moving and back), metrics.json, run.json and pictures."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("register", help="align a moving image to a fixed one", description=_DESCRIPTION)
    parser.add_argument("-f", "--fixed", type=Path, required=True, metavar="FILE", help="image that stays (or a DICOM folder)")
    parser.add_argument("-m", "--moving", type=Path, required=True, metavar="FILE", help="image to bring to it")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="folder for the results")
    for name, text in _FILES.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=text)
    options.part(parser)
    options.choices(parser)
    parser.add_argument("--no-report", action="store_true", help="make no pictures")
    parser.add_argument("--trials", type=int, default=0, metavar="N",
                        help="ask N times, mirrored and slightly deformed, and show in the report how far the answers lie apart")
    parser.add_argument("--dry-run", action="store_true", help="read and check everything, say what would be done, write nothing")
    options.overwrite(parser)
    options.common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Register, and print the verdict, scores and where the results are; 4 if the verdict is FAIL."""
    from ..run.resources import limit_threads

    limit_threads(arguments.threads or 0)
    from ..run.choose import Choose
    from ..run.config import configure
    from ..run.files import Inputs, Job, plan, register_files

    files = {name: getattr(arguments, name) for name in (key.replace("-", "_") for key in _FILES)}
    job = Job(Inputs(arguments.fixed, arguments.moving, **files), arguments.out,
              configure(options.chosen(arguments), arguments.set, arguments.config), Choose(arguments.frame, arguments.channel),
              not arguments.no_report, arguments.overwrite, arguments.trials)
    if arguments.dry_run:
        planned = plan(job)
        say_json(planned) if arguments.json else say_table(planned)
        return 0
    with closing(Progress()) as progress:
        outcome = register_files(job, progress)
    say_warnings(outcome.record["warnings"])
    say_json(outcome.as_dict()) if arguments.json else say_table(outcome.summary())
    return 4 if outcome.failed else 0
