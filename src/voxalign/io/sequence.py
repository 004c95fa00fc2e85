"""Sequences of images, read and written one frame at a time: memory holds one, however many there are."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core import Grid, Image, InputError
from .atomic import atomic_path
from .header import Header, flatten, refuse, say, shown
from .image import as_intensities, as_labels, read_header
from .nifti import fortran, header_bytes, packing
from .stream import pack


@dataclass(frozen=True, eq=False)
class Series:
    """Frames in one file or in several, in order.

    Parameters
    ----------
    parts : file and header of each; a single file holds all frames.
    is_label : whether frames are label maps.
    flat : whether frames of one slice are taken as 2-D images, see `plane`.
    """

    parts: tuple[tuple[Path, Header], ...]
    is_label: bool = False
    flat: bool = False

    @property
    def grid(self) -> Grid:
        """Of the first frame."""
        grid = self.parts[0][1].grid
        return _plane(grid)[0] if self.flat else grid

    @property
    def seconds(self) -> float | None:
        """Between frames; None if the file does not say."""
        return self.parts[0][1].details.get("frame_seconds")

    def __len__(self) -> int:
        return sum(header.frames for _, header in self.parts)

    def __iter__(self) -> Iterator[Image]:
        for path, header in self.parts:
            for raw in header.each() if header.each else map(header.read, range(header.frames)):
                yield self._image(path, raw, header)

    def frame(self, number: int) -> Image:
        """One of them, from 0."""
        for path, header in self.parts:
            if number < header.frames:
                return self._image(path, header.read(number), header)
            number -= header.frames
        raise InputError(f"frame {number + len(self)} was asked for: expected 0 to {len(self) - 1}")

    def _image(self, path: Path, raw: np.ndarray, header: Header) -> Image:
        image = (as_labels if self.is_label else as_intensities)(path, raw, header)
        return plane(image) if self.flat else image


def plane(image: Image) -> Image:
    """The one slice of a 3-D image as a 2-D image, in mm of its plane as 2-D files are read; what has no single slice as it is."""
    if image.dim == 2 or min(image.grid.shape) > 1:
        return image
    grid, across = _plane(image.grid)
    mask = None if image.mask is None else image.mask.take(0, across)
    return Image(np.ascontiguousarray(image.data.take(0, across + 1)), grid, mask, image.is_label)


def _plane(grid: Grid) -> tuple[Grid, int]:
    """The grid of the one slice, and the axis across it."""
    across = int(np.argmin(grid.shape))
    along = [k for k in range(3) if k != across]
    affine, _ = flatten(Path(), grid.affine[:, [*along, across, 3]])
    return Grid(tuple(grid.shape[k] for k in along), affine), across


def open_series(paths: Sequence[Path], is_label: bool = False) -> Series:
    """Understand one file with several frames, or several files with one or more each; no voxel is read.

    Raises
    ------
    InputError : no frames, several values a voxel, 2-D among 3-D, damaged files.
    """
    parts = tuple((Path(path), read_header(Path(path))) for path in paths)
    if not parts:
        raise InputError("no file was given: expected one with several frames, or several files")
    for path, header in parts:
        for text in header.notes:
            say(text)
        if header.channels > 1 or header.kind != "scalar":
            raise refuse(path, f"it holds {header.channels} values a voxel ({header.kind}): expected a sequence of scalar images")
        if header.grid.dim != parts[0][1].grid.dim:
            raise refuse(path, f"it is {header.grid.dim}-D among {parts[0][1].grid.dim}-D frames: expected one dimension")
    return Series(parts, is_label)


@contextmanager
def writing(path: Path, frames: int, seconds: float | None = None) -> Iterator[Callable[[Image], None]]:
    """A function that appends a frame to a NIfTI file; the file appears when the block ends, with all ``frames``, or not at all.

    Parameters
    ----------
    path : ending in ``.nii`` or ``.nii.gz``.
    seconds : between frames.

    Raises
    ------
    InputError : another suffix, frames on different grids, fewer or more than announced; see `atomic_path`.
    """
    path = Path(path)
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise InputError(f"cannot write a sequence to {shown(path)}: expected a name ending in .nii or .nii.gz")
    with atomic_path(path) as partial, open(partial, "wb") as file:
        grids: list[Grid] = []

        def append(frame: Image) -> None:
            if grids and not frame.grid.is_close(grids[0]):
                raise InputError(f"frame {len(grids)} is on {frame.grid}, the first on {grids[0]}: expected one grid for all")
            dtype = np.dtype(np.int32 if frame.is_label else np.float32)
            parts: list = [memoryview(fortran(frame.array.astype(dtype, copy=False)))]
            if not grids:
                parts.insert(0, header_bytes(frame, dtype, path, frames, seconds or 1.0))
            for part in pack(parts, strategy=packing(frame)) if path.name.lower().endswith(".gz") else parts:
                file.write(part)
            grids.append(frame.grid)

        yield append
        if len(grids) != frames:
            raise InputError(f"{len(grids)} frames were written to {path.name}, {frames} were announced")
