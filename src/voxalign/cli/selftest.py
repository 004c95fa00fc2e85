"""``voxalign selftest``."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from . import options
from .output import Progress, say_json, say_table

_DESCRIPTION = """Check this installation as AAPM TG-132 asks: generated phantoms with known truth go through files and registrations.
Takes a few minutes. Exit code 4 if a check fails. Not a medical device."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("selftest", help="check this installation with phantoms (AAPM TG-132)", description=_DESCRIPTION)
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="write the record here (JSON)")
    parser.add_argument("--key", type=Path, metavar="FILE", help="sign the record with the bytes of this file (HMAC-SHA256)")
    parser.add_argument("--verify", type=Path, metavar="FILE", help="check a record that was written earlier, and run nothing")
    parser.add_argument("--threads", type=int, metavar="N", help="at most so many; 0 takes all cores")
    options.overwrite(parser)
    options.common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the checks, a line each; or verify a record."""
    from ..run.resources import limit_threads

    limit_threads(arguments.threads or 0)
    from ..core import kernels
    from ..run.selftest import selftest, verify

    if arguments.verify:
        said = verify(arguments.verify, arguments.key)
        say_json(said) if arguments.json else say_table(said)
        return 0
    kernels.set_threads(arguments.threads or None)
    progress = Progress()

    def say(check: Any) -> None:
        progress.close()
        if not arguments.json:
            print(line(check), flush=True)

    try:
        record = selftest(arguments.out, arguments.key, arguments.overwrite, say, progress)
    finally:
        progress.close()
    say_json(record) if arguments.json else print(_summary(record))
    return 0 if record["passed"] else 4


def line(check: Any) -> str:
    """A check in one line: PASS or FAIL, what, found, our limit, the usual one."""
    found = ", ".join(f"{round(value, 3):g}" for value in check.found)
    name = f"{check.test}, {check.case}: {check.quantity}"
    return f"{'PASS' if check.passed else 'FAIL'}  {name:<74} {found:<19}  expected {check.expected} (usual: {check.usual})"


def _summary(record: dict[str, Any]) -> str:
    count = len(record["checks"])
    failed = sum(record["failed"].values())
    return f"{count - failed} of {count} checks passed in {record['cpu_seconds']:.0f} CPU seconds"
