"""Scores of a registration, before and after, under the names that ``metrics.json`` uses."""
from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..core import Identity, Image, InputError, Points, Transform, resample
from ..metrics import deformation_summary, dice_by_label, hd95_mm, inverse_error_mm, tre_mm
from ..register import Registration

_SAMPLES = 20_000  # points at which the inverse is tried: enough for a mean, and quick


def evaluate(registration: Registration, fixed: Image, labels: tuple[Image, Image] | None = None,
             points: tuple[Points, Points] | None = None) -> dict[str, Any]:
    """Everything that can be said about a registration with what is given.

    Parameters
    ----------
    fixed : the image; its mask, or else its foreground, is where the transform is judged.
    labels, points : of the fixed and of the moving image, if there are any.

    Returns
    -------
    ``before`` and ``after`` (scores with equal world coordinates, and along the transform; empty without labels and points) and
    the `deformation_scores`. What cannot be computed is None.
    """
    def scores(transform: Transform) -> dict[str, Any]:
        return (overlap_scores(transform, *labels) if labels else {}) | (landmark_scores(transform, *points) if points else {})

    with ThreadPoolExecutor() as pool:  # distances between outlines take seconds, and release the interpreter's lock
        before, after = pool.submit(scores, Identity(fixed.dim)), pool.submit(scores, registration.transform)
        deformed = deformation_scores(registration, fixed)
        return _finite({"before": before.result(), "after": after.result()} | deformed)


def overlap_scores(transform: Transform, fixed: Image, moving: Image) -> dict[str, Any]:
    """``dice`` and ``hd95_mm`` (means over the labels that both files hold), and the same by label."""
    common = np.intersect1d(fixed.array, moving.array)
    common = common[common != 0]
    if not len(common):
        raise InputError("fixed and moving labels have no label in common, expected the same numbers for the same structures")
    moved = resample(moving, fixed.grid, transform)
    dice, distance = dice_by_label(fixed, moved, common), hd95_mm(fixed, moved, common)
    found = [d for d in distance.values() if math.isfinite(d)]
    return {"dice": float(np.mean(list(dice.values()))), "dice_by_label": dice,
            "hd95_mm": float(np.mean(found)) if found else None, "hd95_mm_by_label": distance}


def landmark_scores(transform: Transform, fixed: Points, moving: Points) -> dict[str, Any]:
    """``tre_mm``: mean target registration error, and the largest."""
    errors = tre_mm(transform, fixed, moving)
    return {"tre_mm": float(errors.mean()), "tre_max_mm": float(errors.max())}


def deformation_scores(registration: Registration, fixed: Image) -> dict[str, float]:
    """``folded_percent``, ``sd_log_jacobian`` and ``inverse_error_mm`` (mean) over the mask or foreground of ``fixed``."""
    mask = foreground(fixed)
    summary = deformation_summary(registration.transform, fixed.grid, mask)
    errors = inverse_error_mm(registration.transform, registration.inverse, _some(fixed, mask))
    return {"folded_percent": float(summary["folded_percent"]), "sd_log_jacobian": float(summary["sd_log_jacobian"]),
            "inverse_error_mm": float(errors.mean()), "inverse_error_max_mm": float(errors.max())}


def foreground(image: Image) -> np.ndarray:
    """Where the image shows something: its mask, cut to voxels brighter than the darkest tenth of the range, (*shape) bool."""
    values = image.array
    low, high = np.percentile(values[::2, ::2], (0.5, 99.5))
    inside = values > low + 0.1 * (high - low)
    inside = inside if image.mask is None else inside & image.mask
    return inside if inside.any() else np.ones_like(inside)


def matched(fixed: Points, moving: Points) -> tuple[Points, Points]:
    """The two with their rows in one order, by name where both have the same names.

    Raises
    ------
    InputError : not the same number, or no points at all.
    """
    if len(fixed) != len(moving) or not len(fixed):
        raise InputError(f"{len(fixed)} fixed and {len(moving)} moving points, expected pairs: one row each in the same order")
    if fixed.dim != moving.dim:
        raise InputError(f"fixed points are {fixed.dim}-D and moving points {moving.dim}-D, expected the same")
    if fixed.names and moving.names and fixed.names != moving.names:
        order = {name: row for row, name in enumerate(moving.names)}
        if len(order) == len(moving) and order.keys() == set(fixed.names):
            rows = [order[name] for name in fixed.names]
            moving = Points(moving.coordinates[rows], fixed.names)
    return fixed, moving


def _some(image: Image, mask: np.ndarray) -> np.ndarray:
    index = np.argwhere(mask)
    return image.grid.world(index[:: max(1, len(index) // _SAMPLES)])


def _finite(value: Any) -> Any:
    """The same with None for what is not a finite number (JSON has no other word for it)."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
