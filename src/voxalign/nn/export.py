"""Networks for other programs: ONNX, checked against torch before it is there."""
from __future__ import annotations

import os
import secrets
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ..core import UsageError, VoxalignError
from .architecture import AffineNet, Autoencoder, Classifier, UNet

_OPSET = 20  # the first that can sample volumes
_AGREEMENT = 1e-3  # of the largest value: other programs add in another order


class _Plain(nn.Module):
    """A network whose answer is one tensor, as files hold it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *images: Tensor) -> Tensor:
        said = self.module(*images)
        return said if isinstance(said, Tensor) else said.velocity


def export_onnx(module: nn.Module, path: str | os.PathLike[str], shape: Sequence[int]) -> float:
    """Write a network as ONNX and compare what ONNX Runtime computes with it.

    Inputs are ``fixed`` and ``moving`` (``image`` of an autoencoder), (1, C, *S) float32, smoothness 1; the output is ``velocity`` in
    voxels of its own lattice, ``denoised`` or ``logit``, as the network's own. U-Nets, autoencoders and classifiers take any size
    afterwards, others only ``shape``, because they warp inside.

    Returns
    -------
    The largest difference, in parts of the largest value.

    Raises
    ------
    UsageError : ONNX or its runtime are missing, or an affine network, whose least squares ONNX cannot say.
    VoxalignError : the file computes something else; nothing is written.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise UsageError("ONNX needs packages that are not installed: pip install 'voxalign[onnx]'") from error
    architecture, final = module.architecture, Path(path)
    if isinstance(architecture, AffineNet):
        raise UsageError("an AffineNet ends in a least squares fit, which ONNX cannot say: expected another kind of network")
    names = ["image"] if isinstance(architecture, Autoencoder) else ["fixed", "moving"]
    images = [torch.rand(1, architecture.in_channels, *shape, generator=torch.Generator().manual_seed(k)) for k in range(len(names))]
    plain, partial = _Plain(module).cpu().float().eval(), final.with_name(f".{final.name}.{secrets.token_hex(4)}.partial")
    try:
        _write(plain, images, partial, names)
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


def _write(module: _Plain, images: Sequence[Tensor], path: Path, names: Sequence[str]) -> None:
    kind = type(module.module.architecture)
    sizes = {2 + k: f"size_{k}" for k in range(images[0].ndim - 2)} if kind in _ANY_SIZE else {}
    with warnings.catch_warnings():  # the exporter that traces is the older one; the newer takes minutes for a pyramid
        warnings.simplefilter("ignore")
        torch.onnx.export(module, tuple(images), str(path), input_names=list(names), output_names=[_ANSWERS.get(kind, "velocity")],
                          dynamic_axes={name: sizes for name in names}, opset_version=_OPSET, dynamo=False)


_ANSWERS = {Autoencoder: "denoised", Classifier: "logit"}
_ANY_SIZE = (UNet, Autoencoder, Classifier)
