"""An interactive viewer inside a page: NiiVue, fed with small volumes that all lie on one upright grid."""
from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from ..core import Grid, Image, Transform, kernels, resample
from ..io import nifti
from .page import ASSETS, data, element
from .scene import window

_VOXELS = 800_000  # of one volume: three of noise and the viewer stay below 8 MB, for noise hardly compresses
_VIEWER = ASSETS.parent / "viewer" / "niivue.js"
_SHADES = 255
_QUIET = 0.1  # of the largest value: changes smaller than this are left transparent


@dataclass(frozen=True)
class Volume:
    """One volume to look at.

    Parameters
    ----------
    name : as the page calls it.
    levels : (X, Y, Z) uint8 on the upright grid; 0 of a map is "not defined".
    low, high : values that the levels 0 (of a map: 1) and 255 stand for.
    unit : of the values; None for intensities, which are shown in grey.
    colours : name of the colours of a map.
    """

    name: str
    levels: NDArray[np.uint8]
    low: float
    high: float
    unit: str | None = None
    colours: str = "viridis"


@dataclass(frozen=True)
class Stage:
    """Where volumes are shown, and in which roles.

    Parameters
    ----------
    grid : upright: its axes run to the right, anterior and superior.
    fixed : what stays.
    others : what is compared with it, the first one at the beginning.
    maps : what can be laid over, in colours.
    """

    grid: Grid
    fixed: Volume
    others: tuple[Volume, ...]
    maps: tuple[Volume, ...] = ()


def upright(grid: Grid) -> Grid:
    """The grid of a viewer: around the box of ``grid``, axes along the world's, cubes, as fine as the limit of voxels allows."""
    faces = grid.world(np.stack(np.meshgrid(*[(-0.5, n - 0.5) for n in grid.shape], indexing="ij"), -1).reshape(-1, grid.dim))
    low, high = faces.min(0), faces.max(0)
    spacing = max(float(grid.spacing.min()), float((np.prod(high - low) / _VOXELS) ** (1 / grid.dim)))
    shape = np.maximum(np.round((high - low) / spacing), 2).astype(int)
    affine = np.diag([*[spacing] * grid.dim, 1.0])
    affine[:-1, -1] = (low + high) / 2 - spacing * (shape - 1) / 2
    return Grid(tuple(shape), affine)


def grey(name: str, image: Image, grid: Grid, transform: Transform | None = None) -> Volume:
    """Intensities, pulled onto the viewer's grid along ``transform``."""
    shades = window(image)
    values = resample(_averaged(image, grid), grid, transform, None if not image.is_label else "nearest", outside=float(shades.low))
    return Volume(name, _levels(shades(values.array)), float(shades.low), float(shades.high))


def coloured(name: str, image: Image, grid: Grid, unit: str, limits: tuple[float, float] | None = None,
             colours: str = "viridis") -> Volume:
    """A map of a quantity on the viewer's grid; ``limits`` by default 0 and its largest value."""
    there = resample(image.with_mask(np.ones(image.grid.shape, bool)) if image.mask is None else image, grid)
    low, high = limits or (0.0, max(float(there.array[there.mask].max(initial=0)), 1e-6))
    shade = np.clip((there.array - low) / (high - low), 0, 1)
    shown = there.mask & (np.abs(there.array) > _QUIET * high) if low < 0 else there.mask
    levels = np.where(shown, 1 + np.round(shade * (_SHADES - 1)), 0).astype(np.uint8)
    return Volume(name, levels, low, high, unit, colours)


def viewer(stage: Stage) -> Markup:
    """The element: a canvas, what to do with it, and the volumes."""
    content = {"fixed": _encoded(stage.fixed, stage.grid), "others": [_encoded(v, stage.grid) for v in stage.others],
               "maps": [_encoded(v, stage.grid) for v in stage.maps], "flat": stage.grid.dim == 2}
    maps = [f"{volume.name}, {volume.low:.3g} to {volume.high:.3g} {volume.unit}" for volume in stage.maps]
    return element("viewer", data("viewer-data", content), [volume.name for volume in stage.others], maps, stage.grid.dim == 2,
                   f"{stage.grid.spacing[0]:.3g} mm")


def scripts() -> list[str]:
    """What a page with a viewer runs; nothing where the viewer was not installed."""
    if not _VIEWER.exists():
        return []
    licence = (ASSETS / "niivue-licence.txt").read_text(encoding="utf-8")
    return [f"/*\n{licence}*/\n{_VIEWER.read_text(encoding='utf-8')}", (ASSETS / "viewer.js").read_text(encoding="utf-8")]


def _averaged(image: Image, grid: Grid) -> Image:
    """The image with voxels no smaller than half those of ``grid``: means, where single samples would be noise."""
    sigma = np.where(image.grid.spacing < 0.75 * grid.spacing[0], 0.35 * grid.spacing[0] / image.grid.spacing, 0.0)
    if image.is_label or not sigma.any():
        return image
    return image.with_data(kernels.smooth(image.data, tuple(sigma)))


def _levels(shade: NDArray) -> NDArray[np.uint8]:
    return np.round(shade * _SHADES).astype(np.uint8)


def _encoded(volume: Volume, grid: Grid) -> dict[str, Any]:
    """A volume as the page carries it: packed NIfTI and what its levels mean."""
    packed = b"".join(nifti.write(Image(volume.levels, grid, is_label=True), Path(volume.name), packed=True))
    return {"name": volume.name, "low": volume.low, "high": volume.high, "unit": volume.unit, "colours": _stops(volume),
            "nifti": base64.b64encode(packed).decode()}


def _stops(volume: Volume) -> dict[str, list[int]]:
    """Colours in the form NiiVue takes: level 0 is transparent."""
    from matplotlib import colormaps

    places = np.linspace(0, 1, 17)
    table = np.round(255 * colormaps[volume.colours](places)).astype(int)
    levels = [0, *np.round(1 + 254 * places).astype(int).tolist()]
    return {name: [0, *channel] for name, channel in zip("RGBA", table.T.tolist(), strict=True)} | {"I": levels}
