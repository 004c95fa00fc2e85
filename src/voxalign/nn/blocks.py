"""What the networks are made of. Lattices are cell-centred: a voxel of a level covers 2^D voxels of the level below it."""
from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import _get_current_dispatch_mode

from ..core import UsageError
from . import fields
from .architecture import Architecture

_NEGLECTED = 20480  # values of one image, without its last axis, up to which torch leaves oneDNN aside: six times as long
_FEW = 4  # features made, of which oneDNN would make eight
_POOLINGS = {4: functional.avg_pool2d, 5: functional.avg_pool3d}
SLOPE = 0.1  # of the activations for negative values
_FLAT = 1e-8  # variance of features that is as good as none
_CONDITION = 16  # numbers that smoothness becomes


class _Convolution3d(nn.Conv3d):
    """One small image is convolved as a batch of its two halves, for which torch uses oneDNN; to few features, as a matrix product."""

    def forward(self, values: Tensor) -> Tensor:
        if not _is_neglected(values, self.kernel_size[0]):
            return super().forward(values)
        return self._of_products(values) if self.out_channels <= _FEW else self._of_halves(values)

    def _of_products(self, values: Tensor) -> Tensor:
        """What every voxel gives to each of its neighbours, then the sums of that along each axis."""
        shape, edge = values.shape[2:], self.kernel_size[0]
        wide = functional.pad(values, [self.padding[0]] * 6)
        rows = self.weight.permute(2, 3, 4, 0, 1).reshape(-1, self.in_channels)
        given = (rows @ wide.flatten(2)).reshape(len(values), *self.kernel_size, self.out_channels, *wide.shape[2:])
        for axis in (2, 1, 0):
            given = reduce(torch.add, (given.select(axis + 1, k).narrow(axis - 3, k, shape[axis]) for k in range(edge)))
        return given if self.bias is None else given + self.bias.reshape(-1, 1, 1, 1)

    def _of_halves(self, values: Tensor) -> Tensor:
        reach, n = self.padding[0], values.shape[2]
        half = (n + 1) // 2
        wide = functional.pad(values, [reach] * 6)
        both = torch.cat([wide.narrow(2, start, half + 2 * reach) for start in (0, n - half)])
        first, second = functional.conv3d(both, self.weight, self.bias).split(1)
        return torch.cat([first, second.narrow(2, 2 * half - n, n - half)], 2)


def _is_neglected(values: Tensor, kernel: int) -> bool:
    """Whether torch (aten's `use_mkldnn`) would take the slow way for no good reason; never while memory is forecast from small images."""
    small = len(values) == 1 and kernel == 3 and values.shape[2] > 1 and math.prod(values.shape[:4]) <= _NEGLECTED
    exact = values.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return small and values.device.type == "cpu" and exact and not _is_watched()


def _is_watched() -> bool:
    return torch.jit.is_tracing() or _get_current_dispatch_mode() is not None


_CONVOLUTIONS = {2: nn.Conv2d, 3: _Convolution3d}
_HALVINGS = {2: nn.Conv2d, 3: nn.Conv3d}


