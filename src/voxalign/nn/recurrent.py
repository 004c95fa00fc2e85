"""A network with a memory: the frames of a sequence against one fixed image, or one pair looked at again and again."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core import kernels
from . import architecture as kinds
from . import fields
from .blocks import Encoder, conditions, convolution, halved, padded, quiet_head, standard
from .prediction import Prediction

_SHARP = 6.0  # how much more a place counts that is alike than one that is not, at first: e^6
_STRIDE = 2  # voxels of the images to one of the velocity
_SQUARINGS = 5  # of what features are warped along, where a hundredth of a voxel is enough


@dataclass(frozen=True, eq=False)
class Memory:
    """What is known after a frame.

    Parameters
    ----------
    state : (B, hidden, *lattice), -1 to 1: how things move.
    velocity : (B, D, *lattice), where they were: the last frame's, in voxels of the lattice.
    """

    state: Tensor
    velocity: Tensor


class Recurrent(nn.Module):
    """See `architecture.Recurrent`."""

    def __init__(self, architecture: kinds.Recurrent) -> None:
        super().__init__()
        self.architecture, self.stride = architecture, _STRIDE
        compared = (2 * architecture.radius + 1) ** architecture.dim + architecture.dim
        seen = architecture.levels * compared + architecture.channels[0] + architecture.dim
        self.multiple = 1 << architecture.levels
        self.encoder = Encoder(architecture, architecture.in_channels + 1, 2)
        self.sharpness = nn.Parameter(torch.tensor(_SHARP))
        self.cell = Cell(architecture, seen)
        self.head = quiet_head(architecture.dim, architecture.hidden, architecture.dim)

    def features(self, images: Tensor) -> list[Tensor]:
        """(B, C, *S) -> level k: (B, channels[k], *lattice / 2^k), channels of mean 0 and variance 1, over the root of their number.

        Features of length 1, as a pyramid compares, all point nearly the same way at first: the products say next to nothing then.
        """
        levels = self.encoder(padded(images, self.multiple))
        return [standard(values) / values.shape[1] ** 0.5 for values in levels]

    def begin(self, fixed: Tensor) -> Memory:
        """Before the first frame: nothing is known, nothing has moved."""
        m = self.multiple
        batch, lattice = len(fixed), [(n + m - 1) // m * (m // self.stride) for n in fixed.shape[2:]]  # ONNX rounds quotients to 0
        return Memory(fixed.new_zeros(batch, self.architecture.hidden, *lattice), fixed.new_zeros(batch, self.architecture.dim, *lattice))

    def step(self, fixed: list[Tensor], frame: list[Tensor], memory: Memory) -> Memory:
        """What is known after one more frame; both are `features`."""
        state, velocity = memory.state, memory.velocity
        for _ in range(self.architecture.looks):
            state = self.cell(state, torch.cat([*self._compared(fixed, frame, velocity), fixed[0], velocity], 1))
            velocity = velocity + fields.exact(self.head(state))
        return Memory(state, velocity)

    def _compared(self, fixed: list[Tensor], frame: list[Tensor], velocity: Tensor) -> Iterator[Tensor]:
        """How alike places are around where they are by now, and where they are most alike; level by level, on the lattice."""
        u = fields.integrate(velocity, _SQUARINGS)
        for number, (one, other) in enumerate(zip(fixed, frame, strict=True)):
            if number:
                u = halved(u) / 2
            alike = kernels.correlation(one, fields.warp(other, u), (self.architecture.radius,) * (u.ndim - 2))
            yield _finer(torch.cat([alike, self._likely(alike)], 1), number)

    def _likely(self, alike: Tensor) -> Tensor:
        """Where each place is most alike, (B, D, *lattice) in voxels off it: the mean offset, weighted."""
        radius, dim = self.architecture.radius, self.architecture.dim
        offsets = fields.lattice([2 * radius + 1] * dim, alike).flatten(1) - radius
        return torch.einsum("dk,bk...->bd...", offsets, (alike * self.sharpness).softmax(1))

    def follow(self, fixed: Tensor, frames: Iterable[Tensor]) -> Iterator[Prediction]:
        """Each frame's deformation as it comes, known from it and those before; all (B, C, *S)."""
        features, memory = self.features(fixed), self.begin(fixed)
        for frame in frames:
            memory = self.step(features, self.features(frame), memory)
            yield self.said(memory, fixed)

    def said(self, memory: Memory, fixed: Tensor) -> Prediction:
        """The last frame's deformation."""
        shape = tuple(fixed.shape[2:])
        return Prediction(fields.cut(memory.velocity, [(n + 1) // self.stride for n in shape]), shape, self.stride)

    def forward(self, fixed: Tensor, moving: Tensor, smoothness: float | Tensor | None = None) -> Prediction:
        """One pair (B, C, *S), looked at ``rounds`` times: each corrects what the one before found."""
        conditions(None, smoothness, fixed)
        *found, last = self.follow(fixed, [moving] * self.architecture.rounds)
        return Prediction(last.velocity, last.shape, last.stride, tuple(found))


def _finer(values: Tensor, times: int) -> Tensor:
    for _ in range(times):
        values = fields.double(values)
    return values


class Cell(nn.Module):
    """Gated recurrent unit of convolutions (Ballas et al. 2016, arXiv:1511.06432)."""

    def __init__(self, architecture: kinds.Recurrent, given: int) -> None:
        super().__init__()
        dim, hidden, kernel = architecture.dim, architecture.hidden, architecture.kernel
        self.gates = convolution(dim, given + hidden, 2 * hidden, kernel)
        self.new = convolution(dim, given + hidden, hidden, kernel)

    def forward(self, state: Tensor, seen: Tensor) -> Tensor:
        """The state (B, hidden, *S) after ``seen`` (B, given, *S)."""
        keep, use = fields.exact(self.gates(torch.cat([state, seen], 1))).sigmoid().chunk(2, 1)
        new = fields.exact(self.new(torch.cat([use * state, seen], 1))).tanh()
        return keep * state + (1 - keep) * new
