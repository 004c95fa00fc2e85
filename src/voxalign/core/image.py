"""What is there: samples on a grid, with the voxels that count."""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .grid import Grid


@dataclass(frozen=True, eq=False)
class Image:
    """Samples on a grid.

    Parameters
    ----------
    data : (C, *grid.shape); a plain (*grid.shape) array gets its channel axis. float32 for intensities, the
        integer type as given for labels. Arrays are C-contiguous (copied if need be) and must not be changed.
    grid : where the voxels are.
    mask : boolean (*grid.shape) of the voxels that count, or None for all. NaN and infinite voxels are
        set to 0 and masked out.
    is_label : values are names, not amounts: never blended by interpolation.

    Raises
    ------
    InputError : shapes that disagree, complex data.
    """

    data: NDArray
    grid: Grid
    mask: NDArray[np.bool_] | None = None
    is_label: bool = False

    def __post_init__(self) -> None:
        data = np.asarray(self.data)
        if data.dtype.kind not in "biuf":
            raise InputError(f"image data of type {data.dtype}: expected real numbers (take the magnitude of complex data first)")
        if data.shape == self.grid.shape:
            data = data[None]
        if data.ndim != self.grid.dim + 1 or data.shape[1:] != self.grid.shape:
            raise InputError(f"data of shape {data.shape} on a grid of shape {self.grid.shape}: expected (channels, *grid shape)")
        mask = self.mask
        if mask is not None:
            mask = np.ascontiguousarray(mask, bool)
            if mask.shape != self.grid.shape:
                raise InputError(f"mask of shape {mask.shape} on a grid of shape {self.grid.shape}")
        if self.is_label:
            data, mask = _whole_numbers(data, mask)
        else:
            data, mask = _finite(data, mask)
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "mask", mask)

    @classmethod
    def from_array(cls, array: ArrayLike, affine: ArrayLike | None = None, **kwargs) -> Image:
        """An image of a bare array (*shape); without ``affine`` (index -> world mm) voxels are 1 mm and start at 0."""
        array = np.asarray(array)
        affine = np.eye(array.ndim + 1) if affine is None else affine
        return cls(array, Grid(array.shape, affine), **kwargs)

    @property
    def dim(self) -> int:
        """2 or 3."""
        return self.grid.dim

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.data)

    @property
    def array(self) -> NDArray:
        """The samples of a one-channel image without the channel axis, (*grid.shape)."""
        if self.channels != 1:
            raise InputError(f"image has {self.channels} channels: choose one of image.data[c]")
        return self.data[0]

    def with_data(self, data: ArrayLike) -> Image:
        """The same place, mask and kind with other samples."""
        return replace(self, data=np.asarray(data))

    def with_mask(self, mask: ArrayLike | None) -> Image:
        """The same samples with another mask (replaced, not combined)."""
        return replace(self, mask=None if mask is None else np.asarray(mask, bool))

    def __array__(self, dtype=None, copy=None) -> NDArray:
        array = self.array if self.channels == 1 else self.data
        return np.array(array, dtype=dtype, copy=True) if copy or dtype is not None else array

    def __repr__(self) -> str:
        kind = "labels" if self.is_label else "image"
        channels = f", {self.channels} channels" if self.channels > 1 else ""
        masked = f", mask {self.mask.mean():.0%}" if self.mask is not None else ""
        low, high = (self.data.min(), self.data.max()) if self.data.size else (0, 0)
        return f"Image({kind} {self.data.dtype}, {str(self.grid)[5:-1]}{channels}, values {low:.4g} to {high:.4g}{masked})"


def _finite(data: NDArray, mask: NDArray | None) -> tuple[NDArray, NDArray | None]:
    """float32, with NaN and infinity (also those made by the conversion) set to 0 and masked out."""
    with np.errstate(over="ignore", invalid="ignore"):
        out = np.ascontiguousarray(data, np.float32)
        total = out.sum(dtype=np.float64) if data.dtype.kind == "f" else 0.0  # one pass without a temporary
    if not np.isfinite(total):
        good = np.isfinite(out)
        out = np.where(good, out, np.float32(0))
        valid = good.all(0)
        mask = valid if mask is None else mask & valid
    return out, mask


def _whole_numbers(data: NDArray, mask: NDArray | None) -> tuple[NDArray, NDArray | None]:
    """Labels as integers; floats are accepted if they hold whole numbers."""
    if data.dtype.kind == "f":
        data = np.where(np.isfinite(data), data, 0)
        rounded = np.rint(data)
        if np.abs(data - rounded).max(initial=0) > 1e-3:
            raise InputError("labels hold fractions: expected whole numbers (was the label map interpolated linearly?)")
        _check_fits(rounded)
        data = rounded.astype(np.int32)
    if data.dtype.kind == "b":
        data = data.astype(np.uint8)
    if data.dtype.itemsize == 8 or data.dtype == np.uint32:
        _check_fits(data)
        data = data.astype(np.int32)
    return np.ascontiguousarray(data), mask


def _check_fits(labels: NDArray) -> None:
    """Refuse labels beyond 32 bits: they would become others."""
    for label in (labels.min(), labels.max()) if labels.size else ():
        if not np.iinfo(np.int32).min <= label <= np.iinfo(np.int32).max:
            raise InputError(f"label {label:.6g} does not fit 32 bits: expected a label map, whose values are small whole numbers")
