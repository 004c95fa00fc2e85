"""What commands print: results on stdout, everything else on stderr."""
from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any


def say_error(message: str, kind: str, exit_code: int, as_json: bool) -> int:
    """One line on stderr (and its JSON twin on stdout); the exit code."""
    message = " ".join(message.split())
    print(f"voxalign: error: {message}", file=sys.stderr)
    if as_json:
        say_json({"error": {"type": kind, "message": message, "exit_code": exit_code}})
    return exit_code


def say_warnings(messages: Iterable[str]) -> None:
    """One line each on stderr."""
    for message in messages:
        print(f"voxalign: warning: {' '.join(message.split())}", file=sys.stderr)


def say_json(value: Any) -> None:
    """A value on stdout for programs."""
    print(json.dumps(value, indent=2))


def say_table(rows: Mapping[str, Any], indent: int = 0) -> None:
    """Names and values on stdout for people; nested ones are indented."""
    width = max(map(len, rows), default=0)
    for name, value in rows.items():
        if isinstance(value, Mapping) and value:
            print(f"{'':{indent}}{name}")
            say_table(value, indent + 2)
        elif isinstance(value, (list, tuple)) and value and all(isinstance(v, (str, list, Mapping)) for v in value):
            for item in value:
                print(f"{'':{indent}}{name:{width}}  {_worded(item)}")
        else:
            print(f"{'':{indent}}{name:{width}}  {_worded(value)}")


def _worded(value: Any) -> str:
    if value is None or value in ([], {}):
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_worded(item)}" for name, item in value.items())
    return ", ".join(map(_worded, value)) if isinstance(value, (list, tuple)) else str(value)


class Progress:
    """An ``on_step`` that keeps one line with stage, percentage and time left on a terminal, and is silent off one."""

    def __init__(self) -> None:
        self._start = self._last = time.monotonic()
        self._shown, self._before = 0, 0.0  # letters on the line; part of the work that was done before this began
        self._on = sys.stderr.isatty()

    def __call__(self, step: Any) -> None:
        """Show a `Step`, at most ten times a second."""
        now = time.monotonic()
        if not self._on or now - self._last < 0.1:
            return
        self._last = now
        self._show(f"{step.stage:<10} {step.fraction:4.0%}  {self._left(step.fraction)} left")

    def _left(self, fraction: float) -> str:
        """The time until all is done."""
        return _duration((time.monotonic() - self._start) * (1 - fraction) / max(fraction - self._before, 1e-3))

    def close(self) -> None:
        """Clear the line."""
        if self._shown:
            self._show("")
            sys.stderr.write("\r")

    def _show(self, text: str) -> None:
        sys.stderr.write(f"\r{text:<{self._shown}}")
        sys.stderr.flush()
        self._shown = len(text)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
