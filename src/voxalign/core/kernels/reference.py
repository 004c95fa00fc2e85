"""The kernels in plain NumPy and SciPy: short, slow, obviously right; the fast versions are held equal to these.

Conventions of this folder: volumes are (n0, n1, n2), batches (C, n0, n1, n2); 2-D data come without the first axis.
Positions and displacements are in voxels of the array they index. Nothing here knows of millimetres. ``out`` and ``work`` are memory
that the compiled versions may use for their answer, which is always returned; here they are left alone. ``within``, made by `spans`, says
which voxels are wanted: all others of the answer are those of ``out``, which must then be given.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product

import numpy as np
from numpy.typing import NDArray


def _ndimage():
    """SciPy's filters take a second to import, and the compiled kernels do without."""
    from scipy import ndimage

    return ndimage


def spans(mask: NDArray) -> NDArray[np.int32]:
    """Of each row of the last axis the first voxel of ``mask`` (*shape) and one past its last, (rows, 2); 0, 0 for a row with none."""
    mask = mask.reshape(-1, mask.shape[-1])
    low, high = mask.argmax(1), mask.shape[1] - mask[:, ::-1].argmax(1)
    return (np.stack([low, high], 1) * mask.any(1, keepdims=True)).astype(np.int32)


def _inside(within: NDArray, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The voxels of `spans`, (*shape)."""
    x = np.arange(shape[-1])
    return ((x >= within[:, :1]) & (x < within[:, 1:])).reshape(shape)


def _kept(answer: NDArray, out: NDArray | None, within: NDArray | None) -> NDArray:
    """``answer``, and ``out`` where it was not wanted; the rows of ``within`` are those of the last axes."""
    if within is None:
        return answer
    rows = answer.reshape(-1, len(within), answer.shape[-1])
    return np.where(_inside(within, rows.shape[1:]), rows, np.reshape(out, rows.shape)).reshape(answer.shape)


def sample(data: NDArray, index: NDArray, interpolation: str = "linear", outside: float = 0.0) -> NDArray:
    """Values of (C, *shape) at fractional indices (N, D) -> (C, N).

    Inside is within half a voxel of the outermost centres, where the edge value continues; beyond it is ``outside``.
    """
    shape = np.array(data.shape[1:])
    inside = ((index >= -0.5) & (index <= shape - 0.5)).all(1)
    near = np.clip(index, 0, shape - 1)
    if interpolation == "nearest":
        whole = np.clip(np.floor(index + 0.5), 0, shape - 1).astype(int)
        values = data[(slice(None), *np.where(inside[:, None], whole, 0).T)]
    elif interpolation == "label":
        values = _majority(data, near)
    else:
        order = {"linear": 1, "cubic": 3}[interpolation]
        values = np.stack([_ndimage().map_coordinates(c.astype(np.float64), near.T, order=order, mode="mirror") for c in data])
        data = np.empty(0, np.float32)
    return np.where(inside, values, np.asarray(outside)).astype(data.dtype)


def _majority(data: NDArray, index: NDArray) -> NDArray:
    """The label with the largest sum of linear weights among the corners of the cell."""
    shape = np.array(data.shape[1:])
    low = np.clip(np.floor(index).astype(int), 0, np.maximum(shape - 2, 0))
    fraction = index - low
    corners = np.array(list(np.ndindex(*(2,) * len(shape))))
    weight = np.stack([np.prod(np.where(c, fraction, 1 - fraction), 1) for c in corners])
    at = [tuple(np.minimum(low + c, shape - 1).T) for c in corners]
    return np.stack([_elect(np.stack([channel[a] for a in at]), weight) for channel in data])


def _elect(labels: NDArray, weight: NDArray) -> NDArray:
    """(8, N) labels and weights -> the label of each column with the largest sum."""
    votes = (weight[:, None] * (labels[:, None] == labels[None])).sum(0)
    return np.take_along_axis(labels, votes.argmax(0)[None], 0)[0]


def pull(data: NDArray, shape: tuple[int, ...], matrix: NDArray, field: tuple | None = None, interpolation: str = "linear",
         outside: float = 0.0) -> NDArray:
    """Resample (C, *source) on an array of ``shape``.

    Without ``field``: output index i reads at ``matrix @ i``. With ``field = (values, after, linear)``: q = matrix @ i
    is an index of ``values`` (D, *its shape), and the data are read at ``after @ q + linear @ values(q)``.
    """
    dim = len(shape)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, dim).astype(np.float64)
    index = index @ matrix[:-1, :-1].T + matrix[:-1, -1]
    if field is not None:
        values, after, linear = field
        index = index @ after[:-1, :-1].T + after[:-1, -1] + sample(values, index).T @ linear.T
    return sample(data, index, interpolation, outside).reshape(len(data), *shape)


# ---------------------------------------------------------------- displacement fields, in voxels of their own grid
def _lattice(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The index of every voxel, (D, *shape)."""
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(np.float64)


def _read(fields: NDArray, positions: NDArray) -> NDArray[np.float64]:
    """(C, *shape) at (D, ...) indices, linear; edge values continue outside."""
    return np.stack([_ndimage().map_coordinates(f.astype(np.float64), positions, order=1, mode="nearest") for f in fields])


def compose_fields(first: NDArray, second: NDArray, out: NDArray | None = None) -> NDArray[np.float32]:
    """``out(x) = first(x) + second(x + first(x))`` of displacements (D, *shape); edge values continue outside."""
    return (first + _read(second, _lattice(first.shape[1:]) + first)).astype(np.float32)


def compose_near(first: NDArray, second: NDArray, out: NDArray | None = None, within: NDArray | None = None) -> NDArray[np.float32]:
    """`compose_fields` for a ``first`` of less than one voxel in every component, which the fast version needs no gathers for."""
    return _kept(compose_fields(first, second), out, within)


def exponentiate(velocity: NDArray, squarings: int = 7) -> NDArray[np.float32]:
    """Displacement (D, *shape) of the flow of a stationary velocity after unit time, by scaling and squaring.

    Arsigny et al., MICCAI 2006 (doi:10.1007/11866565_113).
    """
    displacement = np.asarray(velocity, np.float32) / np.float32(2**squarings)
    for _ in range(squarings):
        displacement = compose_fields(displacement, displacement)
    return displacement


def _jacobian(displacement: NDArray) -> NDArray[np.float64]:
    """I + du/dx, (*shape, D, D): central differences, one-sided at the edges, none along axes of one voxel."""
    dim = len(displacement)
    axes = [axis for axis in range(dim) if displacement.shape[axis + 1] > 1]
    jacobian = np.zeros((*displacement.shape[1:], dim, dim))
    for row, component in enumerate(displacement.astype(np.float64)):
        for axis in axes:
            jacobian[..., row, axis] = np.gradient(component, axis=axis)
    return jacobian + np.eye(dim)


def relax_volume(u: NDArray, weights: Sequence[float], amount: float, out: NDArray | None = None,
                 within: NDArray | None = None) -> NDArray[np.float32]:
    """One explicit step of ``du/dt = grad div u`` of a displacement (D, *shape): it evens out changes of volume and leaves shear alone.

    The step of Navier-Cauchy elasticity that belongs to Lame's first parameter. ``weights``: (reference spacing / spacing)^2 of each axis;
    stable for ``amount`` * sum(weights) < 1/2. Differences are one-sided, backward for the divergence and forward for its gradient;
    faces are free.
    """
    u = u.astype(np.float64)
    divergence = sum(np.diff(c, axis=k, prepend=np.take(c, [0], k)) for k, c in enumerate(u))
    gradient = [np.diff(divergence, axis=k, append=np.take(divergence, [-1], k)) for k in range(len(u))]
    return _kept((u + amount * np.reshape(weights, (-1,) + (1,) * len(u)) * np.stack(gradient)).astype(np.float32), out, within)


def jacobian_determinant(displacement: NDArray) -> NDArray[np.float32]:
    """det(I + du/dx) of a displacement (D, *shape) -> (*shape)."""
    return np.linalg.det(_jacobian(displacement)).astype(np.float32)


def invert(displacement: NDArray, tolerance: float = 1e-3, iterations: int = 50) -> NDArray[np.float32]:
    """The displacement v with ``x + v(x) + u(x + v(x)) = x``, (D, *shape) -> (D, *shape).

    Newton's method at each voxel; a step that does not help is halved there. Edge values of u continue outside.
    """
    lattice = _lattice(displacement.shape[1:]).reshape(len(displacement), -1)
    inverse = -displacement.reshape(lattice.shape).astype(np.float64)
    residual = inverse + _read(displacement, lattice + inverse)
    step = np.ones(lattice.shape[1])
    for _ in range(iterations):
        todo = np.flatnonzero(np.abs(residual).max(0) > tolerance)
        if not todo.size:
            break
        here, start = lattice[:, todo], inverse[:, todo]
        trial = start - step[todo] * _solve(_slope(displacement, here + start), residual[:, todo])
        left = trial + _read(displacement, here + trial)
        good = np.linalg.norm(left, axis=0) < np.linalg.norm(residual[:, todo], axis=0)
        inverse[:, todo[good]], residual[:, todo[good]] = trial[:, good], left[:, good]
        step[todo] = np.where(good, np.minimum(2 * step[todo], 1), step[todo] / 2)
    return inverse.reshape(displacement.shape).astype(np.float32)


def _slope(displacement: NDArray, positions: NDArray) -> NDArray[np.float64]:
    """I + du/dx of the linear interpolation itself (not of a smooth map through it) at (D, N) indices, (N, D, D)."""
    half = 1e-3 * np.eye(len(positions))[:, :, None]
    columns = [(_read(displacement, positions + h) - _read(displacement, positions - h)) / 2e-3 for h in half]
    return np.stack(columns).transpose(2, 1, 0) + np.eye(len(positions))


def _solve(matrices: NDArray, values: NDArray) -> NDArray[np.float64]:
    """(N, D, D) and (D, N) -> (D, N); nearly singular matrices are replaced by the identity."""
    dim = len(values)
    matrices = np.where(np.linalg.det(matrices)[:, None, None] > 0.02, matrices, np.eye(dim))
    return np.linalg.solve(matrices, values.T[..., None])[..., 0].T


def warp(image: NDArray, u: NDArray, out: NDArray | None = None, within: NDArray | None = None) -> NDArray[np.float32]:
    """``image(x + u(x))`` for every x, (*shape) and (D, *out) -> (*out), or (C, *shape) -> (C, *out); edge values continue outside."""
    moved = _read(image.reshape(-1, *image.shape[-len(u):]), _lattice(u.shape[1:]) + u).astype(np.float32)
    return _kept(moved.reshape(*image.shape[:-len(u)], *u.shape[1:]), out, within)


# ---------------------------------------------------------------- filters
def gaussian_weights(sigma: float, truncate: float = 2.5) -> NDArray[np.float32]:
    """2 r + 1 taps of a Gaussian of ``sigma`` voxels, r = ceil(truncate sigma), that sum to 1."""
    radius = int(np.ceil(truncate * sigma))
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(sigma, 1e-6)) ** 2)
    return (taps / taps.sum()).astype(np.float32)


