"""A trained network on a pair of arrays: the device, the precision, and what it will take of memory."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .prediction import AffinePrediction, Prediction

_WORTH = 1 << 16  # values of an image to a thread: those of torch wait busily, which costs more than it saves where others work too
PRECISIONS = {"full": None, "bfloat16": torch.bfloat16, "half": torch.float16}


def predict(module: nn.Module, fixed: NDArray, moving: NDArray, smoothness: float | None = None,
            precision: str = "auto") -> Prediction | AffinePrediction:
    """What a network says of two arrays (C, *S), on the device it is on; without gradients.

    Parameters
    ----------
    precision : of the convolutions, see `PRECISIONS`; ``auto`` is half on a GPU, bfloat16 on processors that compute in it, else full.
    """
    device = next(module.parameters()).device
    with torch.inference_mode(), autocast(device, precision), _threads(fixed.size // _WORTH):
        return module(_batch(fixed, device), _batch(moving, device), smoothness)


def autocast(device: torch.device, precision: str = "auto") -> AbstractContextManager:
    """Convolutions in fewer bits inside the block; positions stay exact."""
    dtype = PRECISIONS[quickest(device) if precision == "auto" else precision]
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def quickest(device: torch.device) -> str:
    """The precision that ``auto`` means on a device."""
    if device.type == "cuda":
        return "half"
    return "bfloat16" if has_bfloat16(device) else "full"


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 itself; one that imitates it takes many times as long as in float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    tiles, vectors = (getattr(torch.cpu, name, bool) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return device.type == "cpu" and (tiles() or vectors())


@contextmanager
def _threads(most: int) -> Iterator[None]:
    """At most so many of torch's threads inside the block, and at least one."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(min(before, most), 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _batch(array: NDArray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))[None].to(device)
