"""From files to tensors on one common grid."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import io
from ..core import Grid, Image, InputError, Transform, resample
from ..nn import Inputs
from ..transforms import Affine
from .table import Scan, Table

_CACHE_BYTES = 4 << 30


@dataclass(frozen=True, eq=False)
class Sample:
    """A scan on the common grid, as tensors.

    Parameters
    ----------
    image : (C, *S) float32, about 0 to 1.
    labels : (*S) int16, the number of the structure in `Space.structures` and 0 elsewhere; None if there are none.
    points : (N, D) in voxels; None if there are none.
    """

    image: Tensor
    labels: Tensor | None = None
    points: Tensor | None = None


@dataclass(frozen=True)
class Space:
    """The common grid, and the structures that labels name.

    Parameters
    ----------
    shape : voxels along the axes of the world (RAS+).
    spacing : mm.
    structures : label numbers but 0, ascending.
    """

    shape: tuple[int, ...]
    spacing: float
    structures: tuple[int, ...] = ()

    def grid(self) -> Grid:
        """The common grid; the middle of it is the origin."""
        affine = np.diag([self.spacing] * len(self.shape) + [1.0])
        affine[:-1, -1] = -self.spacing * (np.array(self.shape) - 1) / 2
        return Grid(self.shape, affine)


def survey(table: Table, spacing: float = 0.0, shape: Sequence[int] = ()) -> Space:
    """A common grid that suits all scans: their median spacing and room for the largest, unless given; and all structures.

    Raises
    ------
    InputError : images of 2 and of 3 dimensions together.
    """
    extents, spacings, names = [], [], set()
    for scan in table.scans:
        grid = io.load(scan.image).grid if scan.image else None
        labels = io.load(scan.labels, is_label=True) if scan.labels else None
        grid = grid or labels.grid
        extents.append(np.ptp(grid.corners(), axis=0) + grid.spacing.min())
        spacings.append(grid.spacing.min())
        names |= set() if labels is None else set(np.unique(labels.array).tolist())
    if len({len(extent) for extent in extents}) > 1:
        raise InputError("the data hold 2-D and 3-D images: expected one kind")
    spacing = spacing or float(np.median(spacings))
    shape = tuple(shape) or tuple(int(n) for n in np.ceil(np.max(extents, 0) / spacing - 1e-6))
    if len(shape) != len(extents[0]):
        raise InputError(f"shape {shape} for {len(extents[0])}-D images: expected {len(extents[0])} numbers")
    return Space(shape, spacing, tuple(sorted(n for n in names if n)))


class Store:
    """Samples of a table by number, kept once they were made, up to 4 GiB of them.

    Parameters
    ----------
    inputs : how the network wants its images.
    places : for some scans, the map of points about the middle of their pair's or the common space to points of the scan, mm; the others
        are laid centre on centre.
    """

    def __init__(self, table: Table, space: Space, inputs: Inputs | None = None, places: Mapping[int, Transform] | None = None) -> None:
        self.table, self.space, self.inputs = table, space, inputs or Inputs()
        self._places, self._room = dict(places or {}), _CACHE_BYTES
        self._kept: dict[int, Sample] = {}

    def sample(self, number: int) -> Sample:
        """Scan ``number`` on the common grid."""
        if number not in self._kept:
            made = prepare(self.table.scans[number], self.space, self.inputs, self._place(number))
            size = sum(t.numel() * t.element_size() for t in (made.image, made.labels, made.points) if t is not None)
            if size > self._room:
                return made
            self._room -= size
            self._kept[number] = made
        return self._kept[number]

    def _place(self, number: int) -> Transform:
        return self._places[number] if number in self._places else shift(centre(self.table.scans[number]))


def centre(scan: Scan) -> NDArray[np.float64]:
    """Of what an image covers, mm."""
    return (io.load(scan.image) if scan.image else io.load(scan.labels, is_label=True)).grid.centre


def shift(by: NDArray) -> Transform:
    """x -> x + by, mm."""
    matrix = np.eye(len(by) + 1)
    matrix[:-1, -1] = by
    return Affine(matrix)


def prepare(scan: Scan, space: Space, inputs: Inputs, place: Transform) -> Sample:
    """Read a scan and put it on the common grid along ``place`` (points of the common space -> points of the scan, mm)."""
    grid = space.grid()
    image = inputs.array(_first(io.load(scan.image)), grid, place) if scan.image else np.zeros((0, *space.shape), np.float32)
    labels = _numbered(resample(io.load(scan.labels, is_label=True), grid, place), space.structures) if scan.labels else None
    points = grid.index(place.inverse()(io.load_points(scan.points).coordinates)) if scan.points else None
    return Sample(torch.from_numpy(np.ascontiguousarray(image, np.float32)), None if labels is None else torch.from_numpy(labels),
                  None if points is None else torch.from_numpy(points.astype(np.float32)))


def _first(image: Image) -> Image:
    """Its first channel."""
    return Image(image.data[:1], image.grid, image.mask)


def _numbered(labels: Image, structures: Sequence[int]) -> NDArray[np.int16]:
    """Labels as 1 ... K, the place of each in ``structures``; 0 elsewhere."""
    place = np.searchsorted(structures, labels.array)
    return np.where(np.isin(labels.array, structures), place + 1, 0).astype(np.int16)
