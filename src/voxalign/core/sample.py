"""Sampling: the only bridge between where (grids, transforms) and what (images)."""
from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import arrays, kernels
from .errors import InputError, choose
from .grid import Grid
from .image import Image
from .transform import Field, Identity, Transform

INTERPOLATIONS = ("linear", "nearest", "cubic", "label")


def sample(data: ArrayLike, grid: Grid, points: ArrayLike, interpolation: str = "linear", outside: float = 0.0) -> NDArray:
    """Values of ``data`` at world points.

    Parameters
    ----------
    data : (C, *grid.shape).
    points : (..., D) mm.
    interpolation : ``linear``, ``nearest``, ``cubic`` (B-spline) or ``label`` (the label with the largest linear
        weight: smoother outlines than nearest, never a blend).
    outside : value beyond the covered box (half a voxel around the outermost centres).

    Returns
    -------
    (C, ...) float32, or the label type.
    """
    points = np.asarray(points, np.float64)
    index = grid.index(points.reshape(-1, grid.dim))
    values = kernels.sample(np.asarray(data), index, choose(interpolation, INTERPOLATIONS, "interpolation"), outside)
    return values.reshape(len(values), *points.shape[:-1])


def resample(image: Image, grid: Grid, transform: Transform | None = None, interpolation: str | None = None,
             outside: float = 0.0) -> Image:
    """Pull ``image`` back onto ``grid`` along ``transform`` (points of ``grid``'s space -> points of the image's space).

    Parameters
    ----------
    interpolation : as in `sample`; by default ``label`` for labels and ``linear`` for images.
    outside : value where the image is not defined; the result's mask says where that is, if the image has a mask.

    Returns
    -------
    Image on ``grid``, same channels and type; its mask is the pulled-back mask (a voxel counts if at least half of
    what it is made of counts).

    Raises
    ------
    InputError : dimensions disagree.  UsageError : labels asked to be blended.
    """
    transform = Identity(image.dim) if transform is None else transform
    if not image.dim == grid.dim == transform.dim:
        raise InputError(f"cannot resample a {image.dim}-D image on a {grid.dim}-D grid along a {transform.dim}-D transform")
    interpolation = choose(interpolation or ("label" if image.is_label else "linear"), INTERPOLATIONS, "interpolation")
    if image.is_label and interpolation not in ("label", "nearest"):
        raise InputError(f"labels are never blended: interpolation {interpolation!r} given, expected 'label' or 'nearest'")
    data = pull(image.data, image.grid, grid, transform, interpolation, outside)
    mask = None
    if image.mask is not None:
        weight = pull(image.mask[None].astype(np.float32), image.grid, grid, transform, "linear", 0.0)
        mask = weight[0] >= 0.5
    return Image(data, grid, mask, image.is_label)


def pull(data: NDArray, source: Grid, target: Grid, transform: Transform, interpolation: str = "linear",
         outside: float = 0.0) -> NDArray:
    """`resample` of bare arrays: (C, *source.shape) -> (C, *target.shape)."""
    parts = transform.parts()
    if parts is None or interpolation == "cubic":
        return _pull_by_planes(data, source, target, transform, interpolation, outside)
    chain = _merge(parts)
    to_index, from_index = source.inverse_affine, target.affine
    matrices = [part for part in chain if not isinstance(part, Field)]
    fields = [part for part in chain if isinstance(part, Field)]
    if len(fields) <= 1:
        if not fields:
            matrix = reduce(lambda a, b: b @ a, matrices, np.eye(source.dim + 1))
            return kernels.pull(data, target.shape, to_index @ matrix @ from_index, interpolation=interpolation, outside=outside)
        field = fields[0]
        at = next(i for i, part in enumerate(chain) if part is field)
        before = chain[0] if at else np.eye(source.dim + 1)
        after = to_index @ (chain[-1] if at < len(chain) - 1 else np.eye(source.dim + 1))
        return kernels.pull(data, target.shape, field.grid.inverse_affine @ before @ from_index,
                            (field.data, after @ field.grid.affine, after[:-1, :-1]), interpolation, outside)
    return _pull_by_planes(data, source, target, transform, interpolation, outside)


def _pull_by_planes(data: NDArray, source: Grid, target: Grid, transform: Transform, interpolation: str,
                    outside: float) -> NDArray:
    """Any map and any interpolation; one plane at a time bounds the memory of the point list."""
    out = None
    for i in range(target.shape[0]):
        start, stop = (i, *(0,) * (target.dim - 1)), (i + 1, *target.shape[1:])
        points = transform(target.crop(start, stop).points()[0])
        index = source.index(points.reshape(-1, source.dim))
        plane = kernels.sample(data, index, interpolation, outside).reshape(len(data), *target.shape[1:])
        out = arrays.empty((len(data), *target.shape), plane) if out is None else out
        out[:, i] = plane
    return out


def displacement(transform: Transform, grid: Grid) -> NDArray[np.float32]:
    """What ``transform`` adds to every voxel centre of ``grid``, (D, *grid.shape) float32 mm."""
    out = np.empty((grid.dim, *grid.shape), np.float32)
    for i in range(grid.shape[0]):
        points = grid.crop((i, *(0,) * (grid.dim - 1)), (i + 1, *grid.shape[1:])).points()[0]
        out[:, i] = np.moveaxis(transform(points) - points, -1, 0)
    return out


def _merge(parts: tuple) -> list:
    """Neighbouring matrices multiplied into one."""
    merged: list = []
    for part in parts:
        if merged and not isinstance(part, Field) and not isinstance(merged[-1], Field):
            merged[-1] = part @ merged[-1]
        else:
            merged.append(part)
    return merged
