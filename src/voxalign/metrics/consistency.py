"""Whether a map and its inverse belong together."""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import Points, Transform
from .landmarks import coordinates


def inverse_error_mm(transform: Transform, inverse: Transform, points: Points | ArrayLike) -> NDArray[np.float64]:
    """How far points are from home after going there and back: ``|inverse(transform(x)) - x|``.

    Necessary for a good registration and not sufficient: the identity has none.

    Parameters
    ----------
    points : (N, D) mm in the fixed space; those inside the body, say.

    Returns
    -------
    (N,) mm.
    """
    fixed = coordinates(points)
    return np.linalg.norm(inverse(transform(fixed)) - fixed, axis=-1)