def separable(data: NDArray, weights: Sequence[NDArray], edge: bool = True, out: NDArray | None = None,
              within: NDArray | None = None) -> NDArray[np.float32]:
    """Correlate (C, *shape) with one odd filter along each axis; outside lies the edge value, or 0."""
    answer = np.asarray(data, np.float64)
    for axis, taps in enumerate(weights):
        answer = _ndimage().correlate1d(answer, taps, axis + 1, mode="nearest" if edge else "constant")
    return _kept(answer.astype(np.float32), out, within)


def smooth(data: NDArray, sigma: Sequence[float], out: NDArray | None = None, within: NDArray | None = None) -> NDArray[np.float32]:
    """Gaussian smoothing of (C, *shape), sigma in voxels for each axis."""
    return separable(data, [gaussian_weights(s) for s in sigma], True, out, within)


# ---------------------------------------------------------------- losses: value, residual, curvature
# Every loss L = mean over N voxels gives residual k = -(N/2) dL/dmoved and the curvature c of its Gauss-Newton model,
# so that the best small change of the moved image is about k / c at each voxel.
@dataclass(frozen=True)
class WindowStatistics:
    """What LNCC needs of the fixed image: 1/count, mean and 1/(sum of squares about the mean) of each window."""

    icount: NDArray[np.float32]
    mean: NDArray[np.float32]
    ivar: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    weights: tuple[NDArray[np.float32], ...]  # of the window along each axis, 2 r + 1 taps
    total: int  # windows that count
    floor: float  # added to sums of squares: variance below what rounding makes counts for nothing, without a jump
    stride: tuple[int, ...]  # 1 or 2 along each axis: windows lie about every stride-th voxel
    share: float  # voxels that count for each window that does


