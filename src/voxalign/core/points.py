"""Points in the world: landmarks, contours, anything that travels forward through a transform."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import InputError


@dataclass(frozen=True, eq=False)
class Points:
    """World points in mm (RAS+).

    Parameters
    ----------
    coordinates : (N, D) mm, D = 2 or 3.
    names : one name a point, or None.

    Raises
    ------
    InputError : wrong shape, non-finite coordinates, or another number of names.
    """

    coordinates: NDArray[np.float64]
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        coordinates = np.array(self.coordinates, np.float64)
        if coordinates.ndim != 2 or coordinates.shape[1] not in (2, 3):
            raise InputError(f"points of shape {coordinates.shape}: expected (N, 2) or (N, 3) in mm")
        if not np.isfinite(coordinates).all():
            raise InputError("points contain NaN or infinity")
        if self.names is not None and len(self.names) != len(coordinates):
            raise InputError(f"{len(self.names)} names for {len(coordinates)} points")
        coordinates.setflags(write=False)
        object.__setattr__(self, "coordinates", coordinates)
        if self.names is not None:
            object.__setattr__(self, "names", tuple(map(str, self.names)))

    @property
    def dim(self) -> int:
        """2 or 3."""
        return self.coordinates.shape[1]

    def __len__(self) -> int:
        return len(self.coordinates)

    def __repr__(self) -> str:
        return f"Points({len(self)} in {self.dim}-D, mm)"
