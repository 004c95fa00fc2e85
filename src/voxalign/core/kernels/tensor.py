"""The kernels for torch tensors, with the names and signatures of `reference`: any device, 2-D and 3-D, and inside autograd.

Gradients pass through everything that returns volumes, except nearest, label and cubic interpolation and `invert`. Small tables that an
optimiser reads (`histograms`, `joint_histogram`, `normal_equations`) come back as NumPy, which waits for the device once.

Positions are float32 for float32 images, good to 3e-5 voxel on grids of 256. Filters and window sums are products with banded matrices:
one pass over memory an axis however wide the filter, right at the edges, differentiable, and without the drift of running sums. Sums into
histograms are of whole numbers, so that they do not depend on the order a GPU takes them in. Nothing here waits for the device but what
returns NumPy and `invert`. ``out`` and ``work`` are left alone: torch keeps memory for the next call by itself.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from .. import kernels
from . import reference
from .reference import WindowStatistics, gaussian_weights

_FIXED_POINT = 2.0**32
_COPIES = 256  # histograms that are filled side by side, so that a GPU's threads seldom wait for each other
_MOST_POSITIONS = 1 << 24  # read at once by `histograms`


# ---------------------------------------------------------------- positions
@lru_cache(maxsize=64)
def spans(mask: Tensor) -> Tensor:
    """See `reference.spans`; here the voxels themselves, (*shape) bool: each row filled from its first to its last."""
    before, after = mask.cummax(-1).values, mask.flip(-1).cummax(-1).values.flip(-1)
    return before & after


def _kept(answer: Tensor, out: Tensor | None, within: Tensor | None) -> Tensor:
    """See `reference._kept`."""
    return answer if within is None else torch.where(within, answer, out)


def _ramp(n: int, axis: int, dim: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """0 ... n - 1 along one of ``dim`` axes."""
    with torch.inference_mode(False):
        return torch.arange(n, dtype=dtype, device=device).reshape([n if k == axis else 1 for k in range(dim)])


def _lattice(shape: Sequence[int], like: Tensor) -> list[Tensor]:
    """The index of every voxel, one array an axis; each has only its own axis."""
    return [_ramp(n, axis, len(shape), like.dtype, like.device) for axis, n in enumerate(shape)]


def _moved_lattice(u: Tensor) -> list[Tensor]:
    """x + u(x) for every voxel x, an array a component."""
    return [x + component for x, component in zip(_lattice(u.shape[1:], u), u, strict=True)]


def _mapped(matrix: ArrayLike, positions: list[Tensor]) -> list[Tensor]:
    """Homogeneous matrix times positions."""
    rows = np.asarray(matrix, np.float64).tolist()
    return [sum(m * p for m, p in zip(row, positions, strict=False)) + row[-1] for row in rows[:-1]]


def _inside(positions: list[Tensor], shape: Sequence[int]) -> Tensor:
    """Whether positions are within half a voxel of the outermost centres."""
    inside = [(p >= -0.5) & (p <= n - 0.5) for p, n in zip(positions, shape, strict=True)]
    return inside[0] & inside[1] if len(inside) == 2 else inside[0] & inside[1] & inside[2]


def _read(fields: Tensor, positions: list[Tensor]) -> Tensor:
    """(C, *shape) at positions, an array (*out) an axis, linear; edge values continue outside. (C, *out)"""
    grid = torch.stack([p * (2 / max(n - 1, 1)) - 1 for p, n in zip(positions, fields.shape[1:], strict=True)][::-1], -1)
    return functional.grid_sample(fields[None], grid[None].to(fields.dtype), "bilinear", "border", align_corners=True)[0]


# ---------------------------------------------------------------- reading
def sample(data: Tensor, index: ArrayLike, interpolation: str = "linear", outside: float = 0.0) -> Tensor:
    """See `reference.sample`."""
    index = torch.as_tensor(index, device=data.device)
    if interpolation == "cubic":
        return _sample_cubic(data, index, outside)
    positions = list(index.T)
    inside = _inside(positions, data.shape[1:])
    if interpolation == "linear":
        data = _floating(data)
        positions = [p.reshape(-1, *(1,) * (index.shape[1] - 1)) for p in positions]
        values = _read(data, positions).reshape(len(data), -1)
    else:
        values = {"nearest": _nearest, "label": _majority}[interpolation](data, positions)
    return torch.where(inside, values, outside).to(data.dtype)


def _floating(data: Tensor) -> Tensor:
    return data if data.is_floating_point() else data.float()


def _sample_cubic(data: Tensor, index: Tensor, outside: float) -> Tensor:
    """On the CPU: splines need a recursive filter first."""
    values = reference.sample(data.detach().cpu().numpy(), index.detach().cpu().double().numpy(), "cubic", outside)
    return torch.as_tensor(values, device=data.device)


def _nearest(data: Tensor, positions: list[Tensor]) -> Tensor:
    return _at(data, [torch.floor(p + 0.5) for p in positions])


def _at(data: Tensor, index: list[Tensor]) -> Tensor:
    """(C, *shape) at whole indices, (N,) an axis, moved into the array if they lie outside."""
    whole = [i.long().clamp(0, n - 1) for i, n in zip(index, data.shape[1:], strict=True)]
    return data[(slice(None), *whole)]


def _majority(data: Tensor, positions: list[Tensor]) -> Tensor:
    """The label with the largest sum of linear weights among the corners of the cell."""
    near = [p.clamp(0, n - 1) for p, n in zip(positions, data.shape[1:], strict=True)]
    low = [torch.floor(p).clamp(max=max(n - 2, 0)) for p, n in zip(near, data.shape[1:], strict=True)]
    corners = list(product((0, 1), repeat=len(near)))
    labels = torch.stack([_at(data, [i + c for i, c in zip(low, corner, strict=True)]) for corner in corners], 1)
    weights = torch.stack([_weight(near, low, corner) for corner in corners])
    votes = torch.stack([(weights * (labels == label[:, None])).sum(1) for label in labels.unbind(1)], 1)
    return labels.gather(1, votes.argmax(1, keepdim=True))[:, 0]


def _weight(near: list[Tensor], low: list[Tensor], corner: tuple[int, ...]) -> Tensor:
    weight = torch.ones_like(near[0])
    for p, i, c in zip(near, low, corner, strict=True):
        weight = weight * (p - i if c else 1 - (p - i))
    return weight


def pull(data: Tensor, shape: tuple[int, ...], matrix: ArrayLike, field: tuple | None = None, interpolation: str = "linear",
         outside: float = 0.0) -> Tensor:
    """See `reference.pull`; the matrices may be NumPy, and the field's values either."""
    likeness = data if data.is_floating_point() else data.new_empty(0, dtype=torch.float32)
    positions = _mapped(matrix, _lattice(shape, likeness))
    if field is not None:
        values, after, linear = field
        values = torch.as_tensor(values, dtype=likeness.dtype, device=data.device)
        u = _read(values, _spread(positions, shape)) * _inside(positions, values.shape[1:])
        turned = _mapped(np.pad(np.asarray(linear, np.float64), ((0, 1), (0, 1))), list(u))
        positions = [p + v for p, v in zip(_mapped(after, positions), turned, strict=True)]
    positions = _spread(positions, shape)
    if interpolation != "linear":
        return sample(data, torch.stack(positions, -1).reshape(-1, len(shape)), interpolation, outside).reshape(len(data), *shape)
    return torch.where(_inside(positions, data.shape[1:]), _read(_floating(data), positions), outside)


