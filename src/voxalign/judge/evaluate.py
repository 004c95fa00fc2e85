"""Scores of a registration, before and after, under the names that ``metrics.json`` uses."""
from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import metrics
from ..core import Grid, Identity, Image, InputError, InputWarning, Points, Transform, resample
from ..register import Registration

_SAMPLES = 20_000  # points at which the inverse is tried: enough for a mean, and quick
_NAMED = 8  # labels that a warning names


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a transform is judged by: whatever there is, each as (of the fixed space, of the moving space).

    Parameters
    ----------
    images : their masks say what counts; without one, the foreground of the fixed image does.
    labels : equal numbers for the same structures.
    points : row by row the same places; names may say regions (``lung/3``).
    back : a way from moving space home to fixed space: an inverse that was written, a registration the other way round, a chain
        through other images. None: the inverse of the transform.

    Raises
    ------
    InputError : nothing at all, or dimensions that disagree.
    """

    images: tuple[Image, Image] | None = None
    labels: tuple[Image, Image] | None = None
    points: tuple[Points, Points] | None = None
    back: Transform | None = None

    def __post_init__(self) -> None:
        given = [value for pair in (self.images, self.labels, self.points) if pair for value in pair]
        if not given:
            raise InputError("nothing to judge by: expected images, labels or points of both spaces")
        if len({value.dim for value in given}) > 1:
            raise InputError(f"what to judge by is {', '.join(f'{value.dim}-D' for value in given)}: expected one dimension")

    @property
    def dim(self) -> int:
        """2 or 3."""
        return next(pair[0].dim for pair in (self.images, self.labels, self.points) if pair)

    @property
    def region(self) -> tuple[Grid, NDArray[np.bool_]] | None:
        """Where in fixed space a transform is judged: the foreground of the image, or else all labels; None for bare points."""
        if self.images:
            return self.images[0].grid, foreground(self.images[0])
        return (self.labels[0].grid, self.labels[0].array != 0) if self.labels else None

    @property
    def places(self) -> NDArray[np.float64]:
        """Some points of the `region`, or the landmarks, (N, D) mm."""
        return _some(*self.region) if self.region else self.points[0].coordinates


def assess(transform: Transform, evidence: Evidence) -> dict[str, Any]:
    """Everything that can be said about a transform, fixed points -> moving points (mm), with what is given.

    Returns
    -------
    ``before`` and ``after`` : scores with equal world coordinates, and along the transform: those of `overlap_scores`, `landmark_scores`
    with regions, and `similarity_scores`.
    Those of `metrics.deformation_statistics`, if there is an image or a label map.
    ``inverse_error_mm``, or ``cycle_error_mm`` where a way back is given; each with ``_p95_mm`` and ``_max_mm``.
    What cannot be computed is None; an `InputWarning` says why.

    Raises
    ------
    InputError : dimensions disagree; label maps without a common label.
    """
    if not transform.dim == evidence.dim == (evidence.back or transform).dim:
        raise InputError(f"a {transform.dim}-D transform for {evidence.dim}-D images or points: expected one dimension")
    _notice_absent(evidence.labels)
    with ThreadPoolExecutor() as pool:  # distances between outlines take seconds, and release the interpreter's lock
        before, after = (pool.submit(_scores, t, evidence) for t in (Identity(evidence.dim), transform))
        about = metrics.deformation_statistics(transform, *evidence.region) if evidence.region else {}
        about |= _way_home(transform, evidence)
        return _finite({"before": before.result(), "after": after.result()} | about)


def _scores(transform: Transform, evidence: Evidence) -> dict[str, Any]:
    found = overlap_scores(transform, *evidence.labels) if evidence.labels else {}
    if evidence.points:
        found |= landmark_scores(transform, *evidence.points) | _regional_scores(transform, *evidence.points)
    return found | (similarity_scores(transform, *evidence.images) if evidence.images else {})


def _way_home(transform: Transform, evidence: Evidence) -> dict[str, float | None]:
    name = "cycle_error" if evidence.back else "inverse_error"
    try:
        errors = metrics.cycle_error_mm((transform, evidence.back or transform.inverse()), evidence.places)
    except InputError as error:
        warnings.warn(f"the transform has no inverse ({error}); its inverse error is left out", InputWarning, stacklevel=3)
        return {f"{name}_mm": None}
    return {f"{name}_mm": float(errors.mean()), f"{name}_p95_mm": float(np.percentile(errors, 95)), f"{name}_max_mm": float(errors.max())}


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

    _notice_absent(labels)
    with ThreadPoolExecutor() as pool:
        before, after = pool.submit(scores, Identity(fixed.dim)), pool.submit(scores, registration.transform)
        deformed = deformation_scores(registration, fixed)
        return _finite({"before": before.result(), "after": after.result()} | deformed)


def overlap_scores(transform: Transform, fixed: Image, moving: Image) -> dict[str, Any]:
    """``dice``, ``jaccard``, ``volume_similarity``, ``hd95_mm`` and ``mean_surface_distance_mm``: means over the labels that both
    files hold, and each by label; ``labels_lost``, how many of them end outside the fixed grid.

    A label that only one file holds has no score (NaN). A lost one has no distance, and an overlap of 0.

    Raises
    ------
    InputError : no label in common.
    """
    common, every = _labels(fixed, moving)
    if not len(common):
        raise InputError("fixed and moving labels have no label in common, expected the same numbers for the same structures")
    moved = resample(moving, fixed.grid, transform)
    by_label = metrics.overlap_by_label(fixed, moved, common) | metrics.surface_summary_mm(fixed, moved, common)
    means = {name: _mean(values.values()) for name, values in by_label.items()}
    lost = int(np.setdiff1d(common, moved.array).size)
    return means | {"labels_lost": lost} | {f"{name}_by_label": {int(k): values.get(int(k), math.nan) for k in every}
                                            for name, values in by_label.items()}


def landmark_scores(transform: Transform, fixed: Points, moving: Points) -> dict[str, Any]:
    """``tre_mm``: target registration error, its mean, its median and the largest."""
    errors = metrics.tre_mm(transform, fixed, moving)
    return {"tre_mm": float(errors.mean()), "tre_median_mm": float(np.median(errors)), "tre_max_mm": float(errors.max())}


def _regional_scores(transform: Transform, fixed: Points, moving: Points) -> dict[str, dict[str, float]]:
    """The mean and the largest error of each region that the points' names say."""
    regions = metrics.by_region(metrics.tre_mm(transform, fixed, moving), fixed.names or moving.names)
    means, largest = ({name: float(of(errors)) for name, errors in regions.items()} for of in (np.mean, np.max))
    return {"tre_mm_by_region": means, "tre_max_mm_by_region": largest} if regions else {}


