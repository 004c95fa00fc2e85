"""Several processes as one: each computes its part of the samples, and the gradients are averaged before the step.

``torchrun --nproc-per-node N -m voxalign train ...`` starts them. One sum over all gradients a step is all that they exchange.
"""
from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from ..core import InputWarning, UsageError
from ..nn.predict import has_bfloat16


def device(wanted: str, threads: int = 0) -> str:
    """``cpu`` or ``cuda``, of ``auto`` a GPU if there is one; torch then uses at most so many threads (0: as it likes)."""
    if threads:
        torch.set_num_threads(threads)
    if wanted != "cpu" and torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        warnings.warn("device 'cuda' was asked for and torch finds no GPU it can use: the CPU is used", InputWarning, stacklevel=2)
    return "cpu"


def check_precision(precision: str, device: str) -> None:
    """Warn of one that this device only imitates."""
    if precision == "bfloat16" and not has_bfloat16(torch.device(device)):
        warnings.warn("precision 'bfloat16' was asked for and this device does not compute in it: a step takes many times as long as in "
                      "float32", InputWarning, stacklevel=2)


@dataclass(frozen=True)
class Crew:
    """Which of how many processes this is."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this one writes files and speaks."""
        return self.rank == 0

    def mean(self, tensors: Sequence[Tensor]) -> None:
        """The mean over all processes, in place."""
        if self.size == 1:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        distributed.all_reduce(flat)
        for tensor, part in zip(tensors, flat.div_(self.size).split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.reshape(tensor.shape))

    def share(self, count: int) -> range:
        """This one's part of so many pieces of work.

        Raises
        ------
        UsageError : they cannot be shared evenly.
        """
        if count % self.size:
            raise UsageError(f"accumulate={count} cannot be shared among {self.size} processes: expected a multiple of {self.size}")
        return range(self.rank, count, self.size)

    def agreed(self, value: float) -> float:
        """The leader's number, everywhere."""
        if self.size == 1:
            return value
        box = torch.tensor([value], dtype=torch.float64)
        box = box.cuda() if distributed.get_backend() == "nccl" else box
        distributed.broadcast(box, 0)
        return float(box)


@contextmanager
def crew(device: str) -> Iterator[Crew]:
    """The processes that torchrun started; this one alone without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or not distributed.is_available():
        yield Crew()
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield Crew(distributed.get_rank(), size)
    finally:
        distributed.destroy_process_group()
