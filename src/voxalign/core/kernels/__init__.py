"""The hot loops. `reference` says what each computes; the compiled versions are used where they were built."""
from .reference import pull, sample

__all__ = ["pull", "sample"]