def _spread(positions: list[Tensor], shape: Sequence[int]) -> list[Tensor]:
    return [p.expand(*shape) for p in positions]


def warp(image: Tensor, u: Tensor, out: Tensor | None = None, within: Tensor | None = None) -> Tensor:
    """See `reference.warp`; exact gradients in the image and in the displacement."""
    moved = _read(image.reshape(-1, *image.shape[-len(u):]), _moved_lattice(u))
    return _kept(moved.reshape(*image.shape[:-len(u)], *u.shape[1:]), out, within)


# ---------------------------------------------------------------- displacement fields, in voxels of their own grid
def compose_fields(first: Tensor, second: Tensor, out: Tensor | None = None) -> Tensor:
    """See `reference.compose_fields`."""
    return first + _read(second, _moved_lattice(first))


def compose_near(first: Tensor, second: Tensor, out: Tensor | None = None, within: Tensor | None = None) -> Tensor:
    """See `reference.compose_near`."""
    return _kept(compose_fields(first, second), out, within)


def exponentiate(velocity: Tensor, squarings: int = 7) -> Tensor:
    """See `reference.exponentiate`."""
    u = velocity / 2**squarings
    for _ in range(squarings):
        u = compose_fields(u, u)
    return u


def relax_volume(u: Tensor, weights: Sequence[float], amount: float, out: Tensor | None = None, within: Tensor | None = None) -> Tensor:
    """See `reference.relax_volume`."""
    divergence = sum(torch.diff(c, dim=k, prepend=c.narrow(k, 0, 1)) for k, c in enumerate(u))
    gradient = [torch.diff(divergence, dim=k, append=divergence.narrow(k, -1, 1)) for k in range(len(u))]
    return _kept(torch.stack([c + amount * float(w) * g for c, w, g in zip(u, weights, gradient, strict=True)]), out, within)


