"""Which part of a file that holds several images is meant."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .. import io
from ..core import Image


@dataclass(frozen=True)
class Choose:
    """A frame and a channel, for those files that hold several; the others are read as they are.

    Parameters
    ----------
    frame : from 0.
    channel : a number from 0, ``all``, ``grey`` or ``magnitude``.
    """

    frame: int | None = None
    channel: str | None = None

    def load(self, path: Path) -> Image:
        """Read the chosen part of a file; errors as of `io.load`."""
        if self.frame is None and self.channel is None:
            return io.load(path)
        content = io.describe(path)
        several = content["channels"] > 1 or content["kind"] == "complex"
        channel = int(self.channel) if self.channel and self.channel.isdigit() else self.channel
        return io.load(path, frame=self.frame if content["frames"] > 1 else None, channel=channel if several else None)
