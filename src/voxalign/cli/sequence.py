"""``voxalign sequence``."""
from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from ..run import methods
from . import options
from .output import Progress, say_json, say_table, say_warnings

_DESCRIPTION = """Align the frames of a sequence (fMRI, diffusion, perfusion, cine, 4-D CT). The folder gets aligned.nii.gz, mean.nii.gz,
motion.tsv (mm, degrees, framewise displacement, confidence), motion.png, transforms/ (one file a frame, fixed to frame), report.html and
run.json. Frames are read one at a time: memory does not grow with their number."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("sequence", help="align the frames of a 4-D image: motion correction", description=_DESCRIPTION)
    parser.add_argument("frames", type=Path, nargs="+", metavar="FILE", help="one file with several frames, or several files in order")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="folder for the results")
    parser.add_argument("--fixed", metavar="WHAT", help="what frames are aligned to: mean (default: group-wise, none is preferred), first "
                        "(default of recurrent), middle, a frame's number from 0, or an image file")
    parser.add_argument("--method", default="classical", metavar="NAME", help="classical (default), or recurrent: a network with a memory "
                        "deforms every frame by what it and those before show")
    parser.add_argument("--weights", metavar="FILE", help="of the recurrent network (voxalign train --task sequence)")
    parser.add_argument("--device", metavar="NAME", help=", ".join(methods.DEVICES))
    parser.add_argument("--transform", default="auto", metavar="NAME", help="auto (rigid; in-plane where there are few slices), in-plane, "
                        "rigid, similarity, affine, deformable")
    parser.add_argument("--mask", type=Path, metavar="FILE", help="what counts, in the space of the fixed image (above 0; any grid)")
    parser.add_argument("--smooth", type=float, default=0.0, metavar="FRAMES", help="smooth the motion over time by this sigma")
    parser.add_argument("--interpolation", metavar="NAME", help="linear (default), nearest, cubic")
    parser.add_argument("--threads", type=int, metavar="N", help="at most so many; 0 takes all cores")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings of the deformable model; repeatable")
    parser.add_argument("--no-report", action="store_true", help="make no pictures")
    options.overwrite(parser)
    options.common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Align, and print how it moved and where the results are."""
    from ..run.resources import limit_threads

    limit_threads(arguments.threads or 0)
    from ..run.config import configure
    from ..run.sequence import SequenceJob, sequence_files

    settings = configure({"weights": arguments.weights, "device": arguments.device}, ["loss=lncc", *arguments.set]).settings
    job = SequenceJob(tuple(arguments.frames), arguments.out, arguments.fixed, arguments.transform, arguments.method, arguments.mask,
                      arguments.smooth, arguments.interpolation, settings, not arguments.no_report, arguments.overwrite)
    with closing(Progress()) as progress:
        outcome = sequence_files(job, progress)
    say_warnings(outcome.record["warnings"])
    say_json(outcome.as_dict()) if arguments.json else say_table(outcome.summary())
    return 0
