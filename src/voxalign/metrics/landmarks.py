"""Where named places end up."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import InputError, Points, Transform


def tre_mm(transform: Transform, fixed_points: Points | ArrayLike, moving_points: Points | ArrayLike) -> NDArray[np.float64]:
    """Target registration error: how far each fixed point lands from its partner in the moving space.

    The points must not be those the transform was fitted to: a fiducial error says nothing about targets.

    Parameters
    ----------
    fixed_points, moving_points : (N, D) mm, row by row the same places.

    Returns
    -------
    (N,) mm.

    Raises
    ------
    InputError : not as many moving points as fixed ones.
    """
    fixed, moving = coordinates(fixed_points), coordinates(moving_points)
    if fixed.shape != moving.shape:
        raise InputError(f"{len(fixed)} fixed and {len(moving)} moving points: expected pairs in the same order")
    return np.linalg.norm(transform(fixed) - moving, axis=-1)


def coordinates(points: Points | ArrayLike) -> NDArray[np.float64]:
    """(N, D) mm of points or of anything `Points` is made of; refuses what `Points` refuses."""
    return (points if isinstance(points, Points) else Points(np.asarray(points, np.float64))).coordinates


def by_region(errors: NDArray[np.float64], names: Sequence[str] | None) -> dict[str, NDArray[np.float64]]:
    """Errors of points by the regions that their names say: what stands before the first ``/`` (``lung/3``), or the whole name.

    Parameters
    ----------
    errors : (N,).
    names : one a point, or None, which makes no regions.
    """
    regions = np.array([name.partition("/")[0] for name in names or ()])
    return {str(region): errors[regions == region] for region in dict.fromkeys(regions) if region}
