"""Random looks: what scanners, coils, protocols and haste do to an image of 0 to 1."""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional

from ..core import kernels
from .randomness import chance, smooth_noise, uniform, whole

_MODES = {2: "bilinear", 3: "trilinear"}


def look(g: Generator, image: Tensor, strength: float = 1.0) -> Tensor:
    """Gamma, contrast, coil shading, noise, thick slices and a smaller field of view, each by chance; (*S) -> (*S)."""
    image = image.clamp(min=0) ** math.exp(uniform(g, -0.5, 0.5) * strength)
    image = image * (1 + strength * uniform(g, -0.2, 0.2)) + strength * uniform(g, -0.1, 0.1) * (image > 0)
    if chance(g, 0.5 * strength):
        image = image * torch.exp(0.3 * strength * smooth_noise(g, image.shape, 0.5 * max(image.shape)))[0]
    if chance(g, 0.3 * strength):
        image = thick_slices(g, image)
    if chance(g, 0.5 * strength):
        image = rician(g, image, uniform(g, 0, 0.08 * strength))
    if chance(g, 0.2 * strength):
        image = image * window(g, image.shape)
    return image


def rician(g: Generator, image: Tensor, sigma: float) -> Tensor:
    """The magnitude of a signal with Gaussian noise of ``sigma`` in both parts."""
    real, imaginary = (torch.randn(image.shape, generator=g, device=g.device) * sigma for _ in range(2))
    return torch.hypot(image + real, imaginary)


def thick_slices(g: Generator, image: Tensor, most: int = 4) -> Tensor:
    """Slices of 2 to ``most`` voxels across one axis, interpolated back; (*S) -> (*S)."""
    factor = [1] * image.ndim
    factor[whole(g, 0, image.ndim - 1)] = whole(g, 2, most)
    coarse = [max(n // f, 1) for n, f in zip(image.shape, factor, strict=True)]
    slices = functional.adaptive_avg_pool3d if image.ndim == 3 else functional.adaptive_avg_pool2d
    return functional.interpolate(slices(image[None, None], coarse), image.shape, mode=_MODES[image.ndim], align_corners=False)[0, 0]


def window(g: Generator, shape: Sequence[int]) -> Tensor:
    """1 within a random box of at least three quarters of each axis, 0 outside."""
    inside = torch.zeros(tuple(shape), device=g.device)
    box = []
    for n in shape:
        kept = max(int(n * uniform(g, 0.75, 1)), 1)
        start = whole(g, 0, n - kept)
        box.append(slice(start, start + kept))
    inside[tuple(box)] = 1
    return inside


def blurred(image: Tensor, sigma: float) -> Tensor:
    """By a Gaussian of ``sigma`` voxels; (*S) -> (*S)."""
    return kernels.smooth(image[None], (sigma,) * image.ndim)[0] if sigma > 0.05 else image
