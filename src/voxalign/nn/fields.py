"""Fields and matrices in voxels, in batches and inside autograd: what takes a network's answer to a moved image.

A displacement u (B, D, *S) says that voxel x of the fixed image shows what the moving image has at x + u(x). Positions are float32 at
least, whatever precision the convolutions have. The kernels of `core` do the same for one field; contract tests hold them equal.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..core import kernels

SQUARINGS = 7
_MANY = 8  # channels
_MODES = {3: "linear", 4: "bilinear", 5: "trilinear"}


def warp(image: Tensor, displacement: Tensor, padding: str = "edge") -> Tensor:
    """``image`` (B, C, *S) at x + u(x), linear, u being ``displacement`` (B, D, *T) in voxels; x counts from the first voxel of either.

    Parameters
    ----------
    padding : ``edge``: values of the edge continue outside, as `core.kernels.warp`. ``zero``: falling to 0 within a voxel.
    """
    if padding == "edge" and _is_plain(image) and _is_plain(displacement):
        out = torch.empty(*image.shape[:2], *displacement.shape[2:])
        for one, u, moved in zip(image.numpy(), displacement.numpy(), out.numpy(), strict=True):
            kernels.warp(one, u, moved)
        return out
    return read(image, positions(displacement), padding)


def positions(displacement: Tensor) -> Tensor:
    """x + u(x) for every voxel x, (B, D, *S), float32 at least."""
    displacement = exact(displacement)
    return displacement + lattice(displacement.shape[2:], displacement)


def lattice(shape: Sequence[int], like: Tensor) -> Tensor:
    """The index of every voxel, (D, *shape)."""
    axes = [torch.arange(n, dtype=like.dtype, device=like.device) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def read(image: Tensor, index: Tensor, padding: str = "edge") -> Tensor:
    """``image`` (B, C, *S) at indices (B, D, *T), linear."""
    size = index.new_tensor([max(n - 1, 1) for n in image.shape[2:]]).reshape(-1, *(1,) * (index.ndim - 2))
    grid = (index * (2 / size) - 1).flip(1).movedim(1, -1)
    return functional.grid_sample(image.to(grid.dtype), grid, "bilinear", {"edge": "border", "zero": "zeros"}[padding], align_corners=True)


def compose(first: Tensor, second: Tensor) -> Tensor:
    """The displacement of ``second`` after ``first``, both (B, D, *S): u1(x) + u2(x + u1(x))."""
    return first + read(second, positions(first))


def integrate(velocity: Tensor, squarings: int = SQUARINGS) -> Tensor:
    """The displacement after unit time of a stationary velocity, both (B, D, *S) in voxels of their own lattice.

    Scaling and squaring (Arsigny et al. 2006, doi:10.1007/11866565_113); edge values continue outside.
    """
    velocity = exact(velocity)
    if _is_plain(velocity):
        return torch.from_numpy(np.stack([kernels.exponentiate(one.numpy(), squarings) for one in velocity]))
    u = velocity / 2**squarings
    for _ in range(squarings):
        u = compose(u, u)
    return u


def _is_plain(values: Tensor) -> bool:
    """Whether nothing but the numbers is wanted, where the compiled kernels are: five times as fast."""
    wanted = values.dtype == torch.float32 and values.device.type == "cpu" and not torch.jit.is_tracing()
    return wanted and not (torch.is_grad_enabled() and values.requires_grad)


def double(values: Tensor) -> Tensor:
    """(B, C, *S) on voxels of half the edge, (B, C, *2S), linear; the first and the last half voxel continue the edge."""
    many = values.ndim == 5 and values.shape[1] >= _MANY and values.device.type == "cpu"
    if many and not torch.jit.is_tracing():  # side by side torch is three times as fast at them; ONNX knows no such order
        values = values.contiguous(memory_format=torch.channels_last_3d)
    return functional.interpolate(values, scale_factor=2.0, mode=_MODES[values.ndim], align_corners=False).contiguous()


def cut(values: Tensor, shape: Sequence[int]) -> Tensor:
    """The first ``shape`` voxels, (B, C, *shape)."""
    for axis, n in enumerate(shape, 2):
        values = values.narrow(axis, 0, n)
    return values


def affine_displacement(matrix: Tensor, shape: Sequence[int]) -> Tensor:
    """What homogeneous matrices (B, D+1, D+1), index to index, add to every voxel, (B, D, *shape)."""
    matrix = exact(matrix)
    x = lattice(shape, matrix)
    rows = matrix[:, :-1].reshape(len(matrix), len(shape), len(shape) + 1, *(1,) * len(shape))
    return (rows[:, :, :-1] * x).sum(2) + rows[:, :, -1] - x  # no matrix product: autocast would shorten it


def exact(values: Tensor) -> Tensor:
    """float32, or float64 as it is: what positions need."""
    return values if values.dtype == torch.float64 else values.float()
