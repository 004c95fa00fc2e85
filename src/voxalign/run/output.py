"""The folder results go to: checked before any computing, locked, and filled at once at the end."""
from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..core import InputError, ResourceError, SecurityError
from .checks import warn

RECORD = "run.json"  # written last: where it is, everything else is whole
REPORT = "report.html"
OUTPUTS = ("moved.nii.gz", "transform.h5", "inverse.h5", "metrics.json", "before_after.png", "deformation.png", REPORT, RECORD)
_LOCK = ".voxalign.lock"
STAGING = ".voxalign.partial"


def check_folder(out: Path, overwrite: bool, inputs: Iterable[Path], names: Iterable[str] = OUTPUTS) -> None:
    """Refuse an output folder that cannot or must not be written (``names``: what will be in it); touches nothing.

    Raises
    ------
    InputError : a file is in the way, results exist, or an input would be overwritten.  SecurityError : a link.
    """
    _refuse_link(out)
    if out.exists() and not out.is_dir():
        raise InputError(f"output {out}: is a file, expected a folder; give another -o")
    names = list(names)
    for name in names:
        _refuse_link(out / name)
        check_not_input(out / name, inputs)
    found = [name for name in names if (out / name).exists()]
    if found and not overwrite:
        raise InputError(f"output {out}: already holds {found[0]}; give another -o, or --overwrite")


def check_file(out: Path, overwrite: bool, inputs: Iterable[Path]) -> None:
    """The same for a single output file."""
    _refuse_link(out)
    check_not_input(out, inputs)
    if out.is_dir():
        raise InputError(f"output {out}: is a folder, expected a file name")
    if out.exists() and not overwrite:
        raise InputError(f"output {out}: exists; give another name, or --overwrite")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise InputError(f"output {out}: folder {out.parent} does not exist or cannot be written; create it or give another")


def check_not_input(out: Path, inputs: Iterable[Path]) -> None:
    """Refuse to write over an input."""
    for path in inputs:
        if out.exists() and path.exists() and out.samefile(path):
            raise InputError(f"output {out}: is also an input, which would be lost; give another -o")


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise SecurityError(f"output {path}: is a symbolic link, which is not followed; give the real path {path.resolve()}")


@dataclass(frozen=True)
class Claim:
    """An output folder that this process alone may write."""

    out: Path
    created: tuple[Path, ...]

    @property
    def staging(self) -> Path:
        """Where files are written before all of them appear in ``out``."""
        return self.out / STAGING

    def publish(self) -> None:
        """Move everything from the staging folder to ``out``, the record last; an older record goes first."""
        (self.out / RECORD).unlink(missing_ok=True)
        for path in sorted(self.staging.iterdir(), key=lambda p: p.name == RECORD):
            if path.is_dir():
                shutil.rmtree(self.out / path.name, ignore_errors=True)
            os.replace(path, self.out / path.name)

    def release(self) -> None:
        """Remove what is not a result: staging folder, lock, and folders made in vain."""
        shutil.rmtree(self.staging, ignore_errors=True)
        (self.out / _LOCK).unlink(missing_ok=True)
        for folder in self.created:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


@contextmanager
def claimed(out: Path) -> Iterator[Claim]:
    """Create and lock ``out``, and release it at the end.

    Raises
    ------
    InputError : cannot be written, or another process is writing there.  ResourceError : the disk is full or failing.
    """
    created = tuple(folder for folder in (out, *out.parents) if not folder.exists())
    try:
        out.mkdir(parents=True, exist_ok=True)
        _lock(out / _LOCK)
    except OSError as error:
        raise InputError(f"output {out}: cannot be written ({error.strerror}); give another -o") from error
    claim = Claim(out, created)
    try:
        shutil.rmtree(claim.staging, ignore_errors=True)  # left by a process that was killed
        claim.staging.mkdir()
        yield claim
    except OSError as error:
        raise ResourceError(f"output {out}: writing failed ({error.strerror or error}); free space or give another -o") from error
    finally:
        claim.release()


def _lock(path: Path) -> None:
    """Create the lock file; one of two processes wins."""
    owner = {"pid": os.getpid(), "host": socket.gethostname()}
    try:
        with open(path, "x", encoding="utf-8") as file:
            json.dump(owner, file)
    except FileExistsError:
        _remove_stale(path)
        with open(path, "x", encoding="utf-8") as file:
            json.dump(owner, file)


def _remove_stale(path: Path) -> None:
    """Remove the lock of a process that is gone.

    Raises
    ------
    InputError : its owner is alive, or on another machine, where nobody can tell.
    """
    try:
        text = path.read_text(encoding="utf-8")
        owner = json.loads(text)
        pid, host = int(owner["pid"]), str(owner["host"])
    except (OSError, ValueError, KeyError, TypeError):
        text, pid, host = "", 0, "unknown"
    if host != socket.gethostname() or (pid and _alive(pid)):
        raise InputError(f"output {path.parent}: process {pid} on {host} writes there; wait, or remove {path.name} if it is gone")
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    os.replace(path, aside)  # of two processes that see a stale lock one gets here first; the other fails or finds a new lock
    if aside.read_text(encoding="utf-8") != text:
        os.replace(aside, path)
        raise InputError(f"output {path.parent}: another process has just started to write there; wait or give another -o")
    aside.unlink()
    warn(f"output {path.parent}: a lock left by process {pid}, which is gone, was removed")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