def similarity_scores(transform: Transform, fixed: Image, moving: Image) -> dict[str, float]:
    """``ncc``, ``mutual_information_nats`` and ``ssim`` over the foreground of ``fixed`` that the moved image covers, and how much of
    it that is, ``covered_percent``. Without any overlap the first three are NaN.
    """
    everywhere = moving if moving.mask is not None else moving.with_mask(np.ones(moving.grid.shape, bool))
    moved, mask = resample(everywhere, fixed.grid, transform), foreground(fixed)
    covered = 100 * float((moved.mask & mask).sum() / mask.sum())
    if not covered:
        return {"ncc": math.nan, "mutual_information_nats": math.nan, "ssim": math.nan, "covered_percent": 0.0}
    pair = fixed.with_mask(mask), moved
    return {"ncc": metrics.ncc(*pair), "mutual_information_nats": metrics.mutual_information_nats(*pair), "ssim": metrics.ssim(*pair),
            "covered_percent": covered}


def deformation_scores(registration: Registration, fixed: Image) -> dict[str, float]:
    """``folded_percent``, ``sd_log_jacobian`` and ``inverse_error_mm`` (mean, of the inverse as filed) over the foreground of ``fixed``."""
    mask = foreground(fixed)
    summary = metrics.deformation_summary(registration.transform, fixed.grid, mask)
    as_filed = partial(Transform.__call__, registration.inverse)  # linear between its voxels, as every program reads it
    errors = metrics.inverse_error_mm(registration.transform, as_filed, _some(fixed.grid, mask))
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


def _labels(fixed: Image, moving: Image) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The labels but 0 that both hold, and those that any does."""
    one, other = (metrics.overlap.labels_of(image.array) for image in (fixed, moving))
    return np.intersect1d(one, other), np.union1d(one, other)


def _notice_absent(labels: tuple[Image, Image] | None) -> None:
    """Say which labels have no partner."""
    if not labels:
        return
    common, every = _labels(*labels)
    alone = [str(label) for label in np.setdiff1d(every, common)]
    if alone:
        named = ", ".join(alone[:_NAMED]) + (f" and {len(alone) - _NAMED} more" if len(alone) > _NAMED else "")
        warnings.warn(f"labels {named} are in one of the two label maps only; they are not scored", InputWarning, stacklevel=3)


def _mean(values: Iterable[float]) -> float:
    """Of those that are numbers; NaN if none is."""
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan


def _some(grid: Grid, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    inside = np.flatnonzero(mask)
    return grid.world(np.stack(np.unravel_index(inside[:: max(1, len(inside) // _SAMPLES)], mask.shape), 1))


def _finite(value: Any) -> Any:
    """The same with None for what is not a finite number (JSON has no other word for it)."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
