"""``voxalign run``."""
from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from . import options
from .output import Progress, say_json, say_table, say_warnings

_DESCRIPTION = """Run a pipeline: a ready one by its name, or a YAML file of your own. --list shows the ready ones and all operations;
--schema prints a JSON Schema for editors. The folder gets the results, scores.json, run.json and the pipeline that was run."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("run", help="run a pipeline of steps from a YAML file", description=_DESCRIPTION)
    parser.add_argument("pipeline", nargs="?", metavar="PIPELINE", help="YAML file, or the name of a ready one")
    parser.add_argument("-f", "--fixed", type=Path, metavar="FILE", help="the input 'fixed'")
    parser.add_argument("-m", "--moving", type=Path, metavar="FILE", help="the input 'moving'")
    parser.add_argument("--input", action="append", default=[], metavar="NAME=FILE", help="any other input; repeatable")
    parser.add_argument("-o", "--out", type=Path, metavar="FOLDER", help="folder for the results")
    parser.add_argument("--set", action="append", default=[], metavar="STEP.KEY=VALUE", help="change a setting; repeatable")
    parser.add_argument("--keep", action="store_true", help="write the values between the steps too")
    parser.add_argument("--threads", type=int, metavar="N", help="at most so many; 0 takes all cores")
    parser.add_argument("--list", action="store_true", help="list ready pipelines and operations")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of pipeline files")
    options.part(parser)
    options.overwrite(parser)
    options.common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the pipeline, and print its scores, 4 if a verdict is FAIL; or list."""
    from ..run.resources import limit_threads

    limit_threads(arguments.threads or 0)
    if arguments.schema:
        from ..run.pipeline_schema import schema

        say_json(schema())
    elif arguments.list:
        from ..run.pipeline_schema import catalogue

        known = catalogue()
        say_json(known) if arguments.json else say_table(known)
    else:
        outcome = _run(arguments)
        _say(outcome, arguments.json)
        return 4 if outcome["failed"] else 0
    return 0


def _run(arguments: argparse.Namespace) -> dict:
    from ..core import UsageError
    from ..run.choose import Choose
    from ..run.pipeline import pipeline
    from ..run.pipeline_files import PipelineJob, run_pipeline

    if arguments.pipeline is None or arguments.out is None:
        raise UsageError("PIPELINE and -o are needed: voxalign run lesion-follow-up -f FIXED -m MOVING -o OUT; --list shows what there is")
    job = PipelineJob(pipeline(arguments.pipeline).with_settings(arguments.set), _inputs(arguments), arguments.out, arguments.keep,
                      Choose(arguments.frame, arguments.channel), arguments.overwrite)
    with closing(Progress()) as progress:
        return run_pipeline(job, progress)


def _inputs(arguments: argparse.Namespace) -> dict[str, Path]:
    """Files by the name of the input."""
    from ..core import UsageError

    wrong = [text for text in arguments.input if "=" not in text]
    if wrong:
        raise UsageError(f"--input {wrong[0]!r}: expected NAME=FILE, for example lesion=lesion.nii.gz")
    more = {name: Path(path) for name, _, path in (text.partition("=") for text in arguments.input)}
    given = {"fixed": arguments.fixed, "moving": arguments.moving}
    return {name: path for name, path in given.items() if path is not None} | more


def _say(outcome: dict, as_json: bool) -> None:
    say_warnings(outcome["warnings"])
    if as_json:
        say_json(outcome)
        return
    from ..run.operations import Judged

    say_table({name: value.verdict.summary() if isinstance(value, Judged) else {key: each for key, each in value.items() if each != {}}
               for name, value in outcome["scores"].items()})
    say_table({"note": outcome["notes"], "seconds": round(sum(outcome["seconds"].values()), 2), "results": outcome["out"]})
