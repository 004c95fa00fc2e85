"""Linear maps: translation, rigid, similarity, affine. One matrix each; the families differ in how they move.

Every family is a Lie group, and an optimiser's step is an element of its algebra: ``T.retract(u)`` is ``T o exp(u)`` with
``u = sum_p update[p] * generators(type(T), dim)[p]`` acting on points relative to the centre (mm and radians).
"""
from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import InputError, Transform

_FAMILY = 1e-4  # how far, relative to its size, a matrix may be from its family: headers and text files hold few digits
_CONDITION = 1e6  # of the linear part; beyond it the inverse is noise


@dataclass(frozen=True, eq=False, repr=False)
class Linear(Transform):
    """What the four families share.

    Parameters
    ----------
    matrix : (D+1, D+1), homogeneous fixed mm -> homogeneous moving mm.
    centre : (D,) mm, the point that rotations, scales and shears are about; it changes `params` and the meaning of
        an update, not the map. None: the world's origin.

    Raises
    ------
    InputError : the matrix is malformed, not finite, singular, or not of the family.
    """

    matrix: NDArray[np.float64]
    centre: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        matrix = _checked(self.matrix)
        dim = len(matrix) - 1
        centre = np.zeros(dim) if self.centre is None else np.array(self.centre, np.float64)
        if centre.shape != (dim,) or not np.isfinite(centre).all():
            raise InputError(f"centre {centre} of a {dim}-D transform: expected {dim} finite mm")
        linear = matrix[:-1, :-1]
        error = np.abs(linear - self._nearest(linear)).max() / np.linalg.norm(linear, 2)
        if error > _FAMILY:
            family = type(self).__name__.lower()
            raise InputError(f"matrix is not {family} (off by {error:.2g}): expected one of that family, or use Affine")
        matrix.setflags(write=False)
        centre.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "centre", centre)

    # ---------------------------------------------------------------- what a family is
    @staticmethod
    @abstractmethod
    def _basis(dim: int) -> NDArray[np.float64]:
        """Its Lie algebra, (P, D, D+1); see `generators`."""

    @staticmethod
    @abstractmethod
    def _nearest(linear: NDArray) -> NDArray[np.float64]:
        """The linear part of the family nearest to ``linear``, (D, D)."""

    @property
    @abstractmethod
    def params(self) -> NDArray[np.float64]:
        """The fewest numbers that say the map, given the centre; the last are those of the scale, if there is one."""

    @classmethod
    @abstractmethod
    def from_params(cls, params: ArrayLike, centre: ArrayLike) -> Self:
        """The map with these `params`."""

    # ---------------------------------------------------------------- constructors
    @classmethod
    def identity(cls, dim: int, centre: ArrayLike | None = None) -> Self:
        """Every point stays where it is; later updates turn about ``centre`` (mm)."""
        return cls(np.eye(dim + 1), None if centre is None else np.asarray(centre, np.float64))

    @classmethod
    def from_matrix(cls, matrix: ArrayLike, centre: ArrayLike | None = None) -> Self:
        """The member of the family that ``matrix`` means: as the constructor, with rounding of up to 1e-4 taken away.

        Raises
        ------
        InputError : the matrix is malformed, not finite, singular, or not of the family.
        """
        given = cls(np.asarray(matrix, np.float64), None if centre is None else np.asarray(centre, np.float64))
        return cls._about(cls._nearest(given.matrix[:-1, :-1]), given.translation, given.centre)

    @classmethod
    def _about(cls, linear: NDArray, translation: NDArray, centre: ArrayLike) -> Self:
        """x -> linear (x - centre) + centre + translation."""
        centre = np.asarray(centre, np.float64)
        matrix = np.eye(len(centre) + 1)
        matrix[:-1, :-1] = linear
        matrix[:-1, -1] = centre + translation - linear @ centre
        return cls(matrix, centre)

    # ---------------------------------------------------------------- the map
    @property
    def dim(self) -> int:
        """2 or 3."""
        return len(self.matrix) - 1

    @property
    def translation(self) -> NDArray[np.float64]:
        """Where the centre goes, relative to itself, (D,) mm."""
        return self.matrix[:-1, :-1] @ self.centre + self.matrix[:-1, -1] - self.centre

    def parts(self) -> tuple[NDArray[np.float64]]:
        """The matrix."""
        return (self.matrix,)

    def inverse(self) -> Self:
        """The inverse map, about the point where the centre goes."""
        return type(self)(np.linalg.inv(self.matrix), self.centre + self.translation)

    def retract(self, update: ArrayLike) -> Self:
        """``self o exp(update)``; (P,) in the order of `generators`, radians and mm (scales: logarithms)."""
        step = np.zeros_like(self.matrix)
        step[:-1] = np.tensordot(np.asarray(update, np.float64), self._basis(self.dim), 1)
        return type(self)(self.matrix @ _conjugate(_exponential(step), self.centre), self.centre)

    def __repr__(self) -> str:
        found = decompose(self)
        translation = ", ".join(f"{t:.4g}" for t in found.translation)
        scales = "" if np.allclose(found.scales, 1, atol=1e-6) else f", scales {', '.join(f'{s:.4g}' for s in found.scales)}"
        return f"{type(self).__name__}({found.angle_degrees:.4g} degrees, ({translation}) mm{scales})"


