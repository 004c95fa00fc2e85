"""What is known about a pair beside its two images."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import Identity, Image, Points, Transform
from ..core.grid import Grid
from ..core.sample import pull
from ..losses import MSE
from .constraints import Landmarks, RigidRegions, Sliding
from .deformable import Channel, Constraints
from .prepare import Scaled

_CODES = 6  # channels that many labels share


@dataclass(frozen=True, eq=False)
class Guide:
    """Labels, points and regions that take part in a deformable registration.

    Parameters
    ----------
    labels : label maps of the fixed and the moving image in which the same number is the same structure.
    points : the same places in the fixed and the moving image.
    label_weight, point_weight : how strongly they count beside the images.
    rigid_regions : label map in fixed space; each label moves as a whole.
    sliding_regions : label map in fixed space; regions (0 is one too) may slide along each other.
    """

    labels: tuple[Image, Image] | None = None
    points: tuple[Points, Points] | None = None
    label_weight: float = 1.0
    point_weight: float = 1.0
    rigid_regions: Image | None = None
    sliding_regions: Image | None = None

    def constraints(self, start: Transform) -> Constraints:
        """Everything but the labels, for a deformation that is followed by ``start``."""
        return Constraints(
            self.points and Landmarks.of(*self.points, start, self.point_weight),
            self.rigid_regions and RigidRegions(self.rigid_regions, start),
            self.sliding_regions and Sliding(self.sliding_regions))

    def channels(self, grid: Grid, start: Transform, levels: int) -> list[Channel]:
        """The labels as channels on ``grid``: each label a code of a few numbers, compared by squared difference."""
        if self.labels is None or not self.label_weight:
            return []
        fixed, moving = self.labels
        names = np.intersect1d(np.unique(fixed.data), np.unique(moving.data))
        codes = _codes(names[names != 0])
        on_fixed = [_coded(fixed, names[names != 0], code, grid, Identity(grid.dim)) for code in codes.T]
        on_moving = [_coded(moving, names[names != 0], code, grid, start) for code in codes.T]
        return [Channel(Scaled(f, grid), Scaled(m, grid), [MSE()] * levels, self.label_weight / len(on_fixed))
                for f, m in zip(on_fixed, on_moving, strict=True)]


def _codes(names: NDArray) -> NDArray[np.float32]:
    """One row of 0 to 1 for each label: its own channel if there are few, else numbers far from those of the others."""
    if len(names) <= _CODES:
        return np.eye(len(names), dtype=np.float32)
    return np.random.default_rng(0).random((len(names), _CODES), np.float32)


def _coded(labels: Image, names: NDArray, code: NDArray, grid: Grid, transform: Transform) -> NDArray[np.float32]:
    """One channel of the codes of ``labels``, blended where it is pulled onto ``grid``."""
    at = np.clip(np.searchsorted(names, labels.array), 0, len(names) - 1)
    data = np.where(names[at] == labels.array, code[at], np.float32(0))
    return pull(data[None].astype(np.float32), labels.grid, grid, transform)[0]