def window_statistics(fixed: NDArray, mask: NDArray | None, weights: Sequence[NDArray], stride: Sequence[int] | None = None,
                      box: Callable = separable) -> WindowStatistics:
    """`WindowStatistics` of ``fixed`` (*shape), 0 where masked; windows have 2 r + 1 weights along each axis and are cut at the edges.

    ``stride``: 1 or 2 for each axis, 1 unless given. Windows then lie about every stride-th voxel only, ``weights`` are those of such
    places, and a voxel between two of them counts half at either: what is wide changes little from one voxel to the next.
    """
    stride = tuple(stride or (1,) * fixed.ndim)
    counts = _counts(fixed.shape, weights, stride) if mask is None else box(thin(mask[None].astype(np.float32), stride), weights, False)[0]
    icount = 1 / np.maximum(counts, np.float32(1e-6))
    total, squares = box(thin(np.stack([fixed, fixed * fixed]), stride), weights, False)
    floor = np.float32(2e-6 * np.prod([w.sum() * k for w, k in zip(weights, stride, strict=True)]))
    mean = total * icount
    squares -= mean * total
    ivar = 1 / (np.maximum(squares, 0, out=squares) + floor)
    middle = None if mask is None else mask[_lattice_of(stride)]
    if middle is not None:
        ivar *= middle
    windows, voxels = (max(int(size if m is None else m.sum()), 1) for m, size in ((middle, ivar.size), (mask, fixed.size)))
    return WindowStatistics(icount, mean, ivar, mask, tuple(weights), windows, float(floor), stride, voxels / windows)