@dataclass(frozen=True, eq=False, repr=False)
class Translation(Linear):
    """x -> x + t. Parameters: t (D)."""

    @staticmethod
    def _basis(dim: int) -> NDArray[np.float64]:
        return np.concatenate([np.zeros((dim, dim, dim)), np.eye(dim)[:, :, None]], 2)

    @staticmethod
    def _nearest(linear: NDArray) -> NDArray[np.float64]:
        return np.eye(len(linear))

    @property
    def params(self) -> NDArray[np.float64]:
        """(D,) mm."""
        return self.translation

    @classmethod
    def from_params(cls, params: ArrayLike, centre: ArrayLike) -> Translation:
        """The map with these `params`."""
        return cls._about(np.eye(len(np.asarray(centre))), np.asarray(params, np.float64), centre)


@dataclass(frozen=True, eq=False, repr=False)
class Rigid(Linear):
    """x -> R (x - c) + c + t. Parameters: rotation vector (1 in 2-D, 3 in 3-D; radians), t (D)."""

    @staticmethod
    def _basis(dim: int) -> NDArray[np.float64]:
        turns = np.concatenate([_turns(dim), np.zeros((len(_turns(dim)), dim, 1))], 2)
        return np.concatenate([turns, Translation._basis(dim)])

    @staticmethod
    def _nearest(linear: NDArray) -> NDArray[np.float64]:
        return _polar(linear)[0]

    @property
    def params(self) -> NDArray[np.float64]:
        """(3,) in 2-D, (6,) in 3-D."""
        return np.concatenate([_rotation_vector(self.matrix[:-1, :-1]), self.translation])

    @classmethod
    def from_params(cls, params: ArrayLike, centre: ArrayLike) -> Rigid:
        """The map with these `params`."""
        params, dim = np.asarray(params, np.float64), len(np.asarray(centre))
        return cls._about(_rotation(params[:-dim]), params[-dim:], centre)


@dataclass(frozen=True, eq=False, repr=False)
class Similarity(Linear):
    """x -> s R (x - c) + c + t. Parameters: rotation vector, t, log s."""

    @staticmethod
    def _basis(dim: int) -> NDArray[np.float64]:
        return np.concatenate([Rigid._basis(dim), np.eye(dim, dim + 1)[None]])

    @staticmethod
    def _nearest(linear: NDArray) -> NDArray[np.float64]:
        rotation, stretch = _polar(linear)
        return rotation * (np.trace(stretch) / len(linear))

    @property
    def params(self) -> NDArray[np.float64]:
        """(4,) in 2-D, (7,) in 3-D."""
        scale = abs(np.linalg.det(self.matrix[:-1, :-1])) ** (1 / self.dim)
        return np.concatenate([_rotation_vector(self.matrix[:-1, :-1] / scale), self.translation, [np.log(scale)]])

    @classmethod
    def from_params(cls, params: ArrayLike, centre: ArrayLike) -> Similarity:
        """The map with these `params`."""
        params, dim = np.asarray(params, np.float64), len(np.asarray(centre))
        return cls._about(np.exp(params[-1]) * _rotation(params[: -dim - 1]), params[-dim - 1 : -1], centre)


