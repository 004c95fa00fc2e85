"""Errors of voxalign; every one carries the exit code the command line ends with.

    VoxalignError              1   a bug of ours, if it is raised bare
    ├── UsageError             2   contradictory or unknown options, configuration keys, names
    ├── InputError             3   a file, grid, image, mask, transform or table that cannot be used
    ├── ResourceError          5   memory, disk, device
    └── SecurityError          6   refused because it could harm (bombs, links, pickles)

Messages are one line: what was given, what was expected, what to do.
"""
from __future__ import annotations

import difflib
from collections.abc import Iterable


class VoxalignError(Exception):
    """Root of the tree; catch this to catch everything voxalign raises on purpose."""

    exit_code = 1


class UsageError(VoxalignError):
    """An option, a configuration key or a name is wrong."""

    exit_code = 2


class InputError(VoxalignError):
    """An input cannot be used as it is."""

    exit_code = 3


class ResourceError(VoxalignError):
    """Memory, disk space or a device is missing."""

    exit_code = 5


class SecurityError(VoxalignError):
    """Refused, because accepting it could do harm."""

    exit_code = 6


class InputWarning(UserWarning):
    """Something odd in an input that was accepted; collected into ``run.json``."""


def choose(name: str, known: Iterable[str], what: str) -> str:
    """Return ``name`` if it is one of ``known``, else raise `UsageError` with the nearest right one."""
    known = list(known)
    if name in known:
        return name
    near = difflib.get_close_matches(str(name), known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(known)}"
    raise UsageError(f"unknown {what} {name!r}: {hint}")
