"""The classical method: initialise, then rigid, affine and deformable, coarse to fine."""
from __future__ import annotations

from ..core import Identity, Image, Transform
from .result import OnStep, Registration
from .settings import Settings


def register(fixed: Image, moving: Image, settings: Settings | None = None, initial: Transform | None = None,
             on_step: OnStep | None = None) -> Registration:
    """Align ``moving`` to ``fixed``. (Skeleton: the identity.)"""
    return Registration(initial or Identity(fixed.dim), fixed.grid, moving.grid)
