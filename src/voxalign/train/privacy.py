"""Differential privacy: what the weights may tell about any one person, and how much noise that costs.

A step takes each person with a small probability, cuts every person's gradient to one length, and adds Gaussian noise of that length times
``noise_multiplier`` to their sum (Abadi et al. 2016, doi:10.1145/2976749.2978318). The accountant follows Mironov, Talwar and Zhang 2019
(arXiv:1908.10530) for whole orders, and Canonne, Kamath and Steinke 2020 (arXiv:2004.00010) from Rényi to (epsilon, delta).
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Generator, Tensor

ORDERS = (*range(2, 65), 72, 80, 96, 112, 128, 160, 192, 256, 384, 512)


def epsilon(noise_multiplier: float, rate: float, steps: int, delta: float, orders: Iterable[int] = ORDERS) -> float:
    """The epsilon of so many steps at a delta.

    Parameters
    ----------
    rate : probability of each person to take part in a step.
    """
    if noise_multiplier == 0:
        return math.inf
    if steps == 0 or rate == 0:
        return 0.0
    return max(min(_epsilon(order, steps * renyi(order, noise_multiplier, rate), delta) for order in orders), 0.0)


def renyi(order: int, noise_multiplier: float, rate: float) -> float:
    """Rényi divergence of a whole order >= 2 that one step may cost."""
    if rate == 1:
        return order / (2 * noise_multiplier**2)
    logs = [_log_binomial(order, k) + k * math.log(rate) + (order - k) * math.log1p(-rate) + k * (k - 1) / (2 * noise_multiplier**2)
            for k in range(order + 1)]
    highest = max(logs)
    return (highest + math.log(sum(math.exp(value - highest) for value in logs))) / (order - 1)


def _epsilon(order: int, divergence: float, delta: float) -> float:
    return divergence + math.log1p(-1 / order) - math.log(delta * order) / (order - 1)


def _log_binomial(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def private_sum(parameters: Sequence[Tensor], losses: Iterable[Callable[[], Tensor]], longest: float) -> list[Tensor]:
    """Sum of each sample's own gradient, cut to a length of ``longest``; works with any layer, for it takes them one by one."""
    total = [torch.zeros_like(p) for p in parameters]
    for loss in losses:
        gradients = torch.autograd.grad(loss(), parameters, allow_unused=True)
        gradients = [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, parameters, strict=True)]
        length = torch.stack([g.norm() for g in gradients]).norm()
        factor = (longest / length.clamp(min=1e-12)).clamp(max=1)
        for sum_, gradient in zip(total, gradients, strict=True):
            sum_ += factor * gradient
    return total


def with_noise(total: Sequence[Tensor], scale: float, g: Generator) -> list[Tensor]:
    """Gaussian noise of that standard deviation added to every number."""
    return [value + scale * torch.randn(value.shape, generator=g, device=value.device) for value in total]


def taking_part(count: int, rate: float, g: Generator) -> list[int]:
    """The people of this step: each with probability ``rate``, by itself."""
    return (torch.rand(count, generator=g, device=g.device) < rate).nonzero().flatten().tolist()
