"""The weights that come with voxalign; docs/reference/model-card.md says what they were made of and what they can do."""
from __future__ import annotations

from pathlib import Path

from ..core import UsageError

_HOME = Path(__file__).with_name("weights")


def shipped(dim: int) -> Path:
    """Weights of a pyramid for images of ``dim`` dimensions and any contrast.

    Raises
    ------
    UsageError : there are none for images of so many dimensions.
    """
    path = _HOME / f"any-contrast-{dim}d.safetensors"
    if not path.exists():
        raise UsageError(f"voxalign brings no weights for {dim}-D images: name a file with --weights (weights=...), such as voxalign "
                         "train makes, or use method classical")
    return path
