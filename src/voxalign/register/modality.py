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

CLOSE = 0.5
"""`closeness` above which they still are when they lie on each other: of one modality the least alike came to 0.59 (hippocampi of two
people; phantoms of few voxels to 0.53, with a fifth of noise to 0.50), the most alike of two, which the first look had taken for one, to
0.47 (T1 and FLAIR, MR and ultrasound)."""

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


def closeness(fixed: Scaled, moving: Scaled, start: Transform, spacing: float) -> float:
    """Their correlation where both show something, for images that are affinely aligned; ``spacing`` mm finer than for `likeness`.

    What surrounds a body makes all images alike while they are coarse. Looked at more closely T1 and FLAIR are not.
    """
    fixed, moved = fixed.at(spacing), onto(moving.at(spacing), fixed.at(spacing).grid, start)
    defined = True if moved.mask is None else moved.mask
    return _correlation(fixed, moved, foreground(fixed) & foreground(moved) & defined)


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
