"""Image files in words."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import io
from .api import collected


def describe_file(path: Path) -> dict[str, Any]:
    """Geometry, orientation in words, type of values, and what is odd; see `io.describe`."""
    with collected() as messages:
        content = io.describe(path)
    return content | {"warnings": list(dict.fromkeys([*content.get("warnings", []), *messages]))}
