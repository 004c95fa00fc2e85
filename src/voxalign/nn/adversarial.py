"""Networks that make images, and the critics they are trained against."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from . import architecture as kinds
from . import fields
from .blocks import Block, Decoder, Encoder, convolution, padded, standard


class Translator(nn.Module):
    """See `architecture.Translator`."""

    def __init__(self, architecture: kinds.Translator) -> None:
        super().__init__()
        self.architecture = architecture
        self.image = Images(architecture, architecture.in_channels)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, *S) of one kind -> the same places in the other kind, (B, C, *S)."""
        return self.image(images)


class Images(nn.Module):
    """Images of a contrast from ``given`` channels, all of one resolution."""

    def __init__(self, architecture: kinds.Architecture, given: int) -> None:
        super().__init__()
        self.multiple = 1 << architecture.levels - 1
        self.encoder, self.decoder = Encoder(architecture, given + 1, 1), Decoder(architecture)
        self.head = convolution(architecture.dim, architecture.channels[0], architecture.in_channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, given, *S) -> (B, in_channels, *S)."""
        made = fields.exact(self.head(self.decoder(self.encoder(padded(images, self.multiple)))))
        return fields.cut(made, images.shape[2:])


class Critic(nn.Module):
    """See `architecture.Critic`."""

    def __init__(self, architecture: kinds.Critic) -> None:
        super().__init__()
        self.architecture = architecture
        channels = architecture.channels[-1]
        self.encoder = Encoder(architecture, architecture.in_channels + 1, 2)
        self.block = Block(architecture, channels * (1 if architecture.images == 1 else 1 + architecture.images), channels)
        self.head = convolution(architecture.dim, channels, 1, 1)

    def forward(self, *images: Tensor) -> Tensor:
        """Images (B, C, *S) -> a logit for each patch, (B, 1, *T); above 0 means true."""
        seen = [standard(self.encoder(padded(image, 1 << self.architecture.levels))[-1]) for image in images]
        together = [torch.stack(seen).prod(0)] if len(seen) > 1 else []
        return fields.exact(self.head(self.block(torch.cat(seen + together, 1))))


@contextmanager
def frozen(module: nn.Module) -> Iterator[nn.Module]:
    """What is computed inside the block leaves no gradient in the module's weights; gradients still pass through it to its inputs."""
    trained = [p for p in module.parameters() if p.requires_grad]
    for p in trained:
        p.requires_grad_(False)
    try:
        yield module
    finally:
        for p in trained:
            p.requires_grad_(True)