def convolution(dim: int, given: int, made: int, kernel: int, bias: bool = True) -> nn.Module:
    """That keeps the size."""
    return _CONVOLUTIONS[dim](given, made, kernel, padding=kernel // 2, bias=bias)


def halving(dim: int, given: int, made: int) -> nn.Module:
    """That halves the size; symmetric about the 2^D voxels that become one."""
    return _HALVINGS[dim](given, made, 4, stride=2, padding=1)


def quiet_head(dim: int, given: int, made: int, bias: bool = True) -> nn.Module:
    """A convolution that starts at almost nothing, so that an untrained network changes nothing."""
    head = convolution(dim, given, made, 3, bias)
    if head.weight.is_meta:  # has no values, and drawing none takes torch three seconds of imports
        return head
    nn.init.normal_(head.weight, std=1e-5)
    if bias:
        nn.init.zeros_(head.bias)
    return head


def padded(images: Tensor, multiple: int) -> Tensor:
    """(B, C, *S) filled up with zeros to multiples, and one channel more that is 1 where there was an image: (B, C+1, *T)."""
    both = torch.cat([images, torch.ones_like(images[:, :1])], 1)
    return functional.pad(both, [room for n in reversed(images.shape[2:]) for room in (0, (multiple - n % multiple) % multiple)])


def standard(values: Tensor) -> Tensor:
    """Every channel of (B, C, *S) with mean 0 and variance 1 over the image."""
    values = fields.exact(values)
    variance, mean = torch.var_mean(values, tuple(range(2, values.ndim)), correction=0, keepdim=True)
    return (values - mean) * (variance + _FLAT).rsqrt()


def halved(values: Tensor) -> Tensor:
    """Means of 2^D voxels; sizes are even."""
    return _POOLINGS[values.ndim](values, 2)


class Condition(nn.Module):
    """Smoothness as a few numbers, (B, 16); without it 1, the usual, is meant."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, _CONDITION), nn.SiLU(), nn.Linear(_CONDITION, _CONDITION), nn.SiLU())

    def forward(self, smoothness: float | Tensor | None, images: Tensor) -> Tensor:
        """``smoothness`` is one number above 0, or one a pair, (B,)."""
        weight = self.layers[0].weight
        given = torch.as_tensor(1.0 if smoothness is None else smoothness, dtype=weight.dtype, device=weight.device)
        return self.layers(given.expand(len(images)).log()[:, None])


def conditions(condition: Condition | None, smoothness: float | Tensor | None, images: Tensor) -> Tensor | None:
    """What ``condition`` makes of ``smoothness``; None if the network knows none.

    Raises
    ------
    UsageError : smoothness is given to a network that knows none.
    """
    if condition is not None:
        return condition(smoothness, images)
    if smoothness is not None:
        raise UsageError("smoothness was given and this network was built without it: train one with conditioned=true, or leave it out")
    return None


class Block(nn.Module):
    """Convolutions with activations; the first scaled and shifted, channel by channel, by what smoothness became."""

    def __init__(self, architecture: Architecture, given: int, made: int, conditioned: bool = False) -> None:
        super().__init__()
        counts = [given] + [made] * architecture.convolutions
        self.layers = nn.ModuleList(convolution(architecture.dim, a, b, architecture.kernel) for a, b in pairwise(counts))
        self.scale = nn.Linear(_CONDITION, 2 * made) if conditioned else None
        if self.scale is not None:
            nn.init.zeros_(self.scale.weight)
            nn.init.zeros_(self.scale.bias)

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, given, *S) -> (B, made, *S)."""
        for number, layer in enumerate(self.layers):
            values = layer(values)
            if number == 0 and self.scale is not None:
                scale, shift = self.scale(condition).reshape(len(condition), -1, *(1,) * (values.ndim - 2)).chunk(2, 1)
                values = values * (1 + scale) + shift
            values = functional.leaky_relu(values, SLOPE)
        return values


class Encoder(nn.Module):
    """Features of images, finest level first; the finest has the images' resolution (stride 1) or half of it (2)."""

    def __init__(self, architecture: Architecture, given: int, stride: int) -> None:
        super().__init__()
        dim, channels = architecture.dim, architecture.channels
        self.stem = halving(dim, given, channels[0]) if stride == 2 else convolution(dim, given, channels[0], architecture.kernel)
        self.blocks = nn.ModuleList(Block(architecture, a, b) for a, b in pairwise((channels[0], *channels)))

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, given, *S) -> level k: (B, channels[k], *S / (stride 2^k)); S must divide."""
        values, levels = functional.leaky_relu(self.stem(images), SLOPE), []
        for number, block in enumerate(self.blocks):
            levels.append(block(halved(levels[-1]) if number else values))
        return levels


class Decoder(nn.Module):
    """From the coarsest features to the finest, each joined with those of its own level."""

    def __init__(self, architecture: Architecture, conditioned: bool = False) -> None:
        super().__init__()
        pairs = pairwise(architecture.channels)
        self.blocks = nn.ModuleList(Block(architecture, a + b, a, conditioned) for a, b in pairs)

    def forward(self, levels: Sequence[Tensor], condition: Tensor | None = None) -> Tensor:
        """What `Encoder` returns -> (B, channels[0], *finest)."""
        values = levels[-1]
        for skip, block in zip(levels[-2::-1], reversed(self.blocks), strict=True):
            values = block(torch.cat([fields.double(values), skip], 1), condition)
        return values