@dataclass(frozen=True, eq=False, repr=False)
class Affine(Linear):
    """x -> A (x - c) + c + t. Parameters: A row by row, t."""

    @staticmethod
    def _basis(dim: int) -> NDArray[np.float64]:
        entries = np.eye(dim * dim).reshape(-1, dim, dim)
        return np.concatenate([np.concatenate([entries, np.zeros((dim * dim, dim, 1))], 2), Translation._basis(dim)])

    @staticmethod
    def _nearest(linear: NDArray) -> NDArray[np.float64]:
        return linear

    @property
    def params(self) -> NDArray[np.float64]:
        """(6,) in 2-D, (12,) in 3-D."""
        return np.concatenate([self.matrix[:-1, :-1].ravel(), self.translation])

    @classmethod
    def from_params(cls, params: ArrayLike, centre: ArrayLike) -> Affine:
        """The map with these `params`."""
        params, dim = np.asarray(params, np.float64), len(np.asarray(centre))
        return cls._about(params[:-dim].reshape(dim, dim), params[-dim:], centre)

    def nearest_rigid(self) -> Rigid:
        """The rigid map with the nearest rotation (polar decomposition) that takes the centre to the same point.

        Raises
        ------
        InputError : the map mirrors.
        """
        return Rigid._about(_polar(self.matrix[:-1, :-1])[0], self.translation, self.centre)

    def decompose(self) -> Decomposition:
        """Rotation, translation, scales and shears; see `decompose`."""
        return decompose(self)


@dataclass(frozen=True, eq=False)
class Decomposition:
    """A linear map in words: ``A = rotation @ (upper triangle of scales and shears)``.

    Parameters
    ----------
    angle_degrees : of the rotation, signed (anticlockwise) in 2-D, 0 to 180 in 3-D.
    axis : (3,) unit vector the rotation is about, in 3-D; empty in 2-D.
    translation : (D,) mm, of the centre.
    scales : (D,) along the axes; the first is negative where the map mirrors.
    shears : (1,) xy in 2-D, (3,) xy, xz, yz in 3-D; how far one axis slides along another, per mm.
    """

    angle_degrees: float
    axis: NDArray[np.float64]
    translation: NDArray[np.float64]
    scales: NDArray[np.float64]
    shears: NDArray[np.float64]


def decompose(transform: Linear) -> Decomposition:
    """Rotation, translation at the centre, scales and shears of a linear map."""
    rotation, upper = np.linalg.qr(transform.matrix[:-1, :-1])
    signs = np.sign(np.diag(upper))
    rotation, upper = rotation * signs, upper * signs[:, None]
    if np.linalg.det(rotation) < 0:  # the mirror goes to the first scale
        rotation[:, 0] *= -1
        upper[0] *= -1
    scales = np.diag(upper)
    turn = _rotation_vector(rotation)
    angle = float(turn[0] if transform.dim == 2 else np.linalg.norm(turn))
    axis = turn / angle if transform.dim == 3 and angle > 0 else np.eye(3)[2] if transform.dim == 3 else np.empty(0)
    shears = (upper / scales[:, None])[np.triu_indices(transform.dim, 1)]
    return Decomposition(float(np.degrees(angle)) + 0.0, axis, transform.translation, scales, shears)


def generators(model: type[Linear], dim: int) -> NDArray[np.float64]:
    """Basis of the Lie algebra of a family, (P, D, D+1), in the order of `Linear.retract`.

    The displacement of a point x under a small update is ``sum_p update[p] * generators[p] @ [x - centre, 1]`` mm:
    rotations (radians) first, then translations (mm), then the logarithm of the scale; for `Affine` the entries of
    the matrix row by row, then translations.
    """
    return model._basis(dim)


