"""Frames of a sequence by a network that remembers: each gets its deformation as it comes, and how sure it is."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ..core import Identity, Image, InputError, Transform
from ..nn import Recurrent
from ..transforms import Rigid
from .constraints import nearest_rigid
from .follow import Anchor
from .learned import opened, seen, velocity
from .track import Tracked, Trust, check_dim

if TYPE_CHECKING:
    from torch import Tensor

    from ..nn.recurrent import Memory


class Follower:
    """A network with a memory that follows the frames of one sequence; call it with each, in order.

    Parameters
    ----------
    fixed : what frames are aligned to; its box is what the network looks at.
    weights : file of a `Recurrent` network (voxalign train --task sequence).
    device : ``cpu`` or ``cuda``.

    Raises
    ------
    UsageError : no file, or no torch.  InputError : the file cannot be used for such images.  SecurityError : it is a pickle.
    """

    def __init__(self, fixed: Image, weights: str | None, device: str = "cpu") -> None:
        self.network = opened(weights, fixed.dim, device, (Recurrent,))
        self.grid = self.network.inputs.grid(fixed)
        self._fixed = self._tensor(fixed)
        self.memory: Memory | None = None  # of all frames so far

    def __call__(self, frame: Image) -> Transform:
        """Fixed points -> points of ``frame``, mm.

        Raises
        ------
        InputError : another dimension, a constant image.
        """
        import torch

        check_dim(frame, self.grid)
        module = self.network.module
        with torch.inference_mode():
            fixed, shown = module.features(self._fixed), module.features(self._tensor(frame))
            self.memory = module.step(fixed, shown, self.memory or module.begin(self._fixed))
            said = module.said(self.memory, self._fixed)
        return velocity(said.velocity[0].cpu().numpy(), self.grid, said.stride)

    def forget(self) -> None:
        """Begin anew, as before the first frame."""
        self.memory = None

    def _tensor(self, image: Image) -> Tensor:
        import torch

        array = torch.from_numpy(seen(self.network, image, self.grid))
        return array[None].to(next(self.network.module.parameters()).device)


class RecurrentTracker:
    """Follows one target that deforms; call it with each frame, in order.

    Every answer is known from the frames so far. One that shows something else (``lost``) teaches the memory nothing and gets the last good
    transform. Parameters and errors are those of `Follower`.
    """

    def __init__(self, fixed: Image, weights: str | None, device: str = "cpu") -> None:
        self.follower, self.anchor, self._trust = Follower(fixed, weights, device), Anchor(fixed), Trust()
        self._last: Transform = Identity(fixed.dim)
        self.lost = False

    def __call__(self, frame: Image) -> Tracked:
        """What is known after ``frame``; errors as of `Follower`, but that a constant image is a lost one."""
        check_dim(frame, self.anchor.grid)
        before = self.follower.memory
        try:
            transform = self.follower(frame)
            confidence = self.anchor.agreement(frame, transform)
        except InputError:  # nothing to be seen
            transform, confidence = self._last, 0.0
        self.lost = confidence < self._trust.limit
        if self.lost:
            self.follower.memory = before
        else:
            self._last = transform
            self._trust.keep(confidence)
        return Tracked(self._last, confidence, self.lost)

    def rigid(self, transform: Transform) -> Rigid:
        """The rigid motion nearest to a transform where the fixed image has edges, about the middle of its grid."""
        points = self.anchor.levels[-1].points
        return Rigid(nearest_rigid(points, transform(points)).matrix, self.anchor.grid.centre)


def recurrent(frames: Iterable[Image], fixed: Image, weights: str | None, device: str = "cpu") -> Iterator[Transform]:
    """Fixed points -> points of each frame, mm, one frame at a time; see `Follower`."""
    follower = Follower(fixed, weights, device)
    for frame in frames:
        yield follower(frame)
