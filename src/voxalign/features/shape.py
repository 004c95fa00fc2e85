"""What a region is like as a whole: size, place, axes, surface, and numbers that no rotation changes. All in mm of the world."""
from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..core import Image, InputError, require


@dataclass(frozen=True, eq=False)
class Region:
    """One label of a label map.

    Parameters
    ----------
    volume_mm3 : mm^2 in 2-D.
    centroid : (D,) mm, RAS+.
    axes_mm : (D,) full lengths of the axes of the ellipsoid with the same second moments, longest first.
    directions : (D, D) unit rows, of these axes.
    surface_mm2 : length of the outline in mm in 2-D.
    sphericity : 1 for a ball (a disc in 2-D), less for all else; pixels may lift it slightly above.
    """

    label: int
    voxels: int
    volume_mm3: float
    centroid: NDArray[np.float64]
    axes_mm: NDArray[np.float64]
    directions: NDArray[np.float64]
    surface_mm2: float
    sphericity: float


def regions(labels: Image) -> tuple[Region, ...]:
    """Descriptions of all labels but 0, in order; what is masked out is not counted.

    Raises
    ------
    InputError : no label map.
    """
    array = require.labels(labels, "regions")
    array = array if labels.mask is None else np.where(labels.mask, array, 0)
    return tuple(_region(array, int(label), labels) for label in np.unique(array) if label)


def _region(array: NDArray, label: int, labels: Image) -> Region:
    inside = array == label
    points = labels.grid.world(np.argwhere(inside))
    volume, dim = len(points) * labels.grid.voxel_volume, labels.dim
    covariance = np.cov(points.T, bias=True) if len(points) > 1 else np.zeros((dim, dim))
    matrix = labels.grid.affine[:-1, :-1]
    values, vectors = np.linalg.eigh(covariance + matrix @ matrix.T / 12)  # voxels are boxes, not points
    surface = _surface(inside, labels)
    ball = np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) if dim == 3 else 2 * np.sqrt(np.pi * volume)
    return Region(label, len(points), volume, points.mean(0), 2 * np.sqrt((dim + 2) * values[::-1]), vectors.T[::-1], surface,
                  ball / surface)


def _surface(inside: NDArray, labels: Image) -> float:
    """Area of the surface (length of the outline) at the half of slightly smoothed voxels, whose steps would make it too large."""
    from scipy import ndimage
    from skimage import measure

    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    soft = ndimage.gaussian_filter(np.pad(inside[box], 4).astype(np.float32), 0.7)
    matrix = labels.grid.affine[:-1, :-1]
    if min(soft.max(), 1) <= 0.5:  # a thread or a point: its own box
        soft = np.pad(inside[box], 4).astype(np.float32)
    if inside.ndim == 3:
        vertices, faces, *_ = measure.marching_cubes(soft, 0.5)
        return float(measure.mesh_surface_area(vertices @ matrix.T, faces))
    return float(sum(np.linalg.norm(np.diff(line @ matrix.T, axis=0), axis=1).sum() for line in measure.find_contours(soft, 0.5)))


def hu_moments(image: Image) -> NDArray[np.float64]:
    """The seven numbers of a 2-D image or label map (all but 0) that shift, scale and rotation leave as they are, (7,).

    Hu 1962 (doi:10.1109/TIT.1962.1057692). The seventh changes its sign in a mirror.

    Raises
    ------
    InputError : not 2-D, or nothing but 0.
    """
    if image.dim != 2:
        raise InputError(f"hu_moments: a {image.dim}-D image was given; expected 2-D (moment_invariants is for 3-D)")
    n = central_moments(image, 3)
    n20, n02, n11, n30, n12, n21, n03 = n[2, 0], n[0, 2], n[1, 1], n[3, 0], n[1, 2], n[2, 1], n[0, 3]
    p, q = n30 + n12, n21 + n03
    r, s = n30 - 3 * n12, 3 * n21 - n03
    return np.array([n20 + n02, (n20 - n02) ** 2 + 4 * n11**2, r**2 + s**2, p**2 + q**2,
                     r * p * (p**2 - 3 * q**2) + s * q * (3 * p**2 - q**2), (n20 - n02) * (p**2 - q**2) + 4 * n11 * p * q,
                     s * p * (p**2 - 3 * q**2) - r * q * (3 * p**2 - q**2)])


def moment_invariants(image: Image) -> NDArray[np.float64]:
    """Numbers of a 3-D image or label map (all but 0) that shift, scale, rotation and mirrors leave as they are, (5,).

    J1, J2, J3 of the second moments (Sadjadi and Hall 1980, doi:10.1109/TPAMI.1980.4766990); and of the third moments the sum of the
    squares of all T_ijk, and of those of T_iij (Lo and Don 1989 give the like).

    Raises
    ------
    InputError : not 3-D, or nothing but 0.
    """
    if image.dim != 3:
        raise InputError(f"moment_invariants: a {image.dim}-D image was given; expected 3-D (hu_moments is for 2-D)")
    n = central_moments(image, 3)
    second, third = _tensor(n, 2), _tensor(n, 3)
    j2 = (np.trace(second) ** 2 - np.trace(second @ second)) / 2
    return np.array([np.trace(second), j2, np.linalg.det(second), (third**2).sum(), (np.einsum("iij->j", third) ** 2).sum()])


def central_moments(image: Image, order: int) -> NDArray[np.float64]:
    """Moments about the centroid, of world mm, up to ``order`` along each axis, made free of scale: entry [p, q(, r)].

    Raises
    ------
    InputError : several channels, or the sum of all values is not above 0.
    """
    weight = (image.array != 0).astype(np.float64) if image.is_label else image.array.astype(np.float64)
    weight = weight if image.mask is None else np.where(image.mask, weight, 0)
    at = np.nonzero(weight)
    values, points = weight[at] * image.grid.voxel_volume, image.grid.world(np.stack(at, -1))
    total = values.sum()
    if not total > 0:
        raise InputError(f"moments: the values sum to {total:.6g}; expected labels, or an image brighter than 0")
    offset = points - values @ points / total
    powers = [np.stack([offset[:, axis] ** p for p in range(order + 1)]) for axis in range(image.dim)]
    letters = "abc"[:image.dim]
    moments = np.einsum(",".join(f"{c}n" for c in letters) + f",n->{letters}", *powers, values, optimize=True)
    degree = sum(np.meshgrid(*[np.arange(order + 1)] * image.dim, indexing="ij"))
    return moments / total ** (1 + degree / image.dim)


def _tensor(moments: NDArray, order: int) -> NDArray[np.float64]:
    """T_ij.. = sum of x_i x_j ..., (3,) * order."""
    out = np.empty((3,) * order)
    for index in product(range(3), repeat=order):
        out[index] = moments[tuple(index.count(axis) for axis in range(3))]
    return out
