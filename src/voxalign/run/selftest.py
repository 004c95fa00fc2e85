"""What ``voxalign selftest`` does: run the checks, and sign what they found."""
from __future__ import annotations

import hashlib
import hmac
import json
import platform
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import voxalign

from .. import __version__, io
from ..core import InputError, kernels
from ..register.result import OnStep
from .output import check_file
from .record import versions

if TYPE_CHECKING:
    from ..judge.selftest import Check

_SHORTEST_KEY = 16  # bytes
_DIGEST, _SIGNATURE = "sha256", "hmac_sha256"


def selftest(out: Path | None = None, key: Path | None = None, overwrite: bool = False, on_check: Callable[[Check], None] | None = None,
             on_step: OnStep | None = None) -> dict[str, Any]:
    """Run all checks; the content of the record, which is written to ``out`` if that is given.

    Parameters
    ----------
    key : file whose bytes sign the record.
    on_check : called with each check as it is finished.

    Raises
    ------
    InputError : a key that is missing or short; an output that cannot be written; all before anything is run.
    """
    from ..judge.selftest import checks

    secret = _secret(key) if key else None
    if out:
        check_file(out, overwrite, [key] if key else [])
    started, cpu, done = datetime.now(UTC).isoformat(timespec="seconds"), time.process_time(), []
    for check in checks(on_step):
        done.append(check)
        if on_check:
            on_check(check)
    record = signed(_content(done, started, time.process_time() - cpu), secret)
    if out:
        io.write_json(out, record)
    return record


def signed(content: dict[str, Any], secret: bytes | None) -> dict[str, Any]:
    """``content`` with the SHA-256 of its canonical form, and with a secret its HMAC (RFC 2104).

    The canonical form is JSON with sorted keys, no spaces and ASCII only, of everything but these two.
    """
    content = io.atomic.plain(content)
    record = content | {_DIGEST: hashlib.sha256(_canonical(content)).hexdigest()}
    return record | ({_SIGNATURE: hmac.digest(secret, _canonical(content), "sha256").hex()} if secret else {})


def verify(path: Path, key: Path | None = None) -> dict[str, Any]:
    """What can be said of a record: whether it is unchanged, whether the key signed it, and whether its checks passed.

    Raises
    ------
    InputError : no record of a self-test; its content was changed; not signed, or not with this key.
    """
    record = _read(path)
    content = {name: value for name, value in record.items() if name not in (_DIGEST, _SIGNATURE)}
    genuine = signed(content, _secret(key) if key else None)
    if record[_DIGEST] != genuine[_DIGEST]:
        raise InputError(f"{path.name}: its content was changed after it was written; expected the file as `voxalign selftest` wrote it")
    if key and _SIGNATURE not in record:
        raise InputError(f"{path.name}: is not signed; expected a record made with --key")
    if key and not hmac.compare_digest(str(record[_SIGNATURE]), genuine[_SIGNATURE]):
        raise InputError(f"{path.name}: was not signed with this key; expected the key that it was made with")
    return {"unchanged": True, "signed": "with this key" if key else _SIGNATURE in record, "same_installation": record["code"] == code(),
            "voxalign": record["voxalign"], "started": record["started"], "passed": record["passed"]}


def code() -> str:
    """SHA-256 of the installed package: of the names and the bytes of its sources and compiled kernels."""
    root, total = Path(voxalign.__file__).parent, hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".c", ".h", ".so", ".dll", ".json") and p.is_file()):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _content(done: list[Check], started: str, seconds: float) -> dict[str, Any]:
    failed = Counter(check.test for check in done if not check.passed)
    return {"what": "voxalign self-test after AAPM TG-132; not a medical device", "voxalign": __version__, "code": code(),
            "python": platform.python_version(), "platform": platform.platform(), "packages": versions(),
            "threads": kernels.get_threads(), "started": started, "cpu_seconds": round(seconds, 1),
            "checks": [asdict(check) | {"expected": check.expected, "passed": check.passed} for check in done],
            "failed": dict(failed), "passed": not failed}


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name}: cannot be read ({type(error).__name__}); expected a record of `voxalign selftest`") from None
    if not isinstance(record, dict) or not {_DIGEST, "code", "voxalign", "started", "passed"} <= record.keys():
        raise InputError(f"{path.name}: is no record of a self-test; expected what `voxalign selftest -o` wrote")
    return record


def _secret(path: Path) -> bytes:
    try:
        secret = path.read_bytes()
    except OSError as error:
        raise InputError(f"key {path.name}: cannot be read ({error.strerror}); expected a file of random bytes") from None
    if len(secret) < _SHORTEST_KEY:
        raise InputError(f"key {path.name}: holds {len(secret)} bytes, expected at least {_SHORTEST_KEY}; make one from random bytes")
    return secret
