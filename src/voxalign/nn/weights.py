"""Weights in files: safetensors with the architecture, a hash and a few words in the header. Nothing here can run code from a file."""
from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..core import InputError, SecurityError
from .architecture import Architecture, as_dict, from_dict
from .networks import build

FORMAT = "1"
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # torch.save, old and new, and bare pickles


def save(path: str | os.PathLike[str], module: nn.Module, architecture: Architecture | None = None,
         meta: Mapping[str, Any] | None = None) -> None:
    """Write the weights of a network; the file is whole or not there.

    Parameters
    ----------
    architecture : by default the one ``module`` was built of.
    meta : what else the file should say (scores, data, licence), for JSON.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    header = {"voxalign": FORMAT, "architecture": json.dumps(as_dict(architecture or module.architecture)), "meta": json.dumps(meta or {}),
              "sha256": digest(tensors)}
    _write(Path(path), tensors, header)


def load(path: str | os.PathLike[str], device: str = "cpu") -> tuple[nn.Module, dict[str, Any]]:
    """The network in a file, ready to predict (``eval``), and what the file says beside it.

    Raises
    ------
    InputError : no such file, not one of ours, damaged, or of another architecture.  SecurityError : a pickle, which could run code.
    """
    tensors, header = _read(Path(path))
    name = Path(path).name
    try:
        architecture, meta = from_dict(json.loads(header["architecture"])), json.loads(header["meta"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{name}: safetensors without an architecture of ours; expected weights that voxalign saved") from error
    if header.get("sha256") != digest(tensors):
        raise InputError(f"{name}: the weights do not match their hash, so the file is damaged or was changed; get it again")
    return _filled(architecture, tensors, name).to(device).eval(), meta


def digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 of names, types, shapes and values, in hexadecimal; the order does not matter."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.reshape(-1).view(torch.uint8).numpy())
    return total.hexdigest()


def _filled(architecture: Architecture, tensors: Mapping[str, Tensor], name: str) -> nn.Module:
    with torch.device("meta"):  # takes no memory, whatever the file asks for
        module = build(architecture)
    expected = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    if expected != {key: tuple(value.shape) for key, value in tensors.items()}:
        raise InputError(f"{name}: the weights do not fit the {type(architecture).__name__} that the file describes; it is damaged")
    if not all(value.is_floating_point() and value.isfinite().all() for value in tensors.values()):
        raise InputError(f"{name}: weights that are not finite; its training failed, or it is damaged")
    module.load_state_dict({key: value.float() for key, value in tensors.items()}, assign=True)
    return module


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError as error:
        raise InputError(f"{path.name}: cannot read the weights ({error.strerror})") from error
    if start.startswith(_PICKLES) and not start.endswith(b"{"):  # safetensors begin with a length, which can look like a pickle, and {
        raise SecurityError(f"{path.name}: a pickle (as torch.save writes), which can run code when it is opened; expected safetensors")
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{path.name}: not a file of safetensors, or damaged; expected weights that voxalign saved") from error


def _write(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    from safetensors.torch import save_file

    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        save_file(dict(tensors), partial, dict(header))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
