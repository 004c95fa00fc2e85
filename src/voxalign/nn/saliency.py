"""What in the two images moved a point: by integrated gradients, and by covering parts."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_AT_ONCE = 8  # covered pairs in a batch


def integrated_gradients(module: nn.Module, images: tuple[NDArray, NDArray], voxel: Sequence[int], steps: int = 16) -> NDArray[np.float32]:
    """How much every voxel contributes to the displacement of one, in voxels along the way it goes, (2, C, *S).

    The contributions to fixed and moving image add up to that displacement, but for what the network says of two even images (Sundararajan
    et al. 2017, arXiv:1703.01365).

    Parameters
    ----------
    images : fixed and moving, (C, *S).
    voxel : index of the point that moved.
    steps : of the way from images of one value, their mean, to the images.
    """
    pair, even = _pair(module, images)
    along = _along(module, pair, voxel)
    total = torch.zeros_like(pair)
    for k in range(steps):
        seen = (even + (k + 0.5) / steps * (pair - even)).requires_grad_()
        (gradient,) = torch.autograd.grad(along(seen[None])[0], seen)
        total += gradient / steps
    return ((pair - even) * total).detach().cpu().numpy()


def occlusion(module: nn.Module, images: tuple[NDArray, NDArray], voxel: Sequence[int], patch: int = 4) -> NDArray[np.float32]:
    """How much farther a point goes because of each patch of either image, in voxels along the way it goes, (2, *ceil(S / patch)).

    The patch is covered with the mean of its image; see `integrated_gradients` for the parameters.
    """
    pair, even = _pair(module, images)
    along = _along(module, pair, voxel)
    counts = [-(-n // patch) for n in pair.shape[2:]]
    places = list(product(range(2), *map(range, counts)))
    with torch.inference_mode():
        whole = along(pair[None])[0]
        parts = [whole - along(torch.stack([_covered(pair, even, place, patch) for place in places[i:i + _AT_ONCE]]))
                 for i in range(0, len(places), _AT_ONCE)]
    return torch.cat(parts).reshape(2, *counts).cpu().numpy()


def _covered(pair: Tensor, even: Tensor, place: Sequence[int], patch: int) -> Tensor:
    out = pair.clone()
    part = (place[0], slice(None), *(slice(i * patch, (i + 1) * patch) for i in place[1:]))
    out[part] = even[part]
    return out


def _pair(module: nn.Module, images: tuple[NDArray, NDArray]) -> tuple[Tensor, Tensor]:
    """Both images (2, C, *S) where the network is, and images of their means."""
    pair = torch.from_numpy(np.stack(images).astype(np.float32)).to(next(module.parameters()).device)
    return pair, pair.mean(tuple(range(2, pair.ndim)), keepdim=True).expand_as(pair)


def _along(module: nn.Module, pair: Tensor, voxel: Sequence[int]) -> Callable[[Tensor], Tensor]:
    """Pairs (B, 2, C, *S) -> how far the voxel goes in each, (B,), along the way it goes in ``pair``."""
    def there(pairs: Tensor) -> Tensor:
        return module(pairs[:, 0], pairs[:, 1]).displacement()[(slice(None), slice(None), *voxel)]

    with torch.no_grad():
        way = torch.nn.functional.normalize(there(pair[None])[0], dim=0)
    return lambda pairs: there(pairs) @ way
