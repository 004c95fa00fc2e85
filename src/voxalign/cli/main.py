"""``voxalign``: the entry point, its errors and exit codes.

Nothing heavy is imported here or at the top of a command's file: ``voxalign --help`` only parses.
"""
from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from .. import __version__
from . import (
    apply,
    cohort,
    compare,
    demo,
    evaluate,
    export,
    info,
    longitudinal,
    methods,
    population,
    process,
    register,
    run,
    search,
    selftest,
    sequence,
    template,
    train,
    transform,
    view,
)
from .output import say_error

_COMMANDS = (register, apply, transform, sequence, longitudinal, template, population, process, run, evaluate, cohort, compare,
             train, search, export, info, view, methods, demo, selftest)
_EPILOG = """exit codes: 0 done, 1 a bug of ours, 2 usage, 3 bad input, 4 finished but the verdict is FAIL, 5 memory or disk,
6 refused for security, 130 interrupted. Not a medical device."""


class Misuse(Exception):
    """A command line that does not parse."""

    exit_code = 2


class Parser(argparse.ArgumentParser):
    """Argument parser whose errors are one line and leave through the same door as all others."""

    def __init__(self, **options: object) -> None:
        super().__init__(**(options | {"allow_abbrev": False}))

    def error(self, message: str) -> None:
        """Raise instead of printing the usage."""
        raise Misuse(f"{message}; see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    debug, as_json = "--debug" in argv, "--json" in argv
    try:
        arguments = parser().parse_args(_paths_with_dashes(argv))
        warnings.showwarning = _show_warning
        return arguments.run(arguments) or 0
    except KeyboardInterrupt:
        return say_error("interrupted", "Interrupted", 130, as_json)
    except BrokenPipeError:  # the reader of our output has gone: nothing to say, and nobody to say it to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        return say_error(_message(error), type(error).__name__, _exit_code(error), as_json)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = Parser(prog="voxalign", description="Medical image registration: any two images into one space.", epilog=_EPILOG)
    top.add_argument("--version", action="version", version=f"voxalign {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for module in _COMMANDS:
        module.add(commands)
    return top


def _paths_with_dashes(argv: list[str]) -> list[str]:
    """Files whose names begin with a dash, as argparse can tell them from options (``-x.nii`` -> ``./-x.nii``)."""
    return [f"./{word}" if word.startswith("-") and "." in word and os.path.lexists(word) else word for word in argv]


def _exit_code(error: Exception) -> int:
    if isinstance(error, MemoryError):
        return 5
    return getattr(error, "exit_code", 1)


def _message(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory: work on a coarser grid (--set spacing=2) or on a larger machine"
    if _exit_code(error) == 1:
        return f"this is a bug of ours, {type(error).__name__}: {error}; --debug shows where"
    return str(error)


def _show_warning(message: Warning | str, category: type[Warning], *_: object) -> None:
    """Warnings of libraries in one line, without a path of this machine."""
    if not issubclass(category, DeprecationWarning):
        print(f"voxalign: warning: {' '.join(str(message).split())}", file=sys.stderr)
