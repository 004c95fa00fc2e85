"""Are two images of one modality? By how they correlate where they lie on each other."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core import Transform, arrays
from .initialise import TRUSTED, searched
from .prepare import Scaled, foreground, onto

ONE = 0.47
"""Likeness above which two images are taken for one modality: of phantom and real pairs of one modality the least alike came to 0.52 at
the position of the search, shaded and noisy ones included, the most alike of two modalities to 0.43."""

CLOSE, STRAIGHT = 0.6, 0.55
"""Correlation and `straightness` below both of which images that had been taken for one modality are taken for two after all, once they lie
on each other. Two (T1 and FLAIR, T1 and painted CT): correlations to 0.47, straightness 0.14 to 0.50; one: straightness 0.61 and more,
coarse slices and a fifth of noise included, or correlations above 0.7. (MR and ultrasound of a prostate, 0.47 and 0.73, are not told.)"""

SAME = 0.91
"""Likeness, affinely aligned, above which two images are taken for one body seen twice: 0.93 and more of one brain bent by 3 mm, breathing
chests and lungs; of different people and animals 0.89 and less."""

_FLAT = 1e-6  # standard deviation, of the range of an image: less is rounding
_LEAST = 10  # voxels


def likeness(fixed: Scaled, moving: Scaled, start: Transform, spacing: float) -> float:
    """How much two images look like one modality where ``start`` puts them, compared at ``spacing`` mm; at most 1.

    The correlation where both show something counts twice, that where either does once: the first does not mind other fields of view or a
    joint that bent, the second not that one of two brains has lost what surrounds it. Histograms are not asked: noise and shading
    change them more than a modality does.
    """
    fixed, moved = fixed.at(spacing), onto(moving.at(spacing), fixed.at(spacing).grid, start)
    shown = foreground(fixed), foreground(moved)
    defined = True if moved.mask is None else moved.mask
    both, either = (_correlation(fixed, moved, inside & defined) for inside in (shown[0] & shown[1], shown[0] | shown[1]))
    return (2 * both + either) / 3


def two_after_all(fixed: Scaled, moving: Scaled, start: Transform, spacing: float) -> bool:
    """Whether images that look like one modality from afar are of two, seen on finer voxels (``spacing`` mm) where both show something.

    What surrounds a body makes all images alike as long as they are coarse. ``start`` has to lay them on each other.
    """
    fixed, moved = fixed.at(spacing), onto(moving.at(spacing), fixed.at(spacing).grid, start)
    inside = foreground(fixed) & foreground(moved) & (True if moved.mask is None else moved.mask)
    if _correlation(fixed, moved, inside) >= CLOSE:
        return False
    return straightness(*(arrays.as_numpy(image.data[inside]) for image in (fixed, moved))) < STRAIGHT


def straightness(one: NDArray, other: NDArray) -> float:
    """How much of what two sets of values (N,) share, their mutual information in eighths, a straight line explains; about 1 or less.

    Noise and places that do not match take from both alike; another modality takes from the line alone.
    """
    if len(one) <= _LEAST or not (one.std() > _FLAT and other.std() > _FLAT):
        return 1.0
    first, second = (np.searchsorted(np.quantile(values, np.arange(1, 8) / 8), values) for values in (one, other))
    joint = np.bincount(8 * first + second, minlength=64).reshape(8, 8) / len(one)
    alone = np.outer(joint.sum(1), joint.sum(0))
    seen = joint > 0
    chance = (seen.sum() - (joint.sum(1) > 0).sum() - (joint.sum(0) > 0).sum() + 1) / (2 * len(one))  # Miller and Madow
    shared = (joint[seen] * np.log(joint[seen] / alone[seen])).sum() - chance
    return float(-0.5 * np.log(1 - min(np.corrcoef(one, other)[0, 1] ** 2, 1 - 1e-9)) / max(shared, 1e-4))


def likeness_anywhere(fixed: Scaled, moving: Scaled, start: Transform, spacing: float) -> float:
    """The same, and where it is low also where a search is sure to put them: images that lie apart correlate with nothing.

    The search takes a CPU second or two.
    """
    here = likeness(fixed, moving, start, spacing)
    if here > ONE:
        return here
    pose, found = searched(*(_in_memory(image) for image in (fixed, moving)), sizes=False)
    return here if found.confidence < TRUSTED else max(here, likeness(fixed, moving, pose, spacing))


def _in_memory(image: Scaled) -> Scaled:
    """In NumPy arrays, wherever it is."""
    return Scaled(arrays.as_numpy(image.data), image.grid, None if image.mask is None else arrays.as_numpy(image.mask))


def _correlation(fixed: Scaled, moved: Scaled, inside: NDArray[np.bool_]) -> float:
    values = [arrays.as_numpy(image.data[inside]) for image in (fixed, moved)]
    if len(values[0]) <= _LEAST or not all(v.std() > _FLAT for v in values):
        return 0.0
    return float(np.corrcoef(*values)[0, 1])
