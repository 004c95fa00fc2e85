"""Where voxels are: the one place that turns array indices into world millimetres."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError

_LETTERS = ("LR", "PA", "IS")  # negative and positive direction of each world axis (RAS+)


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular lattice of voxel centres in the world.

    Parameters
    ----------
    shape : number of voxels along each array axis, 2 or 3 of them, each at least 1.
    affine : (D+1, D+1) matrix from homogeneous index to world mm (RAS+: right, anterior, superior are
        positive; in 2-D right and anterior). Oblique, left-handed, sheared and anisotropic grids are all fine.

    Raises
    ------
    InputError : shape or affine malformed, non-finite or singular.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        affine = np.array(self.affine, np.float64)
        if len(shape) not in (2, 3) or min(shape) < 1:
            raise InputError(f"grid shape {shape}: expected 2 or 3 positive sizes")
        if affine.shape != (len(shape) + 1,) * 2:
            raise InputError(f"affine of shape {affine.shape} for a {len(shape)}-D grid: expected {(len(shape) + 1,) * 2}")
        if not np.isfinite(affine).all():
            raise InputError("affine contains NaN or infinity: the header is damaged")
        lengths = np.linalg.norm(affine[:-1, :-1], axis=0)
        if lengths.min() <= 0 or abs(np.linalg.det(affine[:-1, :-1] / lengths)) < 1e-6:
            raise InputError(f"affine is singular (spacing {lengths}): some axis has no extent in the world")
        affine.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)

    # ---------------------------------------------------------------- derived, never stored
    @property
    def dim(self) -> int:
        """2 or 3."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Distance between neighbouring voxel centres along each array axis, mm, (D,)."""
        return np.linalg.norm(self.affine[:-1, :-1], axis=0)

    @property
    def direction(self) -> NDArray[np.float64]:
        """(D, D); column k is the unit world direction of array axis k."""
        return self.affine[:-1, :-1] / self.spacing

    @property
    def origin(self) -> NDArray[np.float64]:
        """World position of voxel (0, ..., 0), mm, (D,)."""
        return self.affine[:-1, -1].copy()

    @property
    def centre(self) -> NDArray[np.float64]:
        """World position of the middle of the grid, mm, (D,)."""
        return self.world((np.array(self.shape) - 1) / 2)

    @property
    def extent(self) -> NDArray[np.float64]:
        """Edge length of the covered box along each array axis (voxel faces, not centres), mm, (D,)."""
        return self.spacing * self.shape

    @property
    def voxel_volume(self) -> float:
        """mm^3 (mm^2 in 2-D)."""
        return float(abs(np.linalg.det(self.affine[:-1, :-1])))

    @property
    def inverse_affine(self) -> NDArray[np.float64]:
        """World mm -> index, (D+1, D+1)."""
        return np.linalg.inv(self.affine)

    @property
    def axes(self) -> str:
        """Nearest anatomical direction of each array axis, e.g. ``'LIA'``; ``'RAS'`` is the world's own order."""
        matrix = np.abs(self.direction)
        letters = [""] * self.dim
        for _ in range(self.dim):  # greedy, so that no world axis is named twice on oblique grids
            world, axis = np.unravel_index(np.argmax(matrix), matrix.shape)
            letters[axis] = _LETTERS[world][int(self.direction[world, axis] > 0)]
            matrix[world, :] = -1
            matrix[:, axis] = -1
        return "".join(letters)

    @property
    def is_orthogonal(self) -> bool:
        """Whether the axes are at right angles (False: sheared, as after gantry tilt)."""
        gram = self.direction.T @ self.direction
        return bool(np.abs(gram - np.eye(self.dim)).max() < 1e-4)

    @property
    def is_left_handed(self) -> bool:
        """Whether the array axes mirror the world's."""
        return bool(np.linalg.det(self.affine[:-1, :-1]) < 0)

    # ---------------------------------------------------------------- index <-> world
    def world(self, index: ArrayLike) -> NDArray[np.float64]:
        """World mm of (fractional) indices, (..., D) -> (..., D)."""
        return np.asarray(index, np.float64) @ self.affine[:-1, :-1].T + self.affine[:-1, -1]

    def index(self, points: ArrayLike) -> NDArray[np.float64]:
        """(Fractional) indices of world points in mm, (..., D) -> (..., D)."""
        inverse = self.inverse_affine
        return np.asarray(points, np.float64) @ inverse[:-1, :-1].T + inverse[:-1, -1]

    def points(self) -> NDArray[np.float64]:
        """World mm of every voxel centre, (*shape, D). Large: 24 bytes a voxel in 3-D."""
        return self.world(np.stack(np.meshgrid(*map(np.arange, self.shape), indexing="ij"), -1))

    def corners(self) -> NDArray[np.float64]:
        """World mm of the outermost voxel centres, (2**D, D)."""
        ends = [(0, n - 1) for n in self.shape]
        return self.world(np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, self.dim))

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Whether world points lie inside the covered box, (..., D) -> (...)."""
        index = self.index(points)
        return ((index >= -0.5) & (index <= np.array(self.shape) - 0.5)).all(-1)

    # ---------------------------------------------------------------- other grids made from this one
    def with_shape(self, shape: Sequence[int]) -> Grid:
        """The same box cut into another number of voxels (cell-centred: the outer faces stay where they are)."""
        factor = np.array(self.shape) / np.array(shape)
        matrix = np.eye(self.dim + 1)
        matrix[:-1, :-1] = np.diag(factor)
        matrix[:-1, -1] = (factor - 1) / 2
        return Grid(tuple(shape), self.affine @ matrix)

    def with_spacing(self, spacing: float | ArrayLike) -> Grid:
        """The same box, sampled as near to ``spacing`` mm as a whole number of voxels allows."""
        shape = np.maximum(np.round(self.extent / np.asarray(spacing, np.float64) - 1e-6), 1).astype(int)
        return self.with_shape(shape)

    def downsample(self, factor: float | ArrayLike) -> Grid:
        """The same box with ``factor`` times larger voxels (per axis or one for all)."""
        return self.with_spacing(self.spacing * np.asarray(factor, np.float64))

    def crop(self, start: Sequence[int], stop: Sequence[int]) -> Grid:
        """Voxels ``start[k] <= i < stop[k]``; beyond the edges (negative start) it grows."""
        affine = self.affine.copy()
        affine[:-1, -1] = self.world(start)
        return Grid(tuple(int(b) - int(a) for a, b in zip(start, stop, strict=True)), affine)

    # ---------------------------------------------------------------- value semantics
    def is_close(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Whether every voxel of both grids lies at the same place within ``tolerance`` mm."""
        return self.shape == other.shape and bool(np.abs(self.corners() - other.corners()).max() <= tolerance)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Grid) and self.shape == other.shape and np.array_equal(self.affine, other.affine)

    def __hash__(self) -> int:
        return hash((self.shape, self.affine.tobytes()))

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape))
        spacing = "x".join(f"{s:.4g}" for s in self.spacing)
        return f"Grid({size}, {spacing} mm, {self.axes})"
