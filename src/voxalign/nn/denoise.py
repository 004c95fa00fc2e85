"""The denoising autoencoder as a filter. No torch until it is called."""
from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core import Image, InputError, UsageError, require
from ..core.smoothing import filled, kept
from ..filters.denoise import noise_level
from ..filters.normalise import robust_range
from .architecture import Autoencoder

if TYPE_CHECKING:
    from torch import nn

SHIPPED = Path(__file__).with_name("shipped")
_TILE = {2: 512, 3: 96}  # voxels along each axis that are worked on at once
_FAINTEST = 0.005  # noise, of the range, that is taken for granted
_HALO = 32  # voxels around a tile that its result may depend on, and more than the shipped networks look at


def autoencoder(image: Image, *, weights: str | None = None) -> Image:
    """Take off the noise that a trained network sees (denoising autoencoder).

    Parameters
    ----------
    weights : file of an `Autoencoder`; by default the one that voxalign brings for images of these dimensions.

    Raises
    ------
    InputError : a label map, a constant image, or nothing counts; weights that cannot be used.  UsageError : no weights, or no torch.
    SecurityError : weights in a pickle.
    """
    require.contrast(image, "autoencoder")
    network = _network(Path(weights) if weights else SHIPPED / f"autoencoder-{image.dim}d.safetensors", image.dim)
    out = np.stack([_denoised(network, channel, image.mask) for channel in filled(image.data, image.mask)])
    return image.with_data(kept(image.data, out, image.mask))


def _network(path: Path, dim: int) -> nn.Module:
    if not find_spec("torch"):
        raise UsageError("autoencoder needs torch, which is not installed: pip install 'voxalign[torch]', or use wavelet")
    if path.parent == SHIPPED and not path.exists():
        raise UsageError(f"autoencoder: voxalign brings no weights for {dim}-D images; name a file (weights=...), or use wavelet")
    from .weights import load

    network, _ = load(path)
    architecture = network.architecture
    if type(architecture) is not Autoencoder or (architecture.dim, architecture.in_channels) != (dim, 1):
        raise InputError(f"{path.name}: holds a {architecture.dim}-D {type(architecture).__name__}, expected a {dim}-D Autoencoder "
                         "of one channel")
    return network


def _denoised(network: nn.Module, data: NDArray, mask: NDArray | None) -> NDArray[np.float32]:
    """One channel (*shape), in pieces that fit into memory."""
    low, step = scale(data, mask)
    unit = ((data - low) / step).astype(np.float32)
    out = np.empty_like(unit)
    for tile in tiles(unit.shape, 1 << network.architecture.levels - 1):
        out[tile.inner] = _through(network, unit[tile.outer])[tile.within]
    return (out * step + low).astype(np.float32)


def scale(data: NDArray, mask: NDArray | None = None) -> tuple[float, float]:
    """What is dark in an image (*shape), and its noise, which is 1 for the network: so it need know no other."""
    low, high = robust_range(data if mask is None else data[mask])
    return low, max(noise_level(data, mask), _FAINTEST * (high - low))


def _through(network: nn.Module, array: NDArray) -> NDArray[np.float32]:
    import torch

    with torch.inference_mode():
        return network(torch.from_numpy(np.ascontiguousarray(array))[None, None])[0, 0].numpy()


class Tile:
    """A piece of an array: ``outer`` is read, and what is found at ``within`` it belongs to ``inner`` of the array."""

    def __init__(self, starts: tuple[int, ...], shape: tuple[int, ...]) -> None:
        size = _TILE[len(shape)]
        begin = [max(s - _HALO, 0) for s in starts]
        self.inner = tuple(slice(s, min(s + size, n)) for s, n in zip(starts, shape, strict=True))
        self.outer = tuple(slice(b, min(s + size + _HALO, n)) for b, s, n in zip(begin, starts, shape, strict=True))
        self.within = tuple(slice(i.start - b, i.stop - b) for i, b in zip(self.inner, begin, strict=True))


def tiles(shape: tuple[int, ...], multiple: int) -> Iterator[Tile]:
    """Pieces that cover an array; they begin at multiples, so that a network pools the same voxels together as in the whole."""
    assert _TILE[len(shape)] % multiple == _HALO % multiple == 0, "more levels than tiles allow"
    for starts in product(*(range(0, n, _TILE[len(shape)]) for n in shape)):
        yield Tile(starts, shape)