def _lattice_of(stride: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(None, None, k) for k in stride)


def thin(data: NDArray, stride: Sequence[int]) -> NDArray:
    """(C, *shape) at every second voxel of the axes with a ``stride`` of 2, half of both neighbours added to each."""
    for axis, k in enumerate(stride, 1):
        if k == 2:
            data = data.swapaxes(0, axis)
            own, between = data[0::2], 0.5 * data[1::2]
            data = own + 0
            data[: len(between)] += between
            data[1:] += between[: len(own) - 1]
            data = data.swapaxes(0, axis)
    return np.ascontiguousarray(data)


def spread(data: NDArray, stride: Sequence[int], shape: Sequence[int]) -> NDArray:
    """The transpose of `thin`: onto a lattice of ``shape``, half of both neighbours between."""
    for axis, (k, n) in enumerate(zip(stride, shape, strict=True), 1):
        if k == 2:
            data = data.swapaxes(0, axis)
            out = np.zeros((n, *data.shape[1:]), data.dtype)
            out[0::2] = data
            out[1::2] = 0.5 * data[: n // 2]
            out[1:-1:2] += 0.5 * data[1:]
            data = out.swapaxes(0, axis)
    return data


def _counts(shape: tuple[int, ...], weights: Sequence[NDArray], stride: Sequence[int]) -> NDArray[np.float32]:
    """Sum of the weights of each window that lie inside, (*shape of the lattice)."""
    inside = [thin(np.ones((1, n), np.float32), (k,))[0] for n, k in zip(shape, stride, strict=True)]
    lines = [np.convolve(line, w)[len(w) // 2 :][: len(line)].astype(np.float32) for line, w in zip(inside, weights, strict=True)]
    return reduce(np.multiply.outer, lines)


def lncc(fixed: NDArray, moved: NDArray, windows: WindowStatistics, noise: float = 0.0,
         work: NDArray | None = None, within: NDArray | None = None) -> tuple[float, NDArray, NDArray]:
    """1 - mean r2, r2 the squared local correlation, or with a noise n > 0: 1 + mean (1 + n) log(1 - r2 / (1 + n)).

    Both images (*shape), 0 where masked. Squared local correlation: Avants et al. 2008 (doi:10.1016/j.media.2007.06.004); its logarithm is
    the mutual information of two Gaussian variables, and weighs a window by how well it fits already. Residual: window sums of the
    derivative; curvature: window sums of r2 / moved variance, the Gauss-Newton weight of the local linear fit. ``within``: windows about
    other voxels are left out (as if r2 were 0 there), and there residual and curvature are 0.
    """
    inside = np.ones(fixed.shape, bool) if within is None else _inside(within, fixed.shape)
    wanted = inside[_lattice_of(windows.stride)]
    products = thin(np.stack([moved, moved * moved, moved * fixed]).astype(np.float64), windows.stride)
    sums = separable(products, windows.weights, False).astype(np.float64)
    mean = sums[0] * windows.icount
    variance, covariance = sums[1] - mean * sums[0], sums[2] - windows.mean * sums[0]
    inverse = 1 / (np.maximum(variance, 0) + windows.floor)
    alpha = covariance * windows.ivar * inverse
    squared = covariance * alpha
    beta = squared * inverse
    left = 1 + noise - np.minimum(squared, 1)
    loss, gain = ((1 + noise) * np.log(left / (1 + noise)), (1 + noise) / left) if noise > 0 else (-squared, 1)
    loss, alpha, beta = loss * wanted, alpha * gain * wanted, beta * gain * wanted
    terms = separable(np.stack([alpha, beta, beta * mean - alpha * windows.mean]), windows.weights, False)
    a, b, c = windows.share * spread(terms, windows.stride, fixed.shape)
    inside = inside if windows.mask is None else windows.mask & inside
    return 1 + loss.sum() / windows.total, (fixed * a - moved * b + c) * inside, b * inside


def joint_histogram(fixed: NDArray, moved: NDArray, bins: int) -> NDArray[np.float64]:
    """(bins, bins) counts: fixed as bin numbers (uint8, 255 is masked), moved in [0, 1] spread by a cubic B-spline."""
    keep = fixed != 255
    cell, weights, _ = _parzen(moved[keep], bins)
    out = np.zeros((bins, bins))
    for k in range(4):
        np.add.at(out, (fixed[keep].astype(int), cell + k - 1), weights[k])
    return out


def lookup(fixed: NDArray, moved: NDArray, table: NDArray, out: NDArray | None = None) -> NDArray[np.float32]:
    """Derivative of ``(table * joint_histogram).sum()`` in each moved value; 0 where masked or at the ends of [0, 1]."""
    bins = len(table)
    cell, _, slopes = _parzen(moved, bins)
    row = np.where(fixed == 255, 0, fixed).astype(int)
    out = sum(table[row, cell + k - 1] * slopes[k] for k in range(4)) * (bins - 3)
    return np.where((fixed == 255) | (moved <= 0) | (moved >= 1), 0, out).astype(np.float32)


def _parzen(values: NDArray, bins: int) -> tuple[NDArray, list, list]:
    position = 1 + np.clip(values.astype(np.float64), 0, 1) * (bins - 3)
    cell = np.minimum(position.astype(int), bins - 3)
    t = position - cell
    u = 1 - t
    weights = [u**3 / 6, 2 / 3 - t**2 + t**3 / 2, 2 / 3 - u**2 + u**3 / 2, t**3 / 6]
    return cell, weights, [-(u**2) / 2, 1.5 * t**2 - 2 * t, 2 * u - 1.5 * u**2, t**2 / 2]


# ---------------------------------------------------------------- steps of an optimisation
def _gradient(moved: NDArray) -> NDArray[np.float64]:
    """Central differences (D, *shape) of an image whose edge values continue, 0 across the edge of the last axis.

    The ends of the last axis get 0 (they are padding in practice; the fast version saves a case there).
    """
    out = np.stack([(np.take(moved, np.minimum(np.arange(n) + 1, n - 1), a) - np.take(moved, np.maximum(np.arange(n) - 1, 0), a)) / 2
                    for a, n in enumerate(moved.shape)]).astype(np.float64)
    out[-1][..., 0] = out[-1][..., -1] = 0
    return out


def force(moved: NDArray, residual: NDArray, curvature: NDArray, weights: Sequence[float], kappa: float,
          out: NDArray | None = None, within: NDArray | None = None) -> NDArray[np.float32]:
    """Force and stiffness of each voxel, (D + 1, *shape): k G and c sum_i w_i G_i^2 + kappa k^2 / c, with G the central differences.

    ``weights``: (reference spacing / spacing)^2 of each axis, which makes it a statement about millimetres. The last term bounds the
    step where the residual is large against the gradient (Thirion's demons, doi:10.1016/S1361-8415(98)80022-4).
    """
    g = _gradient(moved)
    stiffness = curvature * sum(w * d * d for w, d in zip(weights, g, strict=True)) + kappa * residual**2 / np.maximum(curvature, 1e-9)
    return _kept(np.concatenate([residual * g, stiffness[None]]).astype(np.float32), out, within)


def step(force: NDArray, weights: Sequence[float], length: float, damping: float, longest: float,
         out: NDArray | None = None, within: NDArray | None = None) -> NDArray[np.float32]:
    """Update ``length * w f / (stiffness + damping)`` in voxels, (D + 1, *shape) -> (D, *shape), shortened to ``longest`` voxels."""
    update = length * np.reshape(weights, (-1,) + (1,) * (force.ndim - 1)) * force[:-1] / (force[-1] + damping)
    size = np.sqrt((update**2).sum(0))
    return _kept((update * np.minimum(1, longest / np.maximum(size, 1e-12))).astype(np.float32), out, within)


def normal_equations(moved: NDArray, residual: NDArray, curvature: NDArray) -> tuple[NDArray, NDArray]:
    """Gauss-Newton sums of an affine displacement: H[k, l] = sum c X_k X_l G G' (D+1, D+1, D, D), b[k] = sum k X_k G (D+1, D).

    X is the voxel's index minus the array's centre, followed by 1.
    """
    g = _gradient(moved).reshape(moved.ndim, -1)
    x = _lattice(moved.shape).reshape(moved.ndim, -1) - (np.array(moved.shape)[:, None] - 1) / 2
    x = np.concatenate([x, np.ones_like(x[:1])])
    c, k = curvature.ravel().astype(np.float64), residual.ravel().astype(np.float64)
    return np.einsum("n,kn,ln,in,jn->klij", c, x, x, g, g, optimize=True), np.einsum("n,kn,in->ki", k, x, g, optimize=True)


def histograms(fixed: NDArray, moving: NDArray, maps: NDArray, bins: int) -> NDArray[np.float32]:
    """Joint histogram of each candidate map, (M, bins, bins).

    fixed: bin numbers (uint8, 255 is masked); moving: bin positions in [0, bins - 1] (negative is masked), read linearly and shared by
    the two nearest bins; maps (M, D+1, D+1): fixed index -> moving index.
    """
    keep = np.stack(np.nonzero(fixed != 255), 1)
    row = fixed[tuple(keep.T)].astype(int)
    out = np.zeros((len(maps), bins, bins))
    for matrix, histogram in zip(maps, out, strict=True):
        index = keep @ matrix[:-1, :-1].T + matrix[:-1, -1]
        inside = ((index >= -0.5) & (index <= np.array(moving.shape) - 0.5)).all(1)
        value = sample(moving[None].astype(np.float64), index)[0]
        inside &= value >= 0
        low = np.clip(value.astype(int), 0, bins - 2)
        share = np.minimum(value - low, 1)
        np.add.at(histogram, (row[inside], low[inside]), 1 - share[inside])
        np.add.at(histogram, (row[inside], low[inside] + 1), share[inside])
    return out.astype(np.float32)


# ---------------------------------------------------------------- structure: SSIM, gradients, NGF, MIND
SSIM_CONSTANTS = (0.01**2, 0.03**2)  # of Wang et al. 2004 for images of range 1


def window_moments(fixed: NDArray, mask: NDArray | None, weights: Sequence[NDArray], box: Callable = separable) -> NDArray[np.float32]:
    """1 / sum of weights (0 where masked), mean and variance of each window of ``fixed`` (*shape), 0 where masked -> (3, *shape)."""
    inside = np.ones(fixed.shape, np.float32) if mask is None else mask.astype(np.float32)
    count, total, squares = box(np.stack([inside, fixed, fixed * fixed]), weights, False)
    mean = total / np.maximum(count, 1e-6)
    variance = np.maximum(squares / np.maximum(count, 1e-6) - mean**2, 0)
    return np.stack([inside / np.maximum(count, 1e-6), mean, variance]).astype(np.float32)


def ssim(fixed: NDArray, moved: NDArray, moments: NDArray, weights: Sequence[NDArray],
         work: NDArray | None = None) -> tuple[float, NDArray, NDArray]:
    """Sum of the structural similarity of each window that counts, half its derivative in each moved voxel, and the curvature.

    Both images (*shape), 0 where masked; ``moments``: `window_moments` of the fixed one. With f, j the two means, the similarity is
    (2 f j + c1) (2 covariance + c2) / ((f^2 + j^2 + c1) (variances + c2)) (Wang et al. 2004, doi:10.1109/TIP.2003.819861); the curvature
    is that of the squared difference over the sum of the variances, weighted by the likeness of the means.
    """
    c1, c2 = SSIM_CONSTANTS
    n, f, variance = moments.astype(np.float64)
    sums = separable(np.stack([moved, moved * moved, moved * fixed]).astype(np.float64), weights, False).astype(np.float64)
    j, square, product = sums * n
    light, spread = f * f + j * j + c1, variance + np.maximum(square - j * j, 0) + c2
    likeness, structure = (2 * f * j + c1) / light, (2 * (product - f * j) + c2) / spread
    alpha, beta = likeness / spread, likeness * structure / spread
    gamma = (f * structure - j * likeness * structure) / light + beta * j - alpha * f
    a, b, c = separable(n * np.stack([alpha, beta, gamma]), weights, False)
    return float((likeness * structure)[n > 0].sum()), fixed * a - moved * b + c, np.abs(a)


def _half_steps(image: NDArray, axis: int, mask: NDArray | None) -> NDArray[np.float64]:
    """Half the step from each voxel to the next one along an axis, with a 0 before the first and after the last."""
    steps = np.diff(image.astype(np.float64), axis=axis) / 2
    if mask is not None:
        n = image.shape[axis]
        steps *= np.take(mask, range(n - 1), axis) & np.take(mask, range(1, n), axis)
    return np.pad(steps, [(int(a == axis),) * 2 for a in range(image.ndim)])


def _pairs_along(steps: NDArray, axis: int) -> NDArray:
    """Sum of each entry and the next one."""
    n = steps.shape[axis]
    return np.take(steps, range(n - 1), axis) + np.take(steps, range(1, n), axis)


def gradient(image: NDArray, inverse_spacing: Sequence[float], mask: NDArray | None = None) -> NDArray[np.float32]:
    """Central differences (D, *shape); the step to a voxel outside the array or the mask is 0, so a mask is as good as a crop."""
    return np.stack([h * _pairs_along(_half_steps(image, a, mask), a) for a, h in enumerate(inverse_spacing)]).astype(np.float32)


def squared_gradient(image: NDArray, inverse_spacing: Sequence[float], mask: NDArray | None = None) -> NDArray[np.float32]:
    """Mean over the channels of an image (C, *shape) of the squared length of the `gradient`, (*shape)."""
    return sum((gradient(c, inverse_spacing, mask) ** 2).sum(0) for c in image) / len(image)


def ngf(fixed: NDArray, moved: NDArray, inverse_spacing: Sequence[float], edge: float, mask: NDArray | None = None,
        work: NDArray | None = None) -> tuple[float, NDArray, NDArray]:
    """Sum of <n, g>^2 / (|g|^2 + edge^2) over voxels, half its derivative in each moved voxel, and the curvature.

    fixed: n = gradient of the fixed image / sqrt(|gradient|^2 + edge^2), (D, *shape), 0 where masked; g = `gradient` of moved (*shape).
    Haber and Modersitzki 2006 (doi:10.1007/11866763_89). The curvature bounds the adjoint of the differences about the weights
    <n, g>^2 / (|g|^2 + edge^2)^2.
    """
    g = gradient(moved, inverse_spacing, mask).astype(np.float64)
    inverse = 1 / ((g**2).sum(0) + edge**2)
    alpha = (fixed * g).sum(0) * inverse
    weight = alpha**2
    inside = np.ones(moved.shape, bool) if mask is None else mask
    residual, curvature = np.zeros(moved.shape), np.zeros(moved.shape)
    for axis, h in enumerate(inverse_spacing):
        flow = h * (alpha * fixed[axis] - weight * g[axis])
        before, after = _neighbours_count(inside, axis)
        residual -= np.diff(_half_sums(flow, axis, inside), axis=axis)
        rolled = [np.roll(weight, 1, axis), np.roll(weight, -1, axis)]
        curvature += h**2 * (before * rolled[0] + after * rolled[1] + (inside - before - after) * weight)
    return float((alpha * (fixed * g).sum(0)).sum()), residual.astype(np.float32), curvature.astype(np.float32)


def _half_sums(values: NDArray, axis: int, inside: NDArray) -> NDArray[np.float64]:
    """Half the sum of each voxel and the next one where both count, with a 0 at either end."""
    n = values.shape[axis]
    both = np.take(inside, range(n - 1), axis) & np.take(inside, range(1, n), axis)
    return np.pad(_pairs_along(values, axis) * both / 2, [(int(a == axis),) * 2 for a in range(values.ndim)])


def _neighbours_count(inside: NDArray, axis: int) -> tuple[NDArray, NDArray]:
    """1/2 where a voxel and the one before it, or after it, count."""
    half = _half_sums(np.ones(inside.shape), axis, inside) / 2
    n = inside.shape[axis]
    return np.take(half, range(n), axis), np.take(half, range(1, n + 1), axis)


MIND_NOISE = 1e-4  # variance (of an image of range 1) that is taken for noise: keeps descriptors of flat regions flat


def _sides(image: NDArray, distance: Sequence[int], inside: NDArray) -> list[tuple[NDArray, tuple[NDArray, ...], NDArray]]:
    """For each neighbour, before and after along each axis: its value, its index, and where it counts; else both are the voxel's own."""
    sides = []
    for axis, far in enumerate(distance):
        for step in (-far, far):
            index = list(np.indices(image.shape))
            index[axis] = index[axis] + step
            counts = (index[axis] >= 0) & (index[axis] < image.shape[axis])
            index[axis] = np.where(counts, index[axis], index[axis] - step)
            counts = counts & inside[tuple(index)]
            index[axis] = np.where(counts, index[axis], np.indices(image.shape)[axis])
            sides.append((image[tuple(index)].astype(np.float64), tuple(index), counts))
    return sides


def _side_pairs(dim: int) -> list[tuple[int, int]]:
    """Which two sides make a channel: along two axes; first the last two axes."""
    axes = [(0, 1)] if dim == 2 else [(1, 2), (0, 1), (0, 2)]
    return [(2 * a + i, 2 * b + j) for a, b in axes for i in (0, 1) for j in (0, 1)]


def _distances(image: NDArray, radius: Sequence[int], distance: Sequence[int], inside: NDArray) -> NDArray[np.float64]:
    """Window mean of the squared difference of each pair of sides, (C, *shape)."""
    sides = _sides(image, distance, inside)
    squares = np.stack([(sides[a][0] - sides[b][0]) ** 2 for a, b in _side_pairs(image.ndim)])
    return separable(squares * inside, [np.ones(2 * r + 1) / (2 * r + 1) for r in radius], False).astype(np.float64)


def mind(image: NDArray, radius: Sequence[int], distance: Sequence[int], mask: NDArray | None = None) -> NDArray[np.float32]:
    """Self-similarity descriptors of an image of about 0 to 1: (12, *shape), in 2-D (4, *shape), each 0 to 1; 0 where masked.

    Heinrich et al. 2013 (doi:10.1007/978-3-642-40811-3_24). A channel belongs to two of the neighbours at ``distance`` voxels along each
    axis, in different directions; d is the mean of their squared difference in a window of 2 r + 1 voxels. The descriptor is
    exp(-(d - least d) / (mean d - least d + `MIND_NOISE`)). A neighbour outside the array or the mask is replaced by the voxel itself, and
    windows hold 0 there, so that a mask is as good as a crop. Two images' descriptors agree whatever their contrasts, inversion included.
    """
    inside = np.ones(image.shape, bool) if mask is None else mask
    d = _distances(image, radius, distance, inside)
    above = d - d.min(0)
    return (np.exp(-above / (above.mean(0) + MIND_NOISE)) * inside).astype(np.float32)


def mind_difference(fixed: NDArray, moved: NDArray, radius: Sequence[int], distance: Sequence[int], mask: NDArray | None = None,
                    work: NDArray | None = None) -> tuple[float, NDArray]:
    """Sum over voxels of the mean squared difference of descriptors, and minus half its derivative in each moved voxel.

    fixed: `mind` of the fixed image, (C, *shape); moved: image (*shape).
    """
    inside = np.ones(moved.shape, bool) if mask is None else mask
    d = _distances(moved, radius, distance, inside)
    above, channels = d - d.min(0), len(fixed)
    inverse = inside / (above.mean(0) + MIND_NOISE)
    described = np.exp(-above * inverse) * inside
    left = fixed - described
    pull_on = left * described / channels * inverse
    terms = (pull_on * above * inverse).sum(0) / channels - pull_on
    np.subtract.at(terms, (d.argmin(0), *np.indices(moved.shape)), terms.sum(0))
    windows = [np.ones(2 * r + 1) / (2 * r + 1) for r in radius]
    terms = separable(terms * inside, windows, False).astype(np.float64)
    residual = _scatter(inside, _sides(moved, distance, inside), terms)
    return float((left**2).mean(0).sum()), (residual * inside).astype(np.float32)


def _scatter(inside: NDArray, sides: list, terms: Sequence[NDArray]) -> NDArray[np.float64]:
    """Derivative in each voxel as the side of others, from the derivatives in the distances."""
    residual = np.zeros(inside.shape)
    for term, (a, b) in zip(terms, _side_pairs(inside.ndim), strict=True):
        each = 2 * term * (sides[a][0] - sides[b][0]) * inside
        np.add.at(residual, sides[a][1], each)
        np.subtract.at(residual, sides[b][1], each)
    return residual


def soft_classes(values: NDArray, bins: int) -> NDArray[np.float32]:
    """For each value v (*shape): mean and variance of the centre of its class, and log sum_b exp(-(v - m_b)^2 / (2 s^2)), (3, *shape).

    There are ``bins`` classes with centres m_b at equal steps from 0 to 1; s is half a step, and a class has the weight of its term.
    """
    centres = np.linspace(0, 1, bins)
    exponent = -2 * ((values[..., None] - centres) * (bins - 1)) ** 2
    top = exponent.max(-1, keepdims=True)
    weight = np.exp(exponent - top)
    total = weight.sum(-1)
    mean = (weight * centres).sum(-1) / total
    variance = (weight * (centres - mean[..., None]) ** 2).sum(-1) / total
    return np.stack([mean, variance, np.log(total) + top[..., 0]]).astype(np.float32)


# ---------------------------------------------------------------- features
def offsets(radius: Sequence[int]) -> list[tuple[int, ...]]:
    """All that lie within ``radius`` (voxels along each axis) of a voxel, the last axis fastest."""
    return list(product(*[range(-r, r + 1) for r in radius]))


def correlation(one: NDArray, other: NDArray, radius: Sequence[int]) -> NDArray[np.float32]:
    """Products of the features of every voxel with those of the voxels around it in another image, summed over the features.

    Parameters
    ----------
    one, other : (..., C, *S).
    radius : voxels along each axis of S, so that K offsets lie within (Sun et al. 2018, doi:10.1109/CVPR.2018.00931).

    Returns
    -------
    array : (..., K, *S), in the order of `offsets`; what is beyond the faces counts as 0.
    """
    axis = -len(radius) - 1
    return np.stack([(one * _shifted(other, offset)).sum(axis, np.float64) for offset in offsets(radius)], axis).astype(np.float32)


def neighbours(weights: NDArray, values: NDArray, radius: Sequence[int], mirrored: bool = False) -> NDArray[np.float32]:
    """What lies around every voxel, weighed: the gradient of `correlation` in ``one``, and mirrored, of that in ``other``.

    Parameters
    ----------
    weights : (..., K, *S), in the order of `offsets`.
    values : (..., C, *S).
    mirrored : the weight of a neighbour is its own, of the way back.

    Returns
    -------
    array : (..., C, *S), the sum of weights times values at x + offset.
    """
    axis, out = -len(radius) - 1, np.zeros(values.shape)
    for k, offset in enumerate(offsets(radius)):
        weight = np.take(weights, [-1 - k if mirrored else k], axis)
        out += (_shifted(weight, offset) if mirrored else weight) * _shifted(values, offset)
    return out.astype(np.float32)


def _shifted(values: NDArray, offset: Sequence[int]) -> NDArray:
    """The values at x + offset, 0 beyond the faces."""
    out = np.zeros_like(values)
    inside = [slice(max(-o, 0), max(n - max(o, 0), 0)) for o, n in zip(offset, values.shape[-len(offset):], strict=True)]
    there = [slice(max(o, 0), max(n + min(o, 0), 0)) for o, n in zip(offset, values.shape[-len(offset):], strict=True)]
    out[(..., *inside)] = values[(..., *there)]
    return out
