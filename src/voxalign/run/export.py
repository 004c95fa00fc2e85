"""``voxalign export``: a network's weights as ONNX, for other programs."""
from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..core import UsageError
from .output import check_file

_SAID = ("inputs", "task")  # of what the weights say, what another program needs


def export_file(path: Path, out: Path, shape: Sequence[int] = (), overwrite: bool = False) -> dict[str, Any]:
    """Write the network in a file of weights as ONNX, compared with ONNX Runtime before it is there.

    Parameters
    ----------
    shape : of the images; networks that take any size afterwards need none.

    Returns
    -------
    ``file``, ``network``, names of ``inputs`` and of the ``output``, ``shape`` (``any`` or the numbers), ``difference`` in parts of the
    largest value.

    Raises
    ------
    UsageError : packages are missing, a network that needs a shape and got none, or one that ONNX cannot hold.
    InputError : weights that cannot be used, or ``out`` exists.  SecurityError : weights in a pickle.
    """
    check_file(out, overwrite, [path])
    if not find_spec("torch"):
        raise UsageError("export needs packages that are not installed: pip install 'voxalign[onnx]'")
    from ..nn import export, weights

    network, meta = weights.load(path)
    architecture = network.architecture
    looks, kind = export.face(architecture), type(architecture).__name__
    if not looks.any_size and not shape:
        raise UsageError(f"a {kind} warps inside and is exported for one size of images: give --shape, such as "
                         f"{'x'.join(['96'] * architecture.dim)}")
    about = {"weights_sha256": weights.digest(network.state_dict())} | {name: meta[name] for name in _SAID if name in meta}
    difference = export.export_onnx(network, out, shape or example(architecture), about)
    return {"file": out.name, "network": kind, "inputs": list(looks.inputs), "output": looks.output,
            "shape": "any" if looks.any_size else list(shape), "difference": difference}


def example(architecture: Any) -> list[int]:
    """A size, two voxels of the coarsest level and a bit more, that shows what a network does."""
    return [(2 << architecture.levels) + 1] * architecture.dim
