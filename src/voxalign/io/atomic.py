"""Writing files so that a name either holds everything or does not exist.

A file is written beside its final place under a hidden name ending in ``.partial`` and renamed when it is whole.
"""
from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import math
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..core import InputError, ResourceError, SecurityError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write to, renamed to ``path`` at the end of the block and removed if the block fails.

    Raises
    ------
    SecurityError : ``path`` is a symbolic link.  InputError : its folder is missing or may not be written to.
    ResourceError : the disk is full or fails.
    """
    final = Path(path)
    _check_target(final)
    partial = final.with_name(f".{final.name[:200]}.{secrets.token_hex(4)}.partial")
    try:
        _create(partial)
        yield partial
        os.replace(partial, final)
    except OSError as error:
        explained = _explain(error, final, partial)
        if explained is None:
            raise
        raise explained from error
    finally:  # after the rename there is nothing left to remove; after anything else, KeyboardInterrupt included, there is
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], parts: Iterable[bytes | memoryview]) -> None:
    """Write ``parts`` one after the other, atomically."""
    with atomic_path(path) as partial, open(partial, "wb") as file:
        for part in parts:
            file.write(part)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text with Unix line ends, atomically."""
    write_bytes(path, [text.encode("utf-8", "surrogateescape")])


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; arrays become lists, paths strings, NaN and infinity null."""
    write_text(path, json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """``value`` in the types JSON has (dataclasses become objects, arrays lists, NaN and infinity None)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return plain(value.tolist())
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def _check_target(final: Path) -> None:
    if final.is_symlink():
        raise SecurityError(f"{str(final)!r} is a symbolic link: not followed; remove the link or choose another name")
    if final.is_dir():
        raise InputError(f"{str(final)!r} is a folder: expected the name of a file to write")
    if not final.parent.is_dir():
        raise InputError(f"cannot write {str(final)!r}: the folder {str(final.parent)!r} does not exist; create it first")


def _create(partial: Path) -> None:
    """Claim the name; O_EXCL refuses anything that is there already, links included."""
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))


def _explain(error: OSError, final: Path, partial: Path) -> Exception | None:
    """What an error of the system means to the user; None if it is about another file."""
    if error.errno in _FULL:
        return ResourceError(f"cannot write {str(final)!r}: {error.strerror}; free some space or choose another disk")
    if error.filename in (str(partial), partial, str(final), final):
        return InputError(f"cannot write {str(final)!r}: {error.strerror}; choose a place you may write to")
    return None