def jacobian_determinant(u: Tensor) -> Tensor:
    """See `reference.jacobian_determinant`."""
    rows = [[_slope(component, axis) + float(k == axis) for axis in range(len(u))] for k, component in enumerate(u)]
    if len(u) == 2:
        (a, b), (c, d) = rows
        return a * d - b * c
    (a, b, c), (d, e, f), (g, h, i) = rows
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def _slope(values: Tensor, axis: int) -> Tensor:
    """Central differences, one-sided at the edges, none along axes of one voxel."""
    if values.shape[axis] == 1:
        return torch.zeros_like(values)
    return torch.gradient(values, dim=axis)[0]


def invert(u: Tensor, tolerance: float = 1e-3, steps: int = 60) -> Tensor:
    """See `reference.invert`; no gradient passes."""
    with torch.no_grad():
        field = u.double()
        inverse = -field
        residual, length = _missed(field, inverse), torch.ones_like(field[:1])
        for _ in range(steps):
            todo = residual.abs().amax(0, keepdim=True) > tolerance
            if not todo.any():
                break
            trial = inverse - length * _solve(_slopes(field, inverse), residual)
            missed = _missed(field, trial)
            good = todo & (missed.norm(dim=0, keepdim=True) < residual.norm(dim=0, keepdim=True))
            inverse, residual = torch.where(good, trial, inverse), torch.where(good, missed, residual)
            length = torch.where(good, (2 * length).clamp(max=1), length / 2)
        return inverse.to(u.dtype)


def _missed(u: Tensor, v: Tensor) -> Tensor:
    """v(x) + u(x + v(x))."""
    return compose_fields(v, u)


def _slopes(u: Tensor, v: Tensor) -> Tensor:
    """I + du/dx of the linear interpolation itself at x + v(x), (*shape, D, D)."""
    half = 1e-3 * torch.eye(len(u), dtype=u.dtype, device=u.device)
    columns = []
    for h in half:
        h = h.reshape(-1, *(1,) * (u.ndim - 1))
        columns.append((_read(u, _moved_lattice(v + h)) - _read(u, _moved_lattice(v - h))) / 2e-3)
    return torch.stack(columns, -1).movedim(0, -2) + torch.eye(len(u), dtype=u.dtype, device=u.device)


