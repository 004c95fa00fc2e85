"""How images come to a network: the same when it is trained and when it predicts. No torch here."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Image, InputError, Transform, resample
from ..core.errors import choose
from ..features import FEATURES
from ..filters.geometry import crop_to_foreground, reorient, shrunk
from ..filters.normalise import robust_range

INTENSITY = "intensity"
BY_ENGINE = ("affine", "similarity", "rigid")  # starts that are linear registrations
STARTS = (*BY_ENGINE, "headers", "centres", "moments")
_LOOK = 64  # voxels along the longest side, enough to see where the foreground ends
_MARGIN = 0.07  # of that side, around the foreground
_BRIGHTEST = 1.5  # where intensities are cut, dark being 0 and bright 1


@dataclass(frozen=True)
class Inputs:
    """How a network wants its images; the file of its weights holds it under ``inputs``.

    Parameters
    ----------
    spacing : mm of the common grid, equal along all axes; None: as the fixed image's (a mean over its axes).
    channels : what the network sees of an image: ``intensity``, and features by name.
    start : how the two images are brought together first: a linear registration (``affine``, ``similarity``, ``rigid``) or a rule
        (``headers``, ``centres``, ``moments``).
    across : instead of a spacing, so many voxels along the longest side of what the fixed image shows, whatever its size in mm.

    Raises
    ------
    UsageError : unknown names.  InputError : no positive spacing, no possible number of voxels.
    """

    spacing: float | None = None
    channels: tuple[str, ...] = (INTENSITY,)
    start: str = "affine"
    across: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(choose(name, (INTENSITY, *FEATURES), "channel") for name in self.channels))
        choose(self.start, STARTS, "start")
        if self.spacing is not None and (not isinstance(self.spacing, (int, float)) or not 1e-4 < self.spacing < 1e4):
            raise InputError(f"spacing {self.spacing!r}: expected mm above 0, or none")
        if self.across is not None and (not isinstance(self.across, int) or not 8 <= self.across <= 4096):
            raise InputError(f"across {self.across!r}: expected a whole number of 8 to 4096 voxels, or none")

    def grid(self, fixed: Image) -> Grid:
        """The common grid: the box of ``fixed``, its axes nearest to right, anterior, superior, and all voxel edges alike.

        With `across` the box of what it shows and a little around it, and voxels not finer than half of its own.
        """
        seen = fixed if self.across is None else _foreground(fixed)
        turned = reorient(Image(np.zeros(seen.grid.shape, np.uint8), seen.grid, is_label=True), axes="RAS"[: fixed.dim]).grid
        own = float(np.prod(fixed.grid.spacing) ** (1 / fixed.dim))
        spacing = self.spacing or (own if self.across is None else max(float(turned.extent.max()) / self.across, own / 2))
        if self.across is not None:
            around = np.ceil(_MARGIN * self.across * spacing / turned.spacing).astype(int)
            turned = turned.crop(-around, np.array(turned.shape) + around)
        return turned if np.allclose(turned.spacing, spacing, rtol=0.01) else turned.with_spacing(spacing)

    def array(self, image: Image, grid: Grid, transform: Transform | None = None) -> NDArray[np.float32]:
        """What the network sees of ``image`` on ``grid`` along ``transform`` (points of ``grid`` -> points of the image), (C, *grid.shape).

        Intensities are 0 where it is dark or where nothing counts, 1 where it is bright.

        Raises
        ------
        InputError : nothing counts, or a constant image.
        """
        seen = shrunk(unit(image), float(grid.spacing.min()))
        if transform is not None or seen.grid != grid:
            seen = resample(seen, grid, transform)
        return np.concatenate([_channel(seen, name) for name in self.channels])

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"channels": list(self.channels)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> Inputs:
        """`as_dict` undone; what is missing has its default."""
        given = dict(values or {})
        unknown = set(given) - {f.name for f in fields(cls)}
        if unknown:
            raise InputError(f"inputs have no {', '.join(sorted(unknown))}: the weights were made by a newer voxalign")
        return cls(**given)


def unit(image: Image) -> Image:
    """One channel (a mean of several), dark 0 and bright 1, cut at 0 and 1.5; 0 where nothing counts. No mask is left.

    Raises
    ------
    InputError : nothing counts, or a constant image.
    """
    data = image.array if image.channels == 1 else image.data.mean(0)
    low, high = robust_range(data if image.mask is None else data[image.mask])
    scaled = ((data.astype(np.float32) - np.float32(low)) / np.float32(max(high - low, 1e-30))).clip(0, _BRIGHTEST)
    return Image(scaled if image.mask is None else np.where(image.mask, scaled, np.float32(0)), image.grid)


def _foreground(image: Image) -> Image:
    """The part that is not dark, found on coarse voxels."""
    return crop_to_foreground(shrunk(unit(image), float(image.grid.extent.max()) / _LOOK), margin=0.0)


def _channel(image: Image, name: str) -> NDArray[np.float32]:
    return (image if name == INTENSITY else FEATURES[name](image)).data.astype(np.float32)
