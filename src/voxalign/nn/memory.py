"""What a network will take of memory, without running it."""
from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .architecture import Architecture, Autoencoder
from .networks import build

_TRIED = {2: 128, 3: 32}  # voxels along an axis that a network is tried on, at most: from there on memory grows with the voxels


def memory_forecast(architecture: Architecture, shape: Sequence[int], batch: int = 1, training: bool = False) -> int:
    """Bytes of weights and of all that is alive at once when a network sees images of ``shape``, in float32.

    The network is run on small images. What libraries take for themselves, and the copies that convolutions make to compute faster, come
    on top: less than as much again on the machines where it was measured.

    Parameters
    ----------
    training : with what the backward pass needs, and gradients.
    """
    tried = [min(n, _TRIED[len(shape)]) for n in shape]
    with torch.random.fork_rng(devices=[]):
        module = build(architecture)
    images = [torch.zeros(batch, architecture.in_channels, *tried) for _ in range(1 if isinstance(architecture, Autoencoder) else 2)]
    alive = _Alive()
    with torch.set_grad_enabled(training), alive:
        said = module(*images)
        if training:
            answer = said if isinstance(said, Tensor) else said.displacement()
            answer.sum().backward()
    weights = sum(p.numel() * p.element_size() for p in module.parameters())
    return weights + int((sum(image.numel() * image.element_size() for image in images) + alive.most) * math.prod(shape) / math.prod(tried))


@lru_cache(maxsize=16)
def bytes_a_voxel(architecture: Architecture) -> float:
    """What a prediction takes for each voxel of a large image. The first call in a process costs torch some seconds of imports."""
    shape = (_TRIED[architecture.dim],) * architecture.dim
    return memory_forecast(architecture, shape) / math.prod(shape)


class _Alive(TorchDispatchMode):
    """Counts the bytes of the arrays that are made inside the block, until they are gone."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.most, self._known = 0, 0, weakref.WeakSet()

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for value in tree_leaves(made):
            if isinstance(value, Tensor):
                self._count(value.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._gone, storage.nbytes())

    def _gone(self, size: int) -> None:
        self.now -= size