def _solve(matrices: Tensor, values: Tensor) -> Tensor:
    """(*shape, D, D) and (D, *shape) -> (D, *shape); nearly singular matrices are replaced by the identity."""
    identity = torch.eye(len(values), dtype=values.dtype, device=values.device)
    matrices = torch.where(torch.linalg.det(matrices)[..., None, None] > 0.02, matrices, identity)
    return torch.linalg.solve(matrices, values.movedim(0, -1)[..., None])[..., 0].movedim(-1, 0)


# ---------------------------------------------------------------- filters
def separable(data: Tensor, weights: Sequence[NDArray], edge: bool = True, out: Tensor | None = None,
              within: Tensor | None = None) -> Tensor:
    """See `reference.separable`."""
    with _full_precision(data):
        for axis, taps in enumerate(weights, 1):
            data = _filtered(data, axis, tuple(np.asarray(taps, np.float64).tolist()), edge)
    return _kept(data, out, within)


def _filtered(data: Tensor, axis: int, taps: tuple[float, ...], edge: bool) -> Tensor:
    if len(taps) == 1:
        return data if taps[0] == 1 else data * taps[0]
    n = data.shape[axis]
    matrix = _banded(taps, n, edge, data.dtype, data.device)
    if axis == data.ndim - 1:
        return data @ matrix.T
    lines = data.reshape(int(np.prod(data.shape[:axis])), n, -1)
    return torch.bmm(matrix.expand(len(lines), n, n), lines).reshape(data.shape)


