"""Whether maps that lead back home do."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import Points, Transform
from .landmarks import coordinates


def inverse_error_mm(transform: Transform, inverse: Transform, points: Points | ArrayLike) -> NDArray[np.float64]:
    """How far points are from home after going there and back: ``|inverse(transform(x)) - x|``; see `cycle_error_mm`."""
    return cycle_error_mm((transform, inverse), points)


def cycle_error_mm(transforms: Sequence[Transform], points: Points | ArrayLike) -> NDArray[np.float64]:
    """How far points are from home after a round trip through several spaces, A to B to C to A.

    Necessary for good registrations and not sufficient: identities have none, and errors can cancel.

    Parameters
    ----------
    transforms : in the order in which points go through them.
    points : (N, D) mm in the first space; those inside the body, say.

    Returns
    -------
    (N,) mm.
    """
    home = there = coordinates(points)
    for transform in transforms:
        there = transform(there)
    return np.linalg.norm(there - home, axis=-1)
