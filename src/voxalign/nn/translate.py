"""A trained translator as a filter: an image in the contrast of another kind of image. No torch until it is called."""
from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ..core import Image, InputError, UsageError, require, resample
from .architecture import Translator
from .inputs import Inputs


def translate(image: Image, *, weights: str) -> Image:
    """Show an image in the contrast of another kind of image, as a translator was trained to (voxalign train --task translate).

    It is worked out at the resolution that the network was trained at, and comes back on the image's own grid; dark is about 0, bright 1.

    Parameters
    ----------
    weights : file of a `Translator`.

    Raises
    ------
    InputError : a label map, a constant image, or nothing counts; weights that cannot be used.  UsageError : no torch.
    SecurityError : weights in a pickle.
    """
    require.contrast(image, "translate")
    if not find_spec("torch"):
        raise UsageError("translate needs torch, which is not installed: pip install 'voxalign[torch]'")
    import torch

    from .weights import load

    network, about = load(Path(weights))
    architecture = network.architecture
    if not isinstance(architecture, Translator) or architecture.dim != image.dim:
        raise InputError(f"{Path(weights).name}: holds a {architecture.dim}-D {type(architecture).__name__}, expected a {image.dim}-D "
                         "Translator (voxalign train --task translate)")
    inputs = Inputs.from_dict(about.get("inputs"))
    grid = inputs.grid(image)
    with torch.inference_mode():
        made = network(torch.from_numpy(inputs.array(image, grid))[None])[0].numpy()
    shown = resample(Image(made.clip(0), grid), image.grid)
    return Image(np.ascontiguousarray(shown.data), image.grid, image.mask)
