"""The hot loops. `reference` says what each computes; the compiled versions are used where they were built."""
from .reference import compose_fields, exponentiate, invert, jacobian_determinant, pull, sample

__all__ = ["compose_fields", "exponentiate", "invert", "jacobian_determinant", "pull", "sample"]
