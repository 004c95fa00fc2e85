"""A network with a memory: the frames of a sequence against one fixed image, or one pair looked at again and again."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

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
class Look:
    """What one frame says by itself.

    Parameters
    ----------
    state : (B, hidden, *lattice), -1 to 1: what was seen.
    velocity : (B, D, *lattice), where things are, in voxels of the lattice.
    """

    state: Tensor
    velocity: Tensor

    def detach(self) -> Look:
        """The same, through which nothing is learned."""
        return Look(self.state.detach(), self.velocity.detach())


@dataclass(frozen=True, eq=False)
class Memory:
    """What is known after a frame.

    Parameters
    ----------
    state : (B, hidden, *lattice), -1 to 1: how far forecasts and frames are to be trusted.
    velocity : (B, D, *lattice), where things are, in voxels of the lattice.
    rate : (B, D, *lattice), by how much that is expected to change until the next frame.
    look : what the last frame said by itself; None before the first.
    """

    state: Tensor
    velocity: Tensor
    rate: Tensor
    look: Look | None = None


class Recurrent(nn.Module):
    """See `architecture.Recurrent`."""

    def __init__(self, architecture: kinds.Recurrent) -> None:
        super().__init__()
        self.architecture, self.stride = architecture, _STRIDE
        dim, hidden, levels = architecture.dim, architecture.hidden, architecture.levels
        compared = (2 * architecture.radius + 1) ** dim + dim
        self.multiple = 1 << levels
        self.encoder = Encoder(architecture, architecture.in_channels + 1, 2)
        self.sharpness = nn.Parameter(torch.tensor(_SHARP))
        self.cell = Cell(architecture, levels * compared + architecture.channels[0] + dim)
        self.head = quiet_head(dim, hidden, dim)
        self.trust = Cell(architecture, 4 * levels + hidden + 3 * dim)
        self.gains = quiet_head(dim, hidden, 3)

    def features(self, images: Tensor) -> list[Tensor]:
        """(B, C, *S) -> level k: (B, channels[k], *lattice / 2^k), channels of mean 0 and variance 1, over the root of their number.

        Features of length 1, as a pyramid compares, all point nearly the same way at first: the products say next to nothing then.
        """
        levels = self.encoder(padded(images, self.multiple))
        return [standard(values) / values.shape[1] ** 0.5 for values in levels]

    def begin(self, fixed: Tensor) -> Memory:
        """Before the first frame: nothing is known, nothing has moved."""
        m = self.multiple
        lattice = [(n + m - 1) // m * (m // self.stride) for n in fixed.shape[2:]]  # ONNX rounds quotients to 0
        state, still = (fixed.new_zeros(len(fixed), channels, *lattice) for channels in (self.architecture.hidden, self.architecture.dim))
        return Memory(state, still, still)

    def step(self, fixed: list[Tensor], frame: list[Tensor], memory: Memory) -> Memory:
        """What is known after one more frame; both are `features`.

        As a Kalman filter: a forecast, what the frame says, and between the two as much as either is to be trusted. How much that is says a
        recurrent unit, which learns nothing but that: what frames say by themselves is not changed by what it is used for.
        """
        forecast = memory.velocity + memory.rate
        look = self.look(fixed, frame)
        seen = look.detach()
        surprise = seen.velocity - forecast
        with torch.no_grad():
            evidence = [*self._fit(fixed, frame, forecast), *self._fit(fixed, frame, seen.velocity)]
        state = self.trust(memory.state, torch.cat([*evidence, seen.state, surprise, forecast, memory.rate], 1))
        gain, turn, carry = fields.exact(self.gains(state)).sigmoid().chunk(3, 1)
        return Memory(state, forecast + gain * surprise, carry * memory.rate + turn * surprise, look)

    def look(self, fixed: list[Tensor], frame: list[Tensor], rounds: int = 1) -> Look:
        """What a frame says by itself, looked at ``rounds`` times as often as usual; both are `features`."""
        state = fixed[0].new_zeros(len(fixed[0]), self.architecture.hidden, *fixed[0].shape[2:])
        velocity = state[:, :self.architecture.dim]
        for _ in range(rounds * self.architecture.looks):
            state = self.cell(state, torch.cat([*self._compared(fixed, frame, velocity), fixed[0], velocity], 1))
            velocity = velocity + fields.exact(self.head(state))
        return Look(state, velocity)

    def _fit(self, fixed: list[Tensor], frame: list[Tensor], velocity: Tensor) -> Iterator[Tensor]:
        """How alike all is after ``velocity``, level by level: in every place, (B, 1, *lattice), and overall."""
        for number, (one, other) in enumerate(self._warped(fixed, frame, velocity)):
            alike = _finer((one * other).sum(1, keepdim=True), number)
            yield alike
            yield alike.mean(tuple(range(2, alike.ndim)), keepdim=True).expand_as(alike)

    def _compared(self, fixed: list[Tensor], frame: list[Tensor], velocity: Tensor) -> Iterator[Tensor]:
        """How alike places are around where they are by now, and where they are most alike; level by level, on the lattice."""
        for number, (one, other) in enumerate(self._warped(fixed, frame, velocity)):
            alike = kernels.correlation(one, other, (self.architecture.radius,) * (velocity.ndim - 2))
            yield _finer(torch.cat([alike, self._likely(alike)], 1), number)

    def _warped(self, fixed: list[Tensor], frame: list[Tensor], velocity: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Features of every level: the fixed image's, and the frame's after ``velocity``."""
        u = fields.integrate(velocity, _SQUARINGS)
        for number, (one, other) in enumerate(zip(fixed, frame, strict=True)):
            if number:
                u = halved(u) / 2
            yield one, fields.warp(other, u)

    def _likely(self, alike: Tensor) -> Tensor:
        """Where each place is most alike, (B, D, *lattice) in voxels off it: the mean offset, weighted."""
        radius, dim = self.architecture.radius, self.architecture.dim
        offsets = fields.lattice([2 * radius + 1] * dim, alike).flatten(1) - radius
        return torch.einsum("dk,bk...->bd...", offsets, (alike * self.sharpness).softmax(1))

    def follow(self, fixed: Tensor, frames: Iterable[Tensor]) -> Iterator[Prediction]:
        """Each frame's deformation as it comes, known from it and those before; all (B, C, *S). Its ``levels``: from it alone."""
        features, memory = self.features(fixed), self.begin(fixed)
        for frame in frames:
            memory = self.step(features, self.features(frame), memory)
            alone = self._prediction(memory.look.velocity, fixed)
            yield replace(self.said(memory, fixed), levels=(alone,))

    def said(self, memory: Memory, fixed: Tensor) -> Prediction:
        """The last frame's deformation."""
        return self._prediction(memory.velocity, fixed)

    def forward(self, fixed: Tensor, moving: Tensor, smoothness: float | Tensor | None = None) -> Prediction:
        """One pair (B, C, *S), looked at ``rounds`` times as often as a frame: each look corrects what the one before found."""
        conditions(None, smoothness, fixed)
        look = self.look(self.features(fixed), self.features(moving), self.architecture.rounds)
        return self._prediction(look.velocity, fixed)

    def _prediction(self, velocity: Tensor, fixed: Tensor) -> Prediction:
        shape = tuple(fixed.shape[2:])
        return Prediction(fields.cut(velocity, [(n + 1) // self.stride for n in shape]), shape, self.stride)


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
