"""Did it work? A verdict on a registration without ground truth."""
from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Verdict:
    """What is to be thought of a registration.

    Parameters
    ----------
    status : ``PASS``, ``CHECK`` or ``FAIL``.
    probability : that the mean error over the foreground exceeds ``limit_mm``, 0 to 1.
    limit_mm : the error that matters for images of this size, mm.
    reasons : sentences, the weightiest first; empty when nothing stands out.
    signals : the numbers the verdict was made of, by name.
    """

    status: str
    probability: float
    limit_mm: float
    reasons: tuple[str, ...] = ()
    signals: dict[str, float] = field(default_factory=dict)
