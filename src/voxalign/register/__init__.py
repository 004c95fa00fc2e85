"""Classical registration: ``(fixed, moving) -> Registration``."""
from .guide import Guide
from .presets import PRESETS
from .register import register
from .result import Registration, Step
from .settings import Settings

__all__ = ["PRESETS", "Guide", "Registration", "Settings", "Step", "register"]
