"""Maps of space as values: linear families, B-splines, displacement fields, stationary velocity fields."""
from .bspline import BSpline
from .displacement import Displacement
from .linear import Affine, Decomposition, Linear, Rigid, Similarity, Translation, decompose, generators
from .velocity import Velocity

__all__ = ["Affine", "BSpline", "Decomposition", "Displacement", "Linear", "Rigid", "Similarity", "Translation", "Velocity",
           "decompose", "generators"]
