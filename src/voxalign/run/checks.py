"""What an input must be before any time is spent on it."""
from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import io
from ..core import Grid, Image, InputError, InputWarning, resample

_FEW_VOXELS = 64
_LABEL_VALUES = 300


def warn(message: str) -> None:
    """Say that something odd was accepted."""
    warnings.warn(message, InputWarning, stacklevel=3)


def check_image(image: Image, name: str) -> None:
    """Refuse what has nothing to align; notice label maps.

    Raises
    ------
    InputError : several channels, no finite voxel, or one value everywhere.
    """
    if image.channels != 1:
        raise InputError(f"{name}: has {image.channels} channels, expected one; choose a frame or channel first")
    if min(image.grid.shape) < 2:
        raise InputError(f"{name}: has shape {image.grid.shape}, expected 2 or more along each axis; give the whole volume")
    values = image.array if image.mask is None else image.array[image.mask]
    if not values.size:
        raise InputError(f"{name}: no voxel is usable (all NaN, or masked out), expected an image")
    if values.min() == values.max():
        raise InputError(f"{name}: every voxel is {values.flat[0]:.6g}, expected contrast; is it the right file?")
    if image.is_label or looks_like_labels(image.array):
        warn(f"{name}: looks like a label map, not like an image; labels go with --fixed-labels and --moving-labels")


def loaded(paths: Sequence[Path]) -> list[Image]:
    """Images of files, each as `check_image` wants it."""
    images = [io.load(path) for path in paths]
    for image, path in zip(images, paths, strict=True):
        check_image(image, str(path))
    return images


def looks_like_labels(values: NDArray) -> bool:
    """Whether values are few whole numbers in homogeneous regions."""
    step = tuple(slice(None, None, max(1, n // 96)) for n in values.shape)  # a sample is enough, and quick
    coarse = values[step]
    if values.dtype.kind == "f" and (coarse != np.rint(coarse)).any():
        return False
    if len(np.unique(coarse)) > _LABEL_VALUES:
        return False
    here, there = values[step[0], ...][:, :-1], values[step[0], ...][:, 1:]
    inside = (here != 0) & (there != 0)
    return bool(inside.any() and (here[inside] == there[inside]).mean() > 0.6)


def labelled(image: Image, interpolation: str | None, name: str) -> Image:
    """``image`` as labels where that was asked for, or where it looks like labels and nothing was asked for."""
    if image.is_label or not (interpolation == "label" or looks_like_labels(image.data[0])):
        return image
    if interpolation in ("linear", "cubic"):
        warn(f"{name}: looks like a label map; {interpolation} interpolation makes labels that mean nothing")
        return image
    if interpolation is None:
        warn(f"{name}: looks like a label map and is treated as one; ask for linear interpolation if it is not")
    return Image(image.data, image.grid, image.mask, is_label=True)


def check_pair(fixed: Image, moving: Image, start: str) -> None:
    """Refuse pairs that cannot share a space; notice those that do not overlap.

    Raises
    ------
    InputError : 2-D with 3-D; no overlap although ``start`` is ``none``.
    """
    if fixed.dim != moving.dim:
        raise InputError(f"fixed is {fixed.dim}-D and moving is {moving.dim}-D, expected the same; extract the slice first")
    if overlap(fixed.grid, moving.grid) > 0:
        return
    apart = np.linalg.norm(fixed.grid.centre - moving.grid.centre)
    message = f"the fields of view do not overlap (centres {apart:.0f} mm apart by the headers)"
    if start == "none":
        raise InputError(f"{message}: expected some overlap with initial 'none'; use --initial search or centres")
    warn(f"{message}; only the contents can bring them together")


def overlap(a: Grid, b: Grid, samples: int = 16) -> float:
    """Fraction of the box of ``a`` that lies in that of ``b``, from a lattice of samples in both directions."""
    inside_b = b.contains(a.with_shape((samples,) * a.dim).points()).mean()
    inside_a = a.contains(b.with_shape((samples,) * b.dim).points()).mean()
    return float(max(inside_b, inside_a * b.extent.prod() / a.extent.prod()))


def masked(image: Image, mask: Image | None, name: str) -> Image:
    """``image`` with ``mask`` (on any grid, above 0 counts) brought to its grid and joined with its own.

    Raises
    ------
    InputError : the mask is empty, or of another dimension.
    """
    if mask is None:
        return image
    values = np.unique(mask.data)
    if len(values) > 2 or (len(values) == 2 and values[0] != 0):
        warn(f"{name}: mask holds {len(values)} different values, expected 0 and one other; all above 0 count")
    chosen = Image((mask.data > 0).any(0).astype(np.uint8), mask.grid, is_label=True)
    if not mask.grid.is_close(image.grid, 0.01 * float(image.grid.spacing.min())):
        if mask.dim != image.dim:
            raise InputError(f"{name}: mask is {mask.dim}-D, expected {image.dim}-D as the image")
        _notice_field_of_view(image.grid, mask.grid, name)
        chosen = resample(chosen, image.grid, interpolation="nearest")
    inside = chosen.array > 0
    inside = inside if image.mask is None else inside & image.mask
    count = int(inside.sum())
    if not count:
        raise InputError(f"{name}: no voxel of the image lies in the mask, expected some; is it the mask of another image?")
    if count < _FEW_VOXELS:
        warn(f"{name}: only {count} voxels lie in the mask")
    return image.with_mask(inside)


def _notice_field_of_view(grid: Grid, mask: Grid, name: str) -> None:
    outside = grid.index(mask.corners()) - (np.array(grid.shape) - 1) / 2
    gap = np.abs(np.abs(outside) - (np.array(grid.shape) - 1) / 2).max()
    if gap > 1:
        warn(f"{name}: mask is on another grid whose field of view differs by up to {gap:.0f} voxels; matched in the world")
