"""Sequences from one image: it moves as bodies do, and frames are noisy; the map to every frame is known."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ..nn import Prediction, fields
from .look import rician
from .randomness import chance, smooth_noise, uniform, uniforms

_SQUARINGS, _STRIDE = 5, 2
_NOISE = (0.02, 0.25)  # of frames, in parts of the range
_SPOILED, _SPOILED_NOISE = 0.15, 0.6  # part of the frames that show next to nothing, and their noise
_STILL, _LOCAL = 0.1, 0.5  # part of the varied sequences in which nothing moves, and in which only one place does
_LEAPING = 0.45  # part of the frames before which halting motion goes on
_REACH = 0.14  # of the edge: the largest displacement of a strong motion


@dataclass(frozen=True, eq=False)
class Moving:
    """A sequence with known truth.

    Parameters
    ----------
    frames : (T, C, *S).
    displacement : (T, D, *S), voxel of the image that moves -> voxel of the frame.
    """

    frames: Tensor
    displacement: Tensor


Extent = Callable[[Generator, Sequence[int]], tuple[float, Tensor]]  # the largest displacement, part of the edge, and how much moves where


def strong(g: Generator, lattice: Sequence[int]) -> tuple[float, Tensor]:
    """Much, and everywhere."""
    return uniform(g, 0.4, 1) * _REACH, torch.ones(tuple(lattice), device=g.device)


def varied(g: Generator, lattice: Sequence[int]) -> tuple[float, Tensor]:
    """Anything from nothing at all to much, everywhere or in one place: what cannot be guessed has to be looked for."""
    reach = 0.0 if chance(g, _STILL) else uniform(g) * _REACH
    size = torch.tensor(lattice, dtype=torch.float32, device=g.device).reshape(-1, *(1,) * len(lattice))
    away = (fields.lattice(lattice, size) - size * uniforms(g, size.shape, 0.15, 0.85)).norm(dim=0) / (uniform(g, 0.1, 0.4) * max(lattice))
    return reach, torch.exp(-(away**2)) if chance(g, _LOCAL) else torch.ones_like(away)


def sequence(g: Generator, image: Tensor, motion: str, frames: int, extent: Extent = strong) -> Moving:
    """``frames`` noisy images of what ``image`` (C, *S) shows while it moves.

    Parameters
    ----------
    motion : ``breathing`` (to and fro along one way), ``beating`` (shrinking towards a place, and back), ``drifting`` (as a whole, slowly),
        ``wandering`` (everything its own way), ``swaying`` (the same to and fro), ``halting`` (the same by leaps, with rests between).
    extent : draws how much moves, and where.
    """
    shape = tuple(image.shape[1:])
    lattice = tuple(-(-n // _STRIDE) for n in shape)
    patterns, courses = MOTIONS[motion](g, lattice, frames)
    reach, where = extent(g, lattice)
    velocity = torch.einsum("tk,kd...->td...", courses, patterns * where)
    velocity = velocity * (reach * max(lattice) / velocity.norm(dim=1).amax().clamp(min=1e-6))
    flow = Prediction(velocity, shape, _STRIDE)
    moved = fields.warp(image[None].expand(frames, *image.shape), flow.inverse().displacement(_SQUARINGS))
    noise = uniform(g, *_NOISE)
    shown = [torch.stack([rician(g, channel, _SPOILED_NOISE if chance(g, _SPOILED) else noise) for channel in frame]) for frame in moved]
    return Moving(torch.stack(shown), flow.displacement(_SQUARINGS))


# ---------------------------------------------------------------- how things move: patterns (K, D, *lattice), courses (T, K)
def _breathing(g: Generator, lattice: Sequence[int], frames: int) -> tuple[Tensor, Tensor]:
    """One way for all, more in some places than in others; always back to the beginning."""
    way = torch.nn.functional.normalize(torch.randn(len(lattice), generator=g, device=g.device), dim=0)
    where = 1 + 0.6 * smooth_noise(g, lattice, 0.4 * max(lattice))
    return (way.reshape(-1, *(1,) * len(lattice)) * where)[None], _cycle(g, frames, 5, 12)[:, None]


def _beating(g: Generator, lattice: Sequence[int], frames: int) -> tuple[Tensor, Tensor]:
    """Towards one place, most at some distance from it; always back to the beginning."""
    size = torch.tensor(lattice, dtype=torch.float32, device=g.device).reshape(-1, *(1,) * len(lattice))
    middle = size * uniforms(g, size.shape, 0.35, 0.65)
    offset = fields.lattice(lattice, size) - middle
    radius = uniform(g, 0.2, 0.35) * max(lattice)
    return (-offset * torch.exp(-((offset.norm(dim=0) / radius) ** 4)))[None], _cycle(g, frames, 4, 9)[:, None]


def _drifting(g: Generator, lattice: Sequence[int], frames: int) -> tuple[Tensor, Tensor]:
    """Shifts and turns of the whole, slowly."""
    size = torch.tensor(lattice, dtype=torch.float32, device=g.device).reshape(-1, *(1,) * len(lattice))
    offset = (fields.lattice(lattice, size) - (size - 1) / 2) * 2 / max(lattice)
    shifts = [torch.zeros_like(offset) for _ in lattice]
    for axis, shift in enumerate(shifts):
        shift[axis] = 1
    turns = []
    for i in range(len(lattice)):
        for j in range(i + 1, len(lattice)):
            turn = torch.zeros_like(offset)
            turn[i], turn[j] = -offset[j], offset[i]
            turns.append(turn)
    return torch.stack(shifts + turns), _walks(g, frames, len(shifts + turns))


def _wandering(g: Generator, lattice: Sequence[int], frames: int) -> tuple[Tensor, Tensor]:
    """Three smooth patterns, each in its own time."""
    patterns = smooth_noise(g, lattice, uniform(g, 0.3, 0.6) * max(lattice), 3 * len(lattice))
    return patterns.reshape(3, len(lattice), *lattice), _walks(g, frames, 3)


def _swaying(g: Generator, lattice: Sequence[int], frames: int) -> tuple[Tensor, Tensor]:
    """One smooth pattern; always back to the beginning."""
    return smooth_noise(g, lattice, uniform(g, 0.2, 0.6) * max(lattice), len(lattice))[None], _cycle(g, frames, 4, 12)[:, None]


def _halting(g: Generator, lattice: Sequence[int], frames: int) -> tuple[Tensor, Tensor]:
    """Two smooth patterns, each by leaps with rests between."""
    patterns = smooth_noise(g, lattice, uniform(g, 0.2, 0.6) * max(lattice), 2 * len(lattice))
    leaps = torch.randn((frames, 2), generator=g, device=g.device) * (uniforms(g, (frames, 2)) < _LEAPING)
    return patterns.reshape(2, len(lattice), *lattice), leaps.cumsum(0)


MOTIONS: dict[str, Callable[[Generator, Sequence[int], int], tuple[Tensor, Tensor]]] = {
    "breathing": _breathing, "beating": _beating, "drifting": _drifting, "wandering": _wandering, "swaying": _swaying, "halting": _halting}


def _cycle(g: Generator, frames: int, least: float, most: float) -> Tensor:
    """0 at the start, 1 in the middle of a period of ``least`` to ``most`` frames, (T,)."""
    return torch.sin(math.pi * _times(frames, g) / uniform(g, least, most)) ** 2


def _walks(g: Generator, frames: int, count: int) -> Tensor:
    """Sums of slow waves that begin at 0, (T, count)."""
    rates, size = uniforms(g, (count, 2), 0.15, 0.7), torch.randn((count, 2), generator=g, device=g.device)
    return (torch.sin(_times(frames, g)[:, None, None] * rates) * size).sum(2)


def _times(frames: int, g: Generator) -> Tensor:
    return torch.arange(1, frames + 1, dtype=torch.float32, device=g.device)
