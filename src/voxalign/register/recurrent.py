"""Frames of a sequence by a network that remembers: each gets its deformation as it comes."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ..core import Image, InputError, Transform
from ..nn import Recurrent
from .learned import opened, seen, velocity

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
        self.dim, self.grid = fixed.dim, self.network.inputs.grid(fixed)
        self._fixed = self._tensor(fixed)
        self._memory: Memory | None = None

    def __call__(self, frame: Image) -> Transform:
        """Fixed points -> points of ``frame``, mm.

        Raises
        ------
        InputError : another dimension, a constant image.
        """
        import torch

        if frame.dim != self.dim:
            raise InputError(f"frame is {frame.dim}-D, expected {self.dim}-D as the image that frames are aligned to")
        module = self.network.module
        with torch.inference_mode():
            fixed, shown = module.features(self._fixed), module.features(self._tensor(frame))
            self._memory = module.step(fixed, shown, self._memory or module.begin(self._fixed))
            said = module.said(self._memory, self._fixed)
        return velocity(said.velocity[0].cpu().numpy(), self.grid, said.stride)

    def forget(self) -> None:
        """Begin anew, as before the first frame."""
        self._memory = None

    def _tensor(self, image: Image) -> Tensor:
        import torch

        array = torch.from_numpy(seen(self.network, image, self.grid))
        return array[None].to(next(self.network.module.parameters()).device)


def recurrent(frames: Iterable[Image], fixed: Image, weights: str | None, device: str = "cpu") -> Iterator[Transform]:
    """Fixed points -> points of each frame, mm, one frame at a time; see `Follower`."""
    follower = Follower(fixed, weights, device)
    for frame in frames:
        yield follower(frame)