# ---------------------------------------------------------------- small algebra
def _checked(matrix: ArrayLike) -> NDArray[np.float64]:
    """A finite homogeneous matrix with an inverse, copied."""
    matrix = np.array(matrix, np.float64)
    if matrix.shape not in ((3, 3), (4, 4)):
        raise InputError(f"matrix of shape {matrix.shape}: expected (3, 3) for a 2-D or (4, 4) for a 3-D transform")
    if not np.isfinite(matrix).all():
        raise InputError("matrix contains NaN or infinity: the transform is damaged")
    if np.abs(matrix[-1] - np.eye(len(matrix))[-1]).max() > 1e-6:
        raise InputError(f"last row of the matrix is {matrix[-1]}: expected zeros and a one (is it transposed?)")
    if np.linalg.cond(matrix[:-1, :-1]) > _CONDITION:
        determinant = np.linalg.det(matrix[:-1, :-1])
        raise InputError(f"matrix is singular (determinant {determinant:.3g}): expected a map with an inverse")
    return matrix


def _conjugate(matrix: NDArray, centre: NDArray) -> NDArray[np.float64]:
    """The same motion about ``centre`` instead of the origin."""
    shift = np.eye(len(matrix))
    shift[:-1, -1] = centre
    back = np.eye(len(matrix))
    back[:-1, -1] = -centre
    return shift @ matrix @ back


def _polar(linear: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation and symmetric stretch with ``linear = rotation @ stretch``."""
    if np.linalg.det(linear) < 0:
        raise InputError("matrix mirrors (negative determinant): expected a rotation; only Affine can mirror")
    u, s, v = np.linalg.svd(linear)
    return u @ v, v.T @ np.diag(s) @ v


def _turns(dim: int) -> NDArray[np.float64]:
    """Generators of the rotations, (1, 2, 2) or (3, 3, 3), right-handed."""
    if dim == 2:
        return np.array([[[0.0, -1.0], [1.0, 0.0]]])
    return -np.array([[[(i - j) * (j - k) * (k - i) / 2 for k in range(3)] for j in range(3)] for i in range(3)], np.float64)


def _rotation(vector: NDArray) -> NDArray[np.float64]:
    """Rotation matrix of a rotation vector (1 or 3 radians)."""
    return _exponential(np.tensordot(vector, _turns(2 if len(vector) == 1 else 3), 1))


def _rotation_vector(rotation: NDArray) -> NDArray[np.float64]:
    """(1,) or (3,) radians."""
    if len(rotation) == 2:
        return np.array([np.arctan2(rotation[1, 0] - rotation[0, 1], rotation[0, 0] + rotation[1, 1])])
    quaternion = _quaternion(rotation)
    sine = np.linalg.norm(quaternion[1:])
    angle = 2 * np.arctan2(sine, quaternion[0])
    return quaternion[1:] * (angle / sine if sine > 1e-12 else 2.0)


def _quaternion(rotation: NDArray) -> NDArray[np.float64]:
    """(w, x, y, z) of a rotation matrix with w >= 0: the eigenvector of Bar-Itzhack 2000 (doi:10.2514/2.4654), exact at 180 degrees too."""
    r = rotation
    k = np.array([[r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
                  [0, r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2]],
                  [0, 0, r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2]],
                  [0, 0, 0, r[2, 2] - r[0, 0] - r[1, 1]]])
    quaternion = np.linalg.eigh(k, UPLO="U")[1][:, -1]
    return quaternion if quaternion[0] >= 0 else -quaternion


def _exponential(matrix: NDArray) -> NDArray[np.float64]:
    """Matrix exponential by scaling, a Taylor series, and squaring: for the small matrices here as exact as any, without SciPy."""
    squarings = max(int(np.ceil(np.log2(max(np.abs(matrix).sum(1).max(), 1e-30) / 0.25))), 0)
    small = matrix / 2.0**squarings
    term = total = np.eye(len(matrix))
    for k in range(1, 14):
        term = term @ small / k
        total = total + term
    for _ in range(squarings):
        total = total @ total
    return total
