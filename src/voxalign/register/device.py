"""Where a registration is computed: on the processor with NumPy and compiled kernels, or on a GPU with torch."""
from __future__ import annotations

import ctypes
import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Literal, TypeVar

from ..core import InputWarning

Device = Literal["auto", "cpu", "cuda"]
T = TypeVar("T")


def chosen(device: str) -> str:
    """``cpu`` or the name of a device of torch. ``auto`` takes a GPU if there is one; ``cuda`` says so if there is none.

    Anything else is passed on: ``torch:cpu`` computes with torch on the processor, which shows without a GPU that the GPU's code is right.
    """
    if device not in ("auto", "cuda"):
        return device
    if _gpus() and find_spec("torch"):
        import torch  # takes seconds, hence the questions before

        if torch.cuda.is_available():
            return "cuda"
    if device == "cuda":
        warnings.warn("device 'cuda' was asked for and torch finds no GPU it can use: the CPU is used", InputWarning, stacklevel=3)
    return "cpu"


def name(device: str) -> str:
    """Of the device, for the record: ``cpu``, or what the GPU calls itself."""
    if device != "cuda":
        return device
    import torch

    return torch.cuda.get_device_name()


def best_effort(call: Callable[[str], T], device: str) -> T:
    """``call`` with the `chosen` device; with ``cpu`` and a warning, if a GPU has too little memory for it."""
    device = chosen(device)
    try:
        return call(device)
    except Exception as error:
        if device == "cpu" or not _out_of_memory(error):
            raise
    warnings.warn("the GPU has too little memory for these images: the CPU is used", InputWarning, stacklevel=3)
    return call("cpu")


def _out_of_memory(error: Exception) -> bool:
    import torch

    torch.cuda.empty_cache()  # what it keeps for later; nothing happens where no GPU is in use
    return isinstance(error, torch.cuda.OutOfMemoryError)


def _gpus() -> int:
    """How many GPUs the driver shows to this process; answered without torch."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        ready = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
        return count.value if ready else 0
    except (OSError, AttributeError):
        return 0
