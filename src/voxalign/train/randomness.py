"""Random numbers that are a function of the seed, the step and the sample, so that nothing but the step need be remembered to go on."""
from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Generator, Tensor

_VARIANCE = 151 / 315  # mean over the line of the sum of squared weights of a cubic B-spline


def generator(device: str, *keys: int) -> Generator:
    """The generator of that seed, step, sample ...; different keys give unrelated numbers."""
    seed = int(np.random.SeedSequence([k & 0xFFFFFFFF for k in keys]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return Generator(device).manual_seed(seed)


def uniform(g: Generator, low: float = 0.0, high: float = 1.0) -> float:
    """One number."""
    return low + (high - low) * float(torch.rand((), generator=g, device=g.device))


def uniforms(g: Generator, count: int | Sequence[int], low: float = 0.0, high: float = 1.0) -> Tensor:
    """Several, on the generator's device."""
    return low + (high - low) * torch.rand(count, generator=g, device=g.device)


def whole(g: Generator, low: int, high: int) -> int:
    """A whole number of ``low`` to ``high``, both included."""
    return int(torch.randint(low, high + 1, (), generator=g, device=g.device))


def chance(g: Generator, probability: float) -> bool:
    """Whether it happens."""
    return uniform(g) < probability


def smooth_noise(g: Generator, shape: Sequence[int], size: float, channels: int = 1) -> Tensor:
    """Random blobs of about ``size`` voxels: (channels, *shape), mean 0 and variance 1 on average; a cubic B-spline of white noise."""
    weights = [_bspline(n, max(size, 1.0), uniform(g)).to(g.device) for n in shape]
    values = torch.randn((channels, *(w.shape[1] for w in weights)), generator=g, device=g.device)
    for axis, w in enumerate(weights, 1):
        values = torch.tensordot(values, w, ([axis], [1])).movedim(-1, axis)
    return values / math.sqrt(_VARIANCE) ** len(shape)


@lru_cache(maxsize=256)
def _steps(n: int) -> Tensor:
    return torch.arange(n, dtype=torch.float32)


def _bspline(n: int, size: float, offset: float) -> Tensor:
    """Weights of nodes ``size`` voxels apart at n voxels, (n, nodes)."""
    at = _steps(n) / size + 1 + offset
    nodes = int(at[-1]) + 3
    t = (at[:, None] - torch.arange(nodes)).abs()
    return torch.where(t < 1, 2 / 3 - t**2 + t**3 / 2, (2 - t).clamp(min=0) ** 3 / 6)
