"""What a network will take of memory, without running it."""
from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .architecture import Architecture, Autoencoder
from .networks import build


def memory_forecast(architecture: Architecture, shape: Sequence[int], batch: int = 1, training: bool = False) -> int:
    """Bytes of weights and of all that is alive at once when a network sees images of ``shape``, in float32.

    The network is run on the ``meta`` device, where arrays have sizes and no values. What libraries take for themselves, and the copies
    that convolutions make to compute faster, come on top: less than as much again on the machines where it was measured.

    Parameters
    ----------
    training : with what the backward pass needs, and gradients.
    """
    with torch.device("meta"):
        module = build(architecture)
        images = [torch.empty(batch, architecture.in_channels, *shape) for _ in range(1 if isinstance(architecture, Autoencoder) else 2)]
    weights = sum(p.numel() * p.element_size() for p in module.parameters())
    alive = _Alive()
    with torch.set_grad_enabled(training), alive:
        said = module(*images)
        if training:
            answer = said if isinstance(said, Tensor) else said.displacement()
            answer.sum().backward()
    return weights + sum(image.numel() * image.element_size() for image in images) + alive.most


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
