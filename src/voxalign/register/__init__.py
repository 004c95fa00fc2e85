"""Classical registration: ``(fixed, moving) -> Registration``."""
from .presets import PRESETS
from .register import register
from .result import Registration, Step
from .settings import Settings

__all__ = ["PRESETS", "Registration", "Settings", "Step", "register"]
