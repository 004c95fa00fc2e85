"""Networks for other programs: ONNX, checked against torch before it is there."""
from __future__ import annotations

import json
import os
import secrets
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..core import InputError, UsageError, VoxalignError
from .architecture import AffineNet, Architecture, Autoencoder, Classifier, Critic, Translator, UNet, as_dict

_OPSET = 20  # the first that can sample volumes
_AGREEMENT = 1e-3  # of the largest value: other programs add in another order
_ANSWERS = {Autoencoder: "denoised", Translator: "translated", Classifier: "logit", Critic: "logit"}  # others: "velocity"
_ANY_SIZE = (UNet, Autoencoder, Translator, Classifier)


@dataclass(frozen=True)
class Face:
    """What a program that runs a network has to know of it.

    Parameters
    ----------
    inputs : their names; each is (1, in_channels, *S) float32.
    output : its name.
    any_size : whether S is free in the file; else it is the one that the file was written for.
    """

    inputs: tuple[str, ...]
    output: str
    any_size: bool


class _Plain(nn.Module):
    """A network whose answer is one tensor, as files hold it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *images: Tensor) -> Tensor:
        said = self.module(*images)
        return said if isinstance(said, Tensor) else said.velocity


def face(architecture: Architecture) -> Face:
    """How a network will look as ONNX.

    Raises
    ------
    UsageError : an affine network, whose least squares ONNX cannot say.
    """
    if isinstance(architecture, AffineNet):
        raise UsageError("an AffineNet ends in a least squares fit, which ONNX cannot say: expected another kind of network")
    kind = type(architecture)
    return Face(_inputs(architecture), _ANSWERS.get(kind, "velocity"), kind in _ANY_SIZE)


def export_onnx(module: nn.Module, path: str | os.PathLike[str], shape: Sequence[int], meta: Mapping[str, Any] | None = None) -> float:
    """Write a network as ONNX and compare what ONNX Runtime computes with it.

    Inputs are ``fixed`` and ``moving`` (``image`` of networks that look at one), (1, C, *S) float32, smoothness 1; the output is
    ``velocity`` in voxels of its own lattice, ``denoised``, ``translated`` or ``logit``, as the network's own. U-Nets, autoencoders,
    translators and classifiers take any size afterwards, others only ``shape``, because they warp inside.

    Parameters
    ----------
    shape : S of the images that it is traced and compared with.
    meta : what else the file should say, for JSON; ``architecture`` is always there.

    Returns
    -------
    The largest difference, in parts of the largest value.

    Raises
    ------
    UsageError : ONNX or its runtime are missing, or see `face`.  InputError : ``shape`` is not one of the network's dimensions.
    VoxalignError : the file computes something else; nothing is written.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise UsageError("ONNX needs packages that are not installed: pip install 'voxalign[onnx]'") from error
    architecture, final = module.architecture, Path(path)
    looks = face(architecture)
    if len(shape) != architecture.dim or min(shape) < 1:
        raise InputError(f"shape {'x'.join(map(str, shape))}: expected {architecture.dim} numbers above 0, as the network is "
                         f"{architecture.dim}-D")
    images = [torch.rand(1, architecture.in_channels, *shape, generator=torch.Generator().manual_seed(k)) for k in range(len(looks.inputs))]
    plain, partial = _Plain(module).cpu().float().eval(), final.with_name(f".{final.name}.{secrets.token_hex(4)}.partial")
    try:
        _write(plain, images, partial, looks)
        _inscribe(partial, {"architecture": as_dict(architecture)} | dict(meta or {}))
        difference = compared(plain, partial, images)
        if not difference <= _AGREEMENT:
            raise VoxalignError(f"the exported network differs from the original by {difference:.2g} of its largest value")
        os.replace(partial, final)
    finally:
        partial.unlink(missing_ok=True)
    return difference


def compared(module: nn.Module, path: Path, images: Sequence[Tensor]) -> float:
    """The largest difference between torch and ONNX Runtime, in parts of the largest value."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found = session.run(None, {given.name: image.numpy() for given, image in zip(session.get_inputs(), images, strict=True)})[0]
    with torch.inference_mode():
        expected = module(*images)
    return float((torch.from_numpy(found) - expected).abs().max() / expected.abs().max().clamp(min=1e-12))


def _inputs(architecture: Architecture) -> tuple[str, ...]:
    if isinstance(architecture, Critic) and architecture.images != 2:
        return tuple(f"image_{k}" for k in range(architecture.images)) if architecture.images > 1 else ("image",)
    return ("image",) if isinstance(architecture, Autoencoder) else ("fixed", "moving")


def _write(module: _Plain, images: Sequence[Tensor], path: Path, looks: Face) -> None:
    sizes = {2 + k: f"size_{k}" for k in range(images[0].ndim - 2)} if looks.any_size else {}
    with warnings.catch_warnings():  # the exporter that traces is the older one; the newer takes minutes for a pyramid
        warnings.simplefilter("ignore")
        torch.onnx.export(module, tuple(images), str(path), input_names=list(looks.inputs), output_names=[looks.output],
                          dynamic_axes={name: sizes for name in looks.inputs}, opset_version=_OPSET, dynamo=False)


def _inscribe(path: Path, meta: Mapping[str, Any]) -> None:
    """Let the file say what it is, as JSON under ``voxalign``."""
    import onnx

    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"voxalign": json.dumps(meta)})
    onnx.save(model, path)
