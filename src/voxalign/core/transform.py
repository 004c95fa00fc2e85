"""Maps of space: values that take fixed points to moving points, in mm.

A transform is what sampling needs to know and nothing else: a chain of *parts*, each a matrix or a displacement
field, applied left to right. Images are pulled back along it, points are pushed along it.
"""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import kernels
from .errors import InputError
from .grid import Grid


@dataclass(frozen=True, eq=False)
class Field:
    """A displacement in mm on a grid, linear between voxels, zero outside the box the grid covers.

    Parameters
    ----------
    data : (D, *grid.shape) float32, world components (RAS+) in mm.
    grid : where it is given.
    """

    data: NDArray[np.float32]
    grid: Grid

    def __post_init__(self) -> None:
        data = np.ascontiguousarray(self.data, np.float32)
        if data.shape != (self.grid.dim, *self.grid.shape):
            raise InputError(f"displacement of shape {data.shape} on a grid of shape {self.grid.shape}: expected (D, *shape)")
        object.__setattr__(self, "data", data)

    def at(self, points: ArrayLike) -> NDArray[np.float64]:
        """Displacement in mm at world points, (..., D) -> (..., D)."""
        points = np.asarray(points, np.float64)
        index = self.grid.index(points.reshape(-1, self.grid.dim))
        return kernels.sample(self.data, index, outside=0.0).T.reshape(points.shape).astype(np.float64)


class Transform(ABC):
    """Map of fixed points (mm) to moving points (mm)."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """2 or 3."""

    @abstractmethod
    def parts(self) -> tuple[NDArray[np.float64] | Field, ...] | None:
        """The same map as a chain of (D+1, D+1) matrices and `Field` values, applied left to right.

        None: it is no such chain; call it (a B-spline, say).
        """

    @abstractmethod
    def inverse(self) -> Transform:
        """The map of moving points to fixed points.

        Raises
        ------
        InputError : the map has no inverse (a singular matrix).
        """

    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """Moving-space positions of fixed-space points, (..., D) mm -> (..., D) mm."""
        points = np.asarray(points, np.float64)
        if points.shape[-1:] != (self.dim,):
            raise InputError(f"points of shape {points.shape} for a {self.dim}-D transform: expected (..., {self.dim})")
        for part in self.parts():
            points = points + part.at(points) if isinstance(part, Field) else points @ part[:-1, :-1].T + part[:-1, -1]
        return points


@dataclass(frozen=True)
class Identity(Transform):
    """Every point stays where it is."""

    dimension: int = 3

    @property
    def dim(self) -> int:
        """2 or 3."""
        return self.dimension

    def parts(self) -> tuple[NDArray[np.float64] | Field, ...]:
        """None at all."""
        return ()

    def inverse(self) -> Identity:
        """Itself."""
        return self


@dataclass(frozen=True)
class Compose(Transform):
    """Several transforms one after the other: the first is applied to the points first.

    ``Compose((a, b))(x) == b(a(x))``, as ANTs' ``-t a -t b``. (SimpleITK's ``CompositeTransform([a, b])`` is ``a(b(x))``;
    the readers and writers of ITK's files reverse the order.)
    """

    transforms: tuple[Transform, ...]

    def __post_init__(self) -> None:
        flat: list[Transform] = []
        for transform in self.transforms:
            flat.extend(transform.transforms if isinstance(transform, Compose) else [transform])
        if not flat:
            raise InputError("Compose of no transforms: use Identity()")
        if len({t.dim for t in flat}) > 1:
            raise InputError(f"cannot compose transforms of dimensions {[t.dim for t in flat]}")
        object.__setattr__(self, "transforms", tuple(flat))

    @property
    def dim(self) -> int:
        """2 or 3."""
        return self.transforms[0].dim

    def parts(self) -> tuple[NDArray[np.float64] | Field, ...] | None:
        """Those of all, in order; None if one has none."""
        chains = [transform.parts() for transform in self.transforms]
        return None if any(chain is None for chain in chains) else tuple(part for chain in chains for part in chain)

    def inverse(self) -> Compose:
        """The inverses in the opposite order."""
        return Compose(tuple(t.inverse() for t in reversed(self.transforms)))

    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """Each in turn, (..., D) mm -> (..., D) mm."""
        points = np.asarray(points, np.float64)
        for transform in self.transforms:  # each may know a more exact way than its parts
            points = transform(points)
        return points


def compose(transforms: Sequence[Transform]) -> Transform:
    """`Compose` of several, without identities; a single one stays as it is."""
    kept = [t for t in transforms if not isinstance(t, Identity)]
    if not kept:
        return Identity(transforms[0].dim if transforms else 3)
    return kept[0] if len(kept) == 1 else Compose(tuple(kept))
