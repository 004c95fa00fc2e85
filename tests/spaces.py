"""Grids of every kind, small maps, and the same things as SimpleITK sees them."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import map_coordinates

from voxalign.core import Field, Grid, Image, Transform


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    """Rotations about the world's x, y and z axes, one after the other, (3, 3)."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        a, b = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def homogeneous(linear: np.ndarray, translation: tuple[float, ...]) -> np.ndarray:
    """(D, D) and (D,) as (D+1, D+1)."""
    matrix = np.eye(len(linear) + 1)
    matrix[:-1, :-1], matrix[:-1, -1] = linear, translation
    return matrix


_SPACING = np.diag([1.1, 0.9, 2.3])
_SHEAR = np.array([[1, 0.0, 0.25], [0, 1, -0.1], [0, 0, 1]])

GRIDS: dict[str, Grid] = {
    "RAS": Grid((14, 17, 11), homogeneous(np.diag([1.5, 1.5, 1.5]), (-9.0, -12.0, -7.0))),
    "LAS": Grid((15, 12, 13), homogeneous(np.diag([-1.2, 1.4, 1.6]), (8.0, -9.0, -10.0))),
    "LPS": Grid((13, 16, 12), homogeneous(np.diag([-1.3, -1.1, 1.7]), (9.0, 8.0, -9.0))),
    "oblique": Grid((16, 18, 9), homogeneous(rotation((17, -24, 31)) @ _SPACING, (-3.0, -12.0, -9.0))),
    "left-handed": Grid((12, 16, 10), homogeneous(rotation((-12, 35, 8)) @ np.diag([1.3, 1.0, 1.9])[:, [1, 0, 2]], (-9, -8, -8))),
    "sheared": Grid((13, 15, 9), homogeneous(rotation((6, -9, 14)) @ _SHEAR @ _SPACING, (-6.0, -9.0, -9.0))),
    "2-D": Grid((19, 23), homogeneous(rotation((0, 0, 21))[:2, :2] @ np.diag([0.9, -1.3]), (-9.0, 13.0))),
}
SPATIAL = [name for name in GRIDS if name != "2-D"]
ORTHOGONAL = [name for name in GRIDS if name != "sheared"]


@dataclass(frozen=True, eq=False)
class Matrix(Transform):
    """A linear map for tests."""

    matrix: np.ndarray

    @property
    def dim(self) -> int:
        return len(self.matrix) - 1

    def parts(self):
        return (self.matrix,)

    def inverse(self):
        return Matrix(np.linalg.inv(self.matrix))


@dataclass(frozen=True, eq=False)
class Displaced(Transform):
    """A displacement field for tests, without an inverse."""

    field: Field

    @property
    def dim(self) -> int:
        return self.field.grid.dim

    def parts(self):
        return (self.field,)

    def inverse(self):
        raise NotImplementedError


def tilt(dim: int) -> Matrix:
    """A mild affine map."""
    linear = rotation((4, -7, 11))[:dim, :dim] @ np.diag([1.05, 0.93, 1.1][:dim])
    return Matrix(homogeneous(linear, (1.3, -0.8, 0.6)[:dim]))


def waves(grid: Grid, amplitude: float = 1.0, length: float = 25.0) -> Displaced:
    """A smooth displacement of at most ``amplitude`` mm with waves of ``length`` mm."""
    x = grid.points() * (2 * np.pi / length)
    data = [amplitude * np.sin(x[..., k] + 0.7 * k) * np.cos(x[..., (k + 1) % grid.dim]) for k in range(grid.dim)]
    return Displaced(Field(np.stack(data), grid))


def smooth_image(grid: Grid, rng: np.random.Generator) -> Image:
    """Values that vary over a few voxels, none of them special."""
    coarse = rng.random(tuple(max(2, n // 3) for n in grid.shape)).astype(np.float32)
    axes = np.meshgrid(*[np.linspace(0, m - 1, n) for m, n in zip(coarse.shape, grid.shape, strict=True)], indexing="ij")
    return Image(map_coordinates(coarse, axes, order=3, mode="mirror") * 100 + rng.random(grid.shape), grid)


# ---------------------------------------------------------------- the same in ITK's words: x, y, z order, LPS
def flip(dim: int) -> np.ndarray:
    """RAS <-> LPS, (D, D)."""
    return np.diag([-1.0, -1.0, 1.0][:dim])


def itk_image(array: np.ndarray, grid: Grid, vector: bool = False) -> sitk.Image:
    """(*shape) or, as vectors, (D, *shape) on a grid."""
    order = (*range(grid.dim - 1, -1, -1),)
    image = sitk.GetImageFromArray(np.moveaxis(array, 0, -1).transpose(*order, grid.dim), isVector=True) if vector else \
        sitk.GetImageFromArray(array.transpose(order))
    image.SetSpacing(grid.spacing.tolist())
    image.SetOrigin((flip(grid.dim) @ grid.origin).tolist())
    image.SetDirection((flip(grid.dim) @ grid.direction).ravel().tolist())
    return image


def itk_transform(transform: Transform) -> sitk.Transform:
    """The same map; ITK applies the last of a composite first."""
    parts = [_itk_part(part) for part in transform.parts()]
    return sitk.CompositeTransform(parts[::-1]) if parts else sitk.Transform(transform.dim, sitk.sitkIdentity)


def _itk_part(part: np.ndarray | Field) -> sitk.Transform:
    if isinstance(part, Field):
        lps = np.tensordot(flip(part.grid.dim), part.data.astype(np.float64), 1)
        return sitk.DisplacementFieldTransform(itk_image(lps, part.grid, vector=True))
    dim = len(part) - 1
    affine = sitk.AffineTransform(dim)
    affine.SetMatrix((flip(dim) @ part[:-1, :-1] @ flip(dim)).ravel().tolist())
    affine.SetTranslation((flip(dim) @ part[:-1, -1]).tolist())
    return affine


def itk_resample(image: Image, grid: Grid, transform: Transform, interpolator: int) -> np.ndarray:
    """What SimpleITK pulls back on ``grid``, (*shape)."""
    reference = itk_image(np.zeros(grid.shape, np.float32), grid)
    moved = sitk.Resample(itk_image(image.array, image.grid), reference, itk_transform(transform), interpolator, 0.0)
    return sitk.GetArrayFromImage(moved).transpose(*range(grid.dim - 1, -1, -1))
