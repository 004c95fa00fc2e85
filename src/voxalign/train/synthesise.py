"""Pairs from nothing: random label maps, placed twice, painted twice; the map between them is known.

After SynthMorph (Hoffmann et al. 2022, doi:10.1109/TMI.2021.3116879), with families that look a little like heads and bodies. All of it
is computed where the generator is.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ..nn import fields
from . import place
from .look import blurred, look
from .place import Strength
from .randomness import chance, smooth_noise, uniform, uniforms, whole

_UNMATCHED = 0.15  # of pairs hold something that one image lacks
_BOTH = Strength(25.0, 0.05, 0.15, 0.08, (3.0, 0.2))  # of either image from the drawing
Maker = Callable[[Generator, tuple[int, ...]], Tensor]


@dataclass(frozen=True, eq=False)
class Synthetic:
    """A pair with known truth; everything (C, *S).

    Parameters
    ----------
    fixed, moving : images of about 0 to 1, one channel.
    fixed_labels, moving_labels : (*S) whole numbers from 1, 0 where nothing is.
    field : (D, *S), fixed voxel to moving voxel, in voxels; None of two people, where nobody knows it.
    counts : (*S), 1 where the fixed image shows what the moving one has too.
    """

    fixed: Tensor
    moving: Tensor
    fixed_labels: Tensor
    moving_labels: Tensor
    field: Tensor | None
    counts: Tensor


def pair(g: Generator, drawing: Tensor, relative: Strength, other: Tensor | None = None, *, alike: float) -> Synthetic:
    """Two images of one drawing (*S), or of two with the same labels, the moving one placed by ``relative`` off the fixed one.

    ``alike`` is how probable it is that the intensities of one are a function of those of the other.
    """
    shape, device = drawing.shape, g.device
    first = place.draw(g, shape, _BOTH)
    second = place.draw(g, shape, relative)
    here = first.positions()
    lattice = fields.lattice(shape, here)
    there = second.back(lattice)  # moving voxel -> fixed voxel
    labels = [place.nearest(drawing, here), place.nearest(drawing if other is None else other, first.positions(there))]
    field = second.positions() - lattice
    extra = _unmatched(g, shape) if chance(g, _UNMATCHED) else torch.zeros(shape, dtype=torch.bool, device=device)
    count = int(max(each.max() for each in labels)) + 2
    shown = [torch.where(extra, count - 1, labels[0]), labels[1]]
    if chance(g, 0.5):
        shown = [labels[0], torch.where(extra, count - 1, labels[1])]
        extra = place.read(extra.float()[None], second.positions())[0] > 0.5
    contrast = _contrasts(g, count, alike)
    images = [_shown(g, map_, means)[None] for map_, means in zip(shown, contrast, strict=True)]
    there_too = inside(field, shape)
    return Synthetic(*images, *labels, field if other is None else None, (~extra & there_too).float())


# ---------------------------------------------------------------- drawings
def shapes(g: Generator, shape: tuple[int, ...]) -> Tensor:
    """Blobs of 8 to 40 kinds: where which of as many noises is the greatest."""
    size = max(shape) / (2.5 * 2 ** whole(g, 0, 2))
    return _argmax(g, shape, size, whole(g, 8, 40)) + 1


def head(g: Generator, shape: tuple[int, ...]) -> Tensor:
    """Nested shells (skin, fat, bone, fluid, a folded ribbon, what it encloses), nuclei and cavities in the middle; air around."""
    radius, out = _radius(g, shape, 0.35, 0.46), torch.zeros(shape, dtype=torch.int64, device=g.device)
    slow = smooth_noise(g, shape, 0.3 * max(shape))[0]
    radius = radius * (1 + 0.05 * slow)
    shells = 1 - torch.cumsum(uniforms(g, 4, 0.03, 0.09), 0)
    out[radius < 1] = 1
    for number, edge in enumerate(shells.tolist(), 2):
        out[radius < edge] = number
    folds = torch.sin(2.5 * smooth_noise(g, shape, uniform(g, 0.06, 0.12) * max(shape))[0])
    depth = float(shells[-1])
    out[radius < depth - 0.07 - 0.06 * folds] = 6  # below the ribbon
    nuclei = _argmax(g, shape, 0.14 * max(shape), whole(g, 4, 10)) + 8
    out = torch.where((radius < uniform(g, 0.35, 0.5) * depth) & (out == 6), nuclei, out)
    cavity = smooth_noise(g, shape, 0.15 * max(shape))[0] - 3 * radius
    return torch.where((cavity > uniform(g, 0.0, 0.6)) & (out > 5), 7, out)


def body(g: Generator, shape: tuple[int, ...]) -> Tensor:
    """An envelope of skin, fat and muscle with organs, tubes and a chain of bones; air around."""
    radius = _radius(g, shape, 0.36, 0.48, long=len(shape) - 1 if len(shape) == 3 else None)
    radius = radius * (1 + 0.04 * smooth_noise(g, shape, 0.3 * max(shape))[0])
    out = torch.zeros(shape, dtype=torch.int64, device=g.device)
    for number, edge in enumerate((1.0, 0.96, uniform(g, 0.8, 0.92), uniform(g, 0.68, 0.78)), 1):
        out[radius < edge] = number
    inside = radius < 0.72
    lumpy = smooth_noise(g, shape, 0.15 * max(shape))[0]
    for number in range(5, 5 + whole(g, 4, 12)):
        organ = _ellipsoid(g, shape, 0.25, 0.06, 0.2) + 0.15 * lumpy < 1
        out = torch.where(organ & inside, number, out)
    for number in range(20, 20 + whole(g, 1, 5)):
        out = torch.where((_tube(g, shape) < uniform(g, 0.01, 0.035)) & inside, number, out)
    rod = _tube(g, shape, bend=0.02)
    along = torch.linspace(0, math.pi * whole(g, 6, 14), shape[-1], device=g.device)
    return torch.where((rod < 0.05) & (torch.sin(along) > -0.6) & (radius < 0.9), 30, out)


FAMILIES: dict[str, Maker] = {"shapes": shapes, "head": head, "body": body}


def _argmax(g: Generator, shape: tuple[int, ...], size: float, count: int) -> Tensor:
    """The number of the greatest of ``count`` noises, one after the other: memory for two."""
    best = smooth_noise(g, shape, size)[0]
    which = torch.zeros(shape, dtype=torch.int64, device=g.device)
    for number in range(1, count):
        other = smooth_noise(g, shape, size)[0]
        which = torch.where(other > best, number, which)
        best = torch.maximum(best, other)
    return which


def _centred(shape: Sequence[int], device: torch.device) -> list[Tensor]:
    """Coordinates along each axis in parts of the longest edge, 0 in the middle."""
    longest = max(shape)
    return [(torch.arange(n, device=device).reshape([-1 if k == axis else 1 for k in range(len(shape))]) - (n - 1) / 2) / longest
            for axis, n in enumerate(shape)]


def _radius(g: Generator, shape: tuple[int, ...], low: float, high: float, long: int | None = None) -> Tensor:
    """1 on an ellipsoid whose half axes are ``low`` to ``high`` of each edge; the axis ``long`` goes on for ever."""
    total = torch.zeros(shape, device=g.device)
    for axis, x in enumerate(_centred(shape, g.device)):
        half = uniform(g, low, high) * shape[axis] / max(shape)
        total = total + (0 if axis == long else (x / half) ** 2)
    return total.sqrt()


def _ellipsoid(g: Generator, shape: tuple[int, ...], reach: float, low: float, high: float) -> Tensor:
    """Squared distance from a random point within ``reach`` of the middle, 1 on an ellipsoid of half axes ``low`` to ``high``."""
    return sum(((x - uniform(g, -reach, reach)) / uniform(g, low, high)) ** 2 for x in _centred(shape, g.device))


def _tube(g: Generator, shape: tuple[int, ...], bend: float = 0.12) -> Tensor:
    """Distance from a winding line along the last axis, in parts of the longest edge."""
    axes = _centred(shape, g.device)
    ways = [bend * smooth_noise(g, (shape[-1],), 0.4 * shape[-1])[0] + uniform(g, -0.2, 0.2) for _ in axes[:-1]]
    return sum((x - way) ** 2 for x, way in zip(axes[:-1], ways, strict=True)).sqrt().expand(shape)


# ---------------------------------------------------------------- what is not the same in both
def _unmatched(g: Generator, shape: Sequence[int]) -> Tensor:
    """A lump: a lesion, an implant, a resection."""
    return _ellipsoid(g, tuple(shape), 0.25, 0.04, 0.15) < 1


def _contrasts(g: Generator, count: int, alike: float) -> list[Tensor]:
    """Mean intensity of each label in either image: unrelated, or of one another by a map that rises or falls."""
    first = uniforms(g, count, 0.05, 1)
    if not chance(g, alike):
        return [_air(g, first), _air(g, uniforms(g, count, 0.05, 1))]
    second = first ** math.exp(uniform(g, -0.6, 0.6))
    second = 1 - second if chance(g, 0.2) else second
    return [_air(g, first), _air(g, second)]


def _air(g: Generator, means: Tensor) -> Tensor:
    means = means.clone()
    means[0] = uniform(g, 0, 0.05)
    return means


def painted(g: Generator, drawing: Tensor) -> Tensor:
    """A random image of a drawing (*S), placed at random; 0 to 1."""
    return coloured(g, placed(g, drawing), int(drawing.max()) + 1)


def placed(g: Generator, drawing: Tensor) -> Tensor:
    """A drawing (*S) somewhere else."""
    return place.nearest(drawing, place.draw(g, drawing.shape, _BOTH).positions())


def coloured(g: Generator, labels: Tensor, structures: int) -> Tensor:
    """A random image of a drawing (*S) of so many structures, the air included, as it is; 0 to 1."""
    return _shown(g, labels, _air(g, uniforms(g, structures, 0.05, 1)))


def clean(g: Generator, drawing: Tensor) -> Tensor:
    """A random image of a drawing (*S), placed at random, without noise or anything fine enough to be taken for it; 0 to 1."""
    labels, means = placed(g, drawing), _air(g, uniforms(g, int(drawing.max()) + 1, 0.05, 1))
    texture = smooth_noise(g, labels.shape, uniform(g, 3, 8))[0] * uniform(g, 0, 0.08)
    image = blurred((means[labels] + texture * (labels > 0)).clamp(min=0), uniform(g, 0.2, 0.8))
    return _unit(image * torch.exp(uniform(g, 0, 0.3) * smooth_noise(g, image.shape, 0.5 * max(image.shape)))[0])


def _shown(g: Generator, labels: Tensor, means: Tensor) -> Tensor:
    """An image of a label map (*S): means, texture, blur, and a random `look`; 0 to 1."""
    texture = smooth_noise(g, labels.shape, uniform(g, 1, 4))[0] * uniform(g, 0, 0.08)
    image = blurred((means[labels] + texture * (labels > 0)).clamp(min=0), uniform(g, 0.3, 1.0))
    return _unit(look(g, image))


def _unit(image: Tensor) -> Tensor:
    low, high = image.min(), image.max()
    return (image - low) / (high - low).clamp(min=1e-6)


def inside(field: Tensor, shape: Sequence[int]) -> Tensor:
    """Where (*S) a map (D, *S) leads to a voxel that is there."""
    index = field + fields.lattice(tuple(shape), field)
    ranges = [(i >= 0) & (i <= n - 1) for i, n in zip(index, shape, strict=True)]
    return torch.stack(ranges).all(0)