@lru_cache(maxsize=128)
def _banded(taps: tuple[float, ...], n: int, edge: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The filter as a matrix (n, n): row i holds the weights of the voxels that make voxel i."""
    row = np.arange(n)[:, None]
    column = row + np.arange(len(taps)) - len(taps) // 2
    weights = np.where(edge | ((column >= 0) & (column < n)), np.asarray(taps), 0)
    matrix = np.zeros((n, n))
    np.add.at(matrix, (np.broadcast_to(row, column.shape), column.clip(0, n - 1)), weights)
    with torch.inference_mode(False):
        return torch.as_tensor(matrix, dtype=dtype, device=device)


@contextmanager
def _full_precision(data: Tensor) -> Iterator[None]:
    """Products with all bits, also where training allowed the short ones of tensor cores (10 bits: too few for variances)."""
    setting = torch.get_float32_matmul_precision()
    if setting == "highest" or not data.is_cuda:
        yield
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(setting)


def smooth(data: Tensor, sigma: Sequence[float], out: Tensor | None = None, within: Tensor | None = None) -> Tensor:
    """See `reference.smooth`."""
    return separable(data, [gaussian_weights(float(s)) for s in sigma], True, out, within)


# ---------------------------------------------------------------- losses
def window_statistics(fixed: Tensor, mask: Tensor | None, weights: Sequence[NDArray],
                      stride: Sequence[int] | None = None) -> WindowStatistics:
    """See `reference.window_statistics`."""
    stride = tuple(stride or (1,) * fixed.ndim)
    inside = torch.ones_like(fixed) if mask is None else mask.to(fixed.dtype)
    count, total, squares = separable(_thin(torch.stack([inside, fixed * inside, fixed * fixed * inside]), stride), weights, False)
    floor = 2e-6 * float(np.prod([w.sum() * k for w, k in zip(weights, stride, strict=True)]))
    icount = 1 / count.clamp(min=1e-6)
    mean = total * icount
    about = squares - mean * total
    middle = inside[tuple(slice(None, None, k) for k in stride)]
    ivar = middle / (about.clamp(min=0) + floor)
    windows, voxels = (max(m.numel() if mask is None else int(m.sum()), 1) for m in (middle, inside))
    return WindowStatistics(icount, mean, ivar, mask, tuple(weights), windows, floor, stride, voxels / windows)


def _thin(data: Tensor, stride: Sequence[int]) -> Tensor:
    """See `reference.thin`."""
    for axis, k in enumerate(stride, 1):
        if k == 2:
            data = data.movedim(axis, -1)
            size, padded = (data.shape[-1] + 1) // 2, functional.pad(data, (1, 1))
            before, own, after = (padded[..., first::2][..., :size] for first in range(3))
            data = (own + 0.5 * (before + after)).movedim(-1, axis)
    return data


def _unthinned(data: Tensor, stride: Sequence[int], shape: Sequence[int]) -> Tensor:
    """See `reference.spread`."""
    for axis, (k, n) in enumerate(zip(stride, shape, strict=True), 1):
        if k == 2:
            data = data.movedim(axis, -1)
            between = 0.5 * (data + functional.pad(data[..., 1:], (0, 1)))
            data = torch.stack([data, between], -1).flatten(-2)[..., :n].movedim(-1, axis)
    return data


def lncc(fixed: Tensor, moved: Tensor, windows: WindowStatistics, noise: float = 0.0,
         work: Tensor | None = None, within: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """See `reference.lncc`; the value is a tensor, so that nobody waits for it."""
    sums = _thin(torch.stack([moved, moved * moved, moved * fixed]), windows.stride)
    total, squares, products = separable(sums, windows.weights, False)
    mean = total * windows.icount
    variance, covariance = squares - mean * total, products - windows.mean * total
    inverse = 1 / (variance.clamp(min=0) + windows.floor)
    alpha = covariance * windows.ivar * inverse
    squared = covariance * alpha
    loss, beta = -squared, squared * inverse
    if noise > 0:
        left = (1 + noise - squared.clamp(max=1)) / (1 + noise)
        loss, alpha, beta = (1 + noise) * left.log(), alpha / left, beta / left
    if within is not None:
        wanted = within[tuple(slice(None, None, k) for k in windows.stride)]
        loss, alpha, beta = loss * wanted, alpha * wanted, beta * wanted
    terms = separable(torch.stack([alpha, beta, beta * mean - alpha * windows.mean]), windows.weights, False)
    a, b, c = _unthinned(terms, windows.stride, fixed.shape) * windows.share
    residual = fixed * a - moved * b + c
    for mask in (windows.mask, within):
        if mask is not None:
            residual, b = residual * mask, b * mask
    return 1 + loss.double().sum() / windows.total, residual, b


def joint_histogram(fixed: Tensor, moved: Tensor, bins: int) -> NDArray[np.float64]:
    """See `reference.joint_histogram`."""
    cell, weights, _ = _parzen(moved.detach(), bins)
    keep = fixed != 255
    row = torch.where(keep, fixed, 0).long() * bins + cell
    sums = [_counts(row + (k - 1), weights[k] * keep, bins * bins) for k in range(4)]
    return sum(sums).cpu().numpy().reshape(bins, bins) / _FIXED_POINT


def _counts(index: Tensor, weights: Tensor, size: int) -> Tensor:
    """Sum of the weights of each index, (size,) whole multiples of 1 / `_FIXED_POINT`."""
    index, weights = index.reshape(-1), (weights.double() * _FIXED_POINT).round().long().reshape(-1)
    copies = max(min(_COPIES, len(index) // size), 1)
    place = index + size * (torch.arange(len(index), device=index.device) % copies)
    return torch.zeros(copies * size, dtype=torch.long, device=index.device).scatter_add_(0, place, weights).reshape(copies, size).sum(0)


def lookup(fixed: Tensor, moved: Tensor, table: ArrayLike, out: Tensor | None = None) -> Tensor:
    """See `reference.lookup`; the table may be NumPy."""
    bins = len(table)
    table = torch.as_tensor(table, dtype=moved.dtype, device=moved.device).reshape(-1)
    cell, _, slopes = _parzen(moved, bins)
    inside = (fixed != 255) & (moved > 0) & (moved < 1)
    row = torch.where(inside, fixed, 0).long() * bins + cell
    return sum(table[row + (k - 1)] * slopes[k] for k in range(4)) * (bins - 3) * inside


def _parzen(values: Tensor, bins: int) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    position = 1 + values.clamp(0, 1) * (bins - 3)
    cell = position.long().clamp(max=bins - 3)
    t = position - cell
    u = 1 - t
    weights = [u**3 / 6, 2 / 3 - t**2 + t**3 / 2, 2 / 3 - u**2 + u**3 / 2, t**3 / 6]
    return cell, weights, [-(u**2) / 2, 1.5 * t**2 - 2 * t, 2 * u - 1.5 * u**2, t**2 / 2]


def histograms(fixed: Tensor, moving: Tensor, maps: NDArray, bins: int) -> NDArray[np.float32]:
    """See `reference.histograms`."""
    index = torch.nonzero(fixed != 255)
    row = fixed[tuple(index.T)].long()
    most = max(_MOST_POSITIONS // max(len(index), 1), 1)
    parts = [_some_histograms(index.to(moving.dtype), row, moving, maps[i:i + most], bins) for i in range(0, len(maps), most)]
    return torch.cat(parts).cpu().numpy().astype(np.float32)


def _some_histograms(index: Tensor, row: Tensor, moving: Tensor, maps: NDArray, bins: int) -> Tensor:
    matrices = torch.as_tensor(maps, dtype=moving.dtype, device=moving.device)
    positions = index @ matrices[:, :-1, :-1].mT + matrices[:, None, :-1, -1]  # (M, N, D)
    value = sample(moving[None], positions.reshape(-1, index.shape[1]), outside=-1.0)[0].reshape(positions.shape[:2])
    low = value.long().clamp(0, bins - 2)
    share, inside = (value - low).clamp(max=1), value >= 0
    first = (torch.arange(len(maps), device=row.device)[:, None] * bins + row) * bins + low
    size = len(maps) * bins * bins
    sums = _counts(first, (1 - share) * inside, size) + _counts(first + 1, share * inside, size)
    return sums.reshape(len(maps), bins, bins).double() / _FIXED_POINT


# ---------------------------------------------------------------- structure
def window_moments(fixed: Tensor, mask: Tensor | None, weights: Sequence[NDArray]) -> Tensor:
    """See `reference.window_moments`."""
    inside = torch.ones_like(fixed) if mask is None else mask.to(fixed.dtype)
    count, total, squares = separable(torch.stack([inside, fixed, fixed * fixed]), weights, False)
    icount = 1 / count.clamp(min=1e-6)
    mean = total * icount
    return torch.stack([inside * icount, mean, (squares * icount - mean**2).clamp(min=0)])


def ssim(fixed: Tensor, moved: Tensor, moments: Tensor, weights: Sequence[NDArray],
         work: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """See `reference.ssim`; the value is a tensor."""
    c1, c2 = reference.SSIM_CONSTANTS
    n, f, variance = moments
    j, square, product = separable(torch.stack([moved, moved * moved, moved * fixed]), weights, False) * n
    light, spread = f * f + j * j + c1, variance + (square - j * j).clamp(min=0) + c2
    likeness, structure = (2 * f * j + c1) / light, (2 * (product - f * j) + c2) / spread
    alpha, beta = likeness / spread, likeness * structure / spread
    gamma = (f * structure - j * likeness * structure) / light + beta * j - alpha * f
    a, b, c = separable(n * torch.stack([alpha, beta, gamma]), weights, False)
    return (likeness * structure * (n > 0)).double().sum(), fixed * a - moved * b + c, a.abs()


def _between(values: Tensor, axis: int) -> Tensor:
    """``values`` of the gaps between neighbours along an axis, with a 0 before the first and after the last."""
    return functional.pad(values, [int(a == axis) for a in reversed(range(values.ndim)) for _ in range(2)])


def _pairs(values: Tensor, axis: int) -> Tensor:
    """Sum of each entry and the next one."""
    n = values.shape[axis] - 1
    return values.narrow(axis, 0, n) + values.narrow(axis, 1, n)


def _both_inside(mask: Tensor, axis: int) -> Tensor:
    n = mask.shape[axis] - 1
    return mask.narrow(axis, 0, n) & mask.narrow(axis, 1, n)


def gradient(image: Tensor, inverse_spacing: Sequence[float], mask: Tensor | None = None) -> Tensor:
    """See `reference.gradient`."""
    parts = []
    for axis, h in enumerate(inverse_spacing):
        steps = torch.diff(image, dim=axis) * (float(h) / 2)
        steps = steps if mask is None else steps * _both_inside(mask, axis)
        parts.append(_pairs(_between(steps, axis), axis))
    return torch.stack(parts)


def ngf(fixed: Tensor, moved: Tensor, inverse_spacing: Sequence[float], edge: float, mask: Tensor | None = None,
        work: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """See `reference.ngf`; the value is a tensor."""
    g = gradient(moved, inverse_spacing, mask)
    along = (fixed * g).sum(0)
    alpha = along / ((g * g).sum(0) + edge**2)
    weight = alpha**2
    inside = torch.ones_like(moved, dtype=torch.bool) if mask is None else mask
    residual, curvature = torch.zeros_like(moved), torch.zeros_like(moved)
    for axis, h in enumerate(map(float, inverse_spacing)):
        flow = h * (alpha * fixed[axis] - weight * g[axis])
        both = _both_inside(inside, axis).to(moved.dtype)
        residual = residual - torch.diff(_between(_pairs(flow, axis) * both / 2, axis), dim=axis)
        half, n = _between(both / 2, axis), moved.shape[axis]
        before, after = half.narrow(axis, 0, n), half.narrow(axis, 1, n)
        rolled = before * weight.roll(1, axis) + after * weight.roll(-1, axis)
        curvature = curvature + h**2 * (rolled + (inside.to(moved.dtype) - before - after) * weight)
    return (alpha * along).double().sum(), residual, curvature


# ---------------------------------------------------------------- steps of an optimisation
def _gradient(moved: Tensor) -> Tensor:
    """See `reference._gradient`."""
    g = gradient(moved, (1.0,) * moved.ndim)
    ends = functional.pad(torch.ones(max(moved.shape[-1] - 2, 0), dtype=g.dtype, device=g.device), (1, 1))[: moved.shape[-1]]
    return torch.cat([g[:-1], g[-1:] * ends])


def force(moved: Tensor, residual: Tensor, curvature: Tensor, weights: Sequence[float], kappa: float, out: Tensor | None = None,
          within: Tensor | None = None) -> Tensor:
    """See `reference.force`."""
    g = _gradient(moved)
    squares = sum(float(w) * d * d for w, d in zip(weights, g, strict=True))
    force = torch.stack([residual * d for d in g] + [curvature * squares + kappa * residual**2 / curvature.clamp(min=1e-9)])
    return _kept(force, out, within)


def step(force: Tensor, weights: Sequence[float], length: float, damping: float, longest: float, out: Tensor | None = None,
         within: Tensor | None = None) -> Tensor:
    """See `reference.step`."""
    softness = length / (force[-1] + damping)
    update = torch.stack([float(w) * f * softness for w, f in zip(weights, force[:-1], strict=True)])
    size = torch.linalg.vector_norm(update, dim=0)
    return _kept(update * (longest / size.clamp(min=1e-12)).clamp(max=1), out, within)


def normal_equations(moved: Tensor, residual: Tensor, curvature: Tensor) -> tuple[NDArray, NDArray]:
    """See `reference.normal_equations`."""
    dim = moved.ndim
    places = [x - (n - 1) / 2 for x, n in zip(_lattice(moved.shape, moved), moved.shape, strict=True)] + [torch.ones_like(moved)]
    rows = torch.stack([(x * g).reshape(-1) for x in places for g in _gradient(moved)]).double()
    h = (rows * curvature.reshape(-1)) @ rows.T
    b = rows @ residual.reshape(-1).double()
    both = torch.cat([h.reshape(-1), b]).cpu().numpy()  # one wait for the device
    h = both[:h.numel()].reshape(dim + 1, dim, dim + 1, dim)
    return h.transpose(0, 2, 1, 3), both[-b.numel():].reshape(dim + 1, dim)


# ---------------------------------------------------------------- features
def correlation(one: Tensor, other: Tensor, radius: Sequence[int]) -> Tensor:
    """See `reference.correlation`; float32 on a CPU goes through the compiled kernel, forwards and backwards."""
    if one.device.type == "cpu" and one.dtype == other.dtype == torch.float32 and not torch.jit.is_tracing():
        return _Correlation.apply(one, other, tuple(radius))
    dim, shape = len(radius), one.shape[-len(radius):]
    other = functional.pad(other, [r for r in reversed(radius) for _ in range(2)])
    windows = [other[(..., *(slice(r + o, r + o + n) for r, o, n in zip(radius, offset, shape, strict=True)))]
               for offset in reference.offsets(radius)]
    return torch.stack([(one * window).sum(-dim - 1) for window in windows], -dim - 1)


class _Correlation(torch.autograd.Function):
    """The compiled kernel and its gradients; hundreds of small operations of torch take thirty times as long."""

    @staticmethod
    def forward(ctx, one: Tensor, other: Tensor, radius: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(one, other)
        ctx.radius = radius
        return torch.from_numpy(kernels.correlation(one.detach().numpy(), other.detach().numpy(), radius))

    @staticmethod
    @once_differentiable
    def backward(ctx, outer: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        one, other = (saved.numpy() for saved in ctx.saved_tensors)
        sides = (other, False), (one, True)
        found = [torch.from_numpy(kernels.neighbours(outer.numpy(), values, ctx.radius, mirrored)) if needed else None
                 for needed, (values, mirrored) in zip(ctx.needs_input_grad, sides, strict=False)]
        return found[0], found[1], None


# ---------------------------------------------------------------- autograd
class _Known(torch.autograd.Function):
    """A value with its gradient, however they were computed."""

    @staticmethod
    def forward(ctx, array: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx, outer: Tensor) -> tuple[Tensor, None, None]:
        return outer.to(ctx.saved_tensors[0].dtype) * ctx.saved_tensors[0], None, None


def with_gradient(array: Tensor, value: float | Tensor, gradient: ArrayLike) -> Tensor:
    """``value`` as a 0-d tensor whose derivative in ``array`` is ``gradient``: what a CPU kernel computed joins autograd so."""
    value = torch.as_tensor(value, dtype=array.dtype, device=array.device)
    return _Known.apply(array, value, torch.as_tensor(gradient, dtype=array.dtype, device=array.device))


# ---------------------------------------------------------------- what has no version of its own
def __getattr__(name: str) -> Callable:
    """A kernel that only NumPy has: there and back, right but slow and without gradients."""
    if name.startswith("_") or not hasattr(reference, name):
        raise AttributeError(f"no kernel {name!r} for tensors")

    def call(array: Tensor, *rest: Any, **named: Any) -> Any:
        given = [_on_cpu(value) for value in (array, *rest)]
        return _back(getattr(kernels, name)(*given, **{key: _on_cpu(value) for key, value in named.items()}), array.device)

    return call


def _on_cpu(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value)(map(_on_cpu, value))
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def _back(value: Any, device: torch.device) -> Any:
    if isinstance(value, tuple):
        return tuple(_back(part, device) for part in value)
    return torch.as_tensor(value, device=device) if isinstance(value, np.ndarray) else value
