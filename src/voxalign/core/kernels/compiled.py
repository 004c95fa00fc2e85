"""The kernels compiled from ``native/``, with the signatures of `reference`.

One library per processor level was built at installation; the best one this machine can run is loaded through ctypes.
2-D arrays are lifted to volumes of one plane.
"""
from __future__ import annotations

import ctypes
import importlib.machinery
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import reference
from .reference import WindowStatistics, gaussian_weights
from .threads import split

I64, I32, F32, F64, PTR = ctypes.c_int64, ctypes.c_int32, ctypes.c_float, ctypes.c_double, ctypes.c_void_p
_MODES = {"linear": 0, "nearest": 1, "label": 2}
_WORTH = 32768  # voxels of which something simple is computed, and that are worth a thread
_BLOCK = 4  # planes a block of the LNCC sweeps holds
_MOST_TAPS, _MOST_RADIUS = 129, 16  # what the compiled filters and windows have room for


class _Three(ctypes.Structure):
    _fields_ = [("n0", I32), ("n1", I32), ("n2", I32)]


class _Shape(ctypes.Structure):
    _fields_ = [("n0", I32), ("n1", I32), ("n2", I32), ("rows", PTR)]


class _Weights(ctypes.Structure):
    _fields_ = [("w0", PTR), ("w1", PTR), ("w2", PTR)]


_SIGNATURES = {
    "vx_pull": [PTR, I32, I32, _Shape, PTR, _Shape, PTR, PTR, PTR, I32, F64, PTR, _Shape],
    "vx_sample": [PTR, I32, I32, _Shape, PTR, I64, I32, F64, PTR],
    "vx_warp": [PTR, _Shape, PTR, PTR, _Shape],
    "vx_warp_features": [PTR, I32, _Shape, PTR, PTR, _Shape],
    "vx_filter": [PTR, I32, _Shape, PTR, I32, PTR, I32, PTR, I32, I32, PTR],
    "vx_lncc_fit": [PTR, PTR, PTR, PTR, PTR, _Shape, _Three, _Weights, F32, F32, PTR, PTR],
    "vx_lncc_fit_sums": [PTR, PTR, PTR, PTR, _Shape, _Three, _Weights, F32, F32, PTR, PTR],
    "vx_lncc_thin": [PTR, PTR, _Shape, _Three, _Shape, _Three, PTR],
    "vx_lncc_spread": [PTR, PTR, PTR, _Shape, _Three, F32, _Shape, PTR, PTR],
    "vx_lncc_residual": [PTR, PTR, PTR, _Shape, _Three, _Weights, PTR, PTR],
    "vx_force": [PTR, PTR, PTR, _Shape, PTR, F32, PTR],
    "vx_step": [PTR, _Shape, PTR, F32, F32, F32, PTR],
    "vx_compose": [PTR, PTR, _Shape, PTR],
    "vx_compose_near": [PTR, PTR, _Shape, PTR],
    "vx_divergence": [PTR, _Shape, PTR],
    "vx_add_gradient": [PTR, _Shape, PTR, F32, PTR],
    "vx_jacobian": [PTR, _Shape, PTR],
    "vx_invert": [PTR, _Shape, F32, I32, PTR, PTR],
    "vx_normal": [PTR, PTR, PTR, _Shape, PTR, PTR],
    "vx_histograms": [PTR, PTR, I64, PTR, _Shape, PTR, I32, PTR],
    "vx_joint": [PTR, PTR, _Shape, I32, PTR],
    "vx_lookup": [PTR, PTR, _Shape, I32, PTR, PTR],
    "vx_ssim_fit": [PTR, PTR, PTR, _Shape, _Three, _Weights, F32, F32, PTR, PTR],
    "vx_ssim_residual": [PTR, PTR, PTR, _Shape, _Three, _Weights, PTR, PTR],
    "vx_soft_classes": [PTR, I64, I32, PTR],
    "vx_mind": [PTR, PTR, _Shape, _Three, _Weights, _Three, I32, F32, F32, PTR],
    "vx_mind_fit": [PTR, PTR, PTR, _Shape, _Three, _Weights, _Three, I32, F32, F32, PTR, PTR],
    "vx_mind_sides": [PTR, PTR, PTR, _Shape, _Three, _Weights, _Three, I32, F32, PTR],
    "vx_mind_residual": [PTR, PTR, _Shape, _Three, I32, PTR],
    "vx_gradient": [PTR, PTR, _Shape, PTR, PTR],
    "vx_squared_gradient": [PTR, I32, PTR, _Shape, PTR, PTR],
    "vx_ngf_fit": [PTR, PTR, PTR, _Shape, PTR, F32, PTR, PTR],
    "vx_ngf_residual": [PTR, PTR, _Shape, PTR, PTR, PTR],
    "vx_correlation": [PTR, PTR, I32, _Shape, _Three, PTR],
    "vx_neighbours": [PTR, PTR, I32, _Shape, _Three, I32, PTR],
}


def _levels() -> list[str]:
    """Processor levels this machine can run, best first."""
    try:
        from numpy._core._multiarray_umath import __cpu_features__ as has
    except ImportError:
        has = {}
    order = (("v4", ("AVX512F", "AVX512BW", "AVX512VL", "AVX512DQ", "AVX512CD")), ("v3", ("AVX2", "FMA3", "F16C")), ("v1", ()))
    return [level for level, needs in order if all(has.get(n) for n in needs)]


def _load() -> ctypes.CDLL:
    folder = Path(__file__).parent
    for level in _levels():
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = folder / f"_native_{level}{suffix}"
            if path.exists():
                library = ctypes.CDLL(str(path))
                if not all(hasattr(library, name) for name in _SIGNATURES):
                    raise ImportError(f"{path.name} is older than the code that uses it: install voxalign again")
                for name, arguments in _SIGNATURES.items():
                    getattr(library, name).argtypes = [*arguments, I64, I64]
                    getattr(library, name).restype = None
                return library
    raise ImportError("voxalign was installed without its compiled kernels")


_library = _load()


def _run(name: str, *arguments, over: int, grain: int = 1) -> None:
    """Call a kernel over [0, over) in threads; arrays pass as pointers (kept alive by ``arguments``)."""
    function = getattr(_library, name)
    plain = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments]
    split(lambda a, b: function(*plain, a, b), over, grain)


def _shape(shape: tuple[int, ...], within: NDArray | None = None) -> _Shape:
    """As the kernels are told; they leave alone what is not ``within``."""
    rows = None if within is None else within.ctypes.data
    return _Shape(*((1,) * (3 - len(shape)) + tuple(shape)), rows)


spans = reference.spans


def _three(values, first) -> tuple:
    """Per-axis values, with ``first`` for the axis a 2-D array lacks."""
    values = tuple(values)
    return (first,) * (3 - len(values)) + values


def _f32(array: NDArray) -> NDArray:
    return np.ascontiguousarray(array, np.float32)


def _field(u: NDArray) -> NDArray:
    """(D, *shape) -> three components."""
    return _f32(u) if len(u) == 3 else _f32(np.concatenate([np.zeros_like(u[:1]), u]))


def _unfield(u: NDArray, dim: int) -> NDArray:
    return u if dim == 3 else u[1:]


def _lift(matrix: NDArray) -> NDArray:
    """(D+1, D+1) -> the 3 x 4 numbers of the map of volumes."""
    out = np.eye(4)
    skip = 4 - len(matrix)
    out[skip:, skip:] = matrix
    return np.ascontiguousarray(out[:3])


def _typed(data: NDArray, interpolation: str) -> tuple[NDArray, bool]:
    """What the kernels read: float32, or int32 for labels and for integers read at the nearest voxel."""
    whole = interpolation != "linear" and data.dtype.kind in "iub"
    return np.ascontiguousarray(data, np.int32 if whole else np.float32), whole


def sample(data: NDArray, index: NDArray, interpolation: str = "linear", outside: float = 0.0) -> NDArray:
    """See `reference.sample`."""
    if interpolation == "cubic" or (interpolation == "label" and data.dtype.kind not in "iub"):
        return reference.sample(data, index, interpolation, outside)
    values, whole = _typed(data, interpolation)
    index = np.asarray(index, np.float64)
    if index.shape[1] == 2:
        index = np.concatenate([np.zeros((len(index), 1)), index], 1)
    index = np.ascontiguousarray(index)
    out = np.empty((len(data), len(index)), values.dtype)
    _run("vx_sample", values, whole, len(data), _shape(data.shape[1:]), index, len(index), _MODES[interpolation], outside, out,
         over=len(index), grain=4096)
    return out.astype(data.dtype, copy=False) if interpolation != "linear" else out


def pull(data: NDArray, shape: tuple[int, ...], matrix: NDArray, field: tuple | None = None, interpolation: str = "linear",
         outside: float = 0.0) -> NDArray:
    """See `reference.pull`."""
    if interpolation == "cubic" or (interpolation == "label" and data.dtype.kind not in "iub"):
        return reference.pull(data, shape, matrix, field, interpolation, outside)
    values, whole = _typed(data, interpolation)
    out = np.empty((len(data), *shape), values.dtype)
    u = after = linear = None
    if field is not None:
        u, after, linear = _field(field[0]), _lift(field[1]), np.eye(3)
        linear[3 - len(shape):, 3 - len(shape):] = field[2]
    _run("vx_pull", values, whole, len(data), _shape(data.shape[1:]), u, _shape(u.shape[-len(shape):] if u is not None else shape),
         _lift(np.asarray(matrix, np.float64)), after, linear, _MODES[interpolation], outside, out, _shape(shape),
         over=_rows(shape), grain=_share(shape, 2 * len(data)))
    return out.astype(data.dtype, copy=False) if interpolation != "linear" else out


def _rows(shape: tuple[int, ...]) -> int:
    return math.prod(shape[:-1])


def _share(shape: tuple[int, ...], work: int = 1) -> int:
    """Rows that are worth a thread, ``work`` being what is done at a voxel: handing out a part takes some 30 microseconds."""
    return max(_WORTH // (shape[-1] * max(work, 1)), 1)


def warp(image: NDArray, u: NDArray, out: NDArray | None = None, within: NDArray | None = None) -> NDArray:
    """See `reference.warp`."""
    shape, has_channels = u.shape[1:], image.ndim > len(u)
    out = np.empty((*image.shape[:has_channels], *shape), np.float32) if out is None else out
    rest = _shape(image.shape[has_channels:]), _field(u), out, _shape(shape, within)
    if has_channels:
        _run("vx_warp_features", _f32(np.moveaxis(image, 0, -1)), len(image), *rest, over=_rows(shape), grain=_share(shape, len(image)))
    else:
        _run("vx_warp", _f32(image), *rest, over=_rows(shape), grain=_share(shape, 4))
    return out


def separable(data: NDArray, weights, edge: bool = True, out: NDArray | None = None, within: NDArray | None = None) -> NDArray:
    """See `reference.separable`."""
    data = _f32(data)
    out = np.empty_like(data) if out is None else out
    taps = [_f32(w) for w in _three(weights, np.ones(1))]
    if max(map(len, taps)) > _MOST_TAPS:
        return reference.separable(data, weights, edge, out, within)
    pairs = [v for w in taps for v in (w, len(w) // 2)]
    shape = _shape(data.shape[1:], within)
    _run("vx_filter", data, len(data), shape, *pairs, int(edge), out, over=shape.n0)
    return out


def smooth(data: NDArray, sigma, out: NDArray | None = None, within: NDArray | None = None) -> NDArray:
    """See `reference.smooth`."""
    return separable(data, [gaussian_weights(s) for s in sigma], True, out, within)


def window_statistics(fixed: NDArray, mask: NDArray | None, weights, stride=None) -> WindowStatistics:
    """See `reference.window_statistics`."""
    return reference.window_statistics(fixed, mask, weights, stride, separable)


def lncc(fixed: NDArray, moved: NDArray, windows: WindowStatistics, noise: float = 0.0,
         work: NDArray | None = None, within: NDArray | None = None) -> tuple[float, NDArray, NDArray]:
    """See `reference.lncc`; ``work`` spares the allocation, and holds the answer until the next call.

    (5, *shape) for windows about every voxel, else (2, *shape). With ``within`` it must be 0 elsewhere.
    """
    taps = [_f32(w) for w in _three(windows.weights, np.ones(1))]
    if max(map(len, taps)) // 2 > _MOST_RADIUS:
        return reference.lncc(fixed, moved, windows, noise, None, within)
    through = _lncc_everywhere if max(windows.stride) == 1 else _lncc_on_lattice
    value, out = through(fixed, moved, windows, noise, taps, work, within)
    if windows.mask is not None:
        out *= windows.mask
    return 1.0 + value / windows.total, out[0], out[1]


def _lncc_everywhere(fixed: NDArray, moved: NDArray, windows: WindowStatistics, noise: float, taps: list[NDArray],
                     work: NDArray | None, within: NDArray | None) -> tuple[float, NDArray]:
    shape, blocks, radius, weights = _windows(fixed.shape, taps, within)
    work = _blank((5, *fixed.shape), within) if work is None else work
    terms, out, values = work[:3], work[3:], np.zeros(shape.n0)
    _run("vx_lncc_fit", fixed, moved, windows.icount, windows.mean, windows.ivar, shape, radius, weights, windows.floor, noise, terms,
         values, over=blocks)
    _run("vx_lncc_residual", fixed, moved, terms, shape, radius, weights, out[0], out[1], over=blocks)
    return float(values.sum()), out


def _lncc_on_lattice(fixed: NDArray, moved: NDArray, windows: WindowStatistics, noise: float, taps: list[NDArray],
                     work: NDArray | None, within: NDArray | None) -> tuple[float, NDArray]:
    shape, size, stride = _shape(fixed.shape, within), windows.icount.shape, _Three(*_three(windows.stride, 1))
    rows = None if within is None else _thinned(within, fixed.shape, windows.stride)
    lattice, blocks, radius, weights = _windows(size, taps, rows)
    sums, terms, values = _blank((3, *size), within), _blank((3, *size), within), np.zeros(lattice.n0)
    out = _blank((2, *fixed.shape), within) if work is None else work
    _run("vx_lncc_thin", fixed, moved, shape, stride, lattice, radius, sums, over=lattice.n0)
    _run("vx_lncc_fit_sums", sums, windows.icount, windows.mean, windows.ivar, lattice, radius, weights, windows.floor, noise, terms,
         values, over=blocks)
    terms = separable(terms, windows.weights, False)
    _run("vx_lncc_spread", fixed, moved, terms, lattice, stride, windows.share, shape, out[0], out[1], over=shape.n0)
    return float(values.sum()), out


def _windows(shape: tuple[int, ...], taps: list[NDArray], within: NDArray | None) -> tuple[_Shape, int, _Three, _Weights]:
    """What the sweeps are told of windows, and how many blocks they work in."""
    told = _shape(shape, within)
    return told, -(-told.n0 // _BLOCK), _Three(*(len(w) // 2 for w in taps)), _Weights(*(w.ctypes.data for w in taps))


def _blank(shape: tuple[int, ...], within: NDArray | None) -> NDArray:
    return (np.empty if within is None else np.zeros)(shape, np.float32)


def _thinned(within: NDArray, shape: tuple[int, ...], stride: tuple[int, ...]) -> NDArray:
    """The spans of a lattice in those of ``shape``."""
    rows = within.reshape(*shape[:-1], 2)[tuple(slice(None, None, k) for k in stride[:-1])].reshape(-1, 2)
    return np.ascontiguousarray(-(-rows // stride[-1]), np.int32)


def force(moved: NDArray, residual: NDArray, curvature: NDArray, weights, kappa: float, out: NDArray | None = None,
          within: NDArray | None = None) -> NDArray:
    """See `reference.force`."""
    shape = _shape(moved.shape, within)
    out = _room(out, 4, moved.shape)
    _run("vx_force", _f32(moved), _f32(residual), _f32(curvature), shape, _f32(_three(weights, 0.0)), kappa, out, over=shape.n0)
    return out if moved.ndim == 3 else out[1:]


def step(force: NDArray, weights, length: float, damping: float, longest: float, out: NDArray | None = None,
         within: NDArray | None = None) -> NDArray:
    """See `reference.step`."""
    dim = len(force) - 1
    if dim == 2:
        force = np.concatenate([np.zeros_like(force[:1]), force])
    shape = force.shape[1:]
    out = _room(out, 3, shape)
    _run("vx_step", _f32(force), _shape(shape, within), _f32(_three(weights, 0.0)), length, damping, longest, out,
         over=_rows(shape), grain=_share(shape))
    return _unfield(out, dim)


def compose_fields(first: NDArray, second: NDArray, out: NDArray | None = None) -> NDArray:
    """See `reference.compose_fields`."""
    return _compose("vx_compose", first, second, out)


def compose_near(first: NDArray, second: NDArray, out: NDArray | None = None, within: NDArray | None = None) -> NDArray:
    """See `reference.compose_near`."""
    return _compose("vx_compose_near", first, second, out, within)


def _compose(name: str, first: NDArray, second: NDArray, out: NDArray | None, within: NDArray | None = None) -> NDArray:
    a, b, shape = _field(first), _field(second), first.shape[1:]
    out = _room(out, 3, shape)
    _run(name, a, b, _shape(shape, within), out, over=_rows(shape), grain=_share(shape, 4))
    return _unfield(out, len(first))


def _room(out: NDArray | None, components: int, shape: tuple[int, ...]) -> NDArray:
    """Memory for ``components`` volumes: ``out``, below a new first one where a 2-D field has one less."""
    if out is None:
        return np.empty((components, *shape), np.float32)
    return out if len(out) == components else np.concatenate([np.zeros_like(out[:1]), out])


def relax_volume(u: NDArray, weights, amount: float, out: NDArray | None = None, within: NDArray | None = None) -> NDArray:
    """See `reference.relax_volume`; ``out`` may be ``u`` itself."""
    shape, dim, rows = _shape(u.shape[1:], within), len(u), _rows(u.shape[1:])
    a, change = _field(u), np.empty(u.shape[1:], np.float32)
    _run("vx_divergence", a, shape, change, over=rows, grain=_share(u.shape[1:]))
    if out is not u or a is not u:
        a = _copied(a, _room(out, 3, u.shape[1:]), within)
    _run("vx_add_gradient", change, shape, _f32(_three(weights, 0.0)), amount, a, over=rows, grain=_share(u.shape[1:]))
    return _unfield(a, dim)


def _copied(u: NDArray, out: NDArray, within: NDArray | None) -> NDArray:
    """``out`` with the values of ``u``, where they are wanted."""
    out[:] = reference._kept(u, out, within)
    return out


def exponentiate(velocity: NDArray, squarings: int = 7) -> NDArray:
    """See `reference.exponentiate`."""
    u = _f32(velocity) / np.float32(2**squarings)
    for _ in range(squarings):
        u = compose_near(u, u) if np.abs(u).max(initial=0) < 1 else compose_fields(u, u)
    return u


def jacobian_determinant(u: NDArray) -> NDArray:
    """See `reference.jacobian_determinant`."""
    out = np.empty(u.shape[1:], np.float32)
    _run("vx_jacobian", _field(u), _shape(u.shape[1:]), out, over=_rows(u.shape[1:]), grain=_share(u.shape[1:], 4))
    return out


def invert(u: NDArray, tolerance: float = 1e-3, steps: int = 60) -> NDArray:
    """See `reference.invert`."""
    shape = u.shape[1:]
    a = _field(u)
    out, residual = np.empty_like(a), np.empty(_rows(shape), np.float32)
    _run("vx_invert", a, _shape(shape), tolerance, steps, out, residual, over=_rows(shape), grain=_share(shape, 32))
    return _unfield(out, len(u))


def normal_equations(moved: NDArray, residual: NDArray, curvature: NDArray) -> tuple[NDArray, NDArray]:
    """See `reference.normal_equations`."""
    shape, dim = _shape(moved.shape), moved.ndim
    centre = (np.array(_three(moved.shape, 1)) - 1) / 2
    sums = np.empty((shape.n0, 72))
    _run("vx_normal", _f32(moved), _f32(residual), _f32(curvature), shape, centre, sums, over=shape.n0)
    total = sums.sum(0)
    h, row = np.zeros((4, 4, 3, 3)), 0
    for k in range(4):
        for m in range(k, 4):
            s = np.zeros((3, 3))
            s[np.triu_indices(3)] = total[6 * row:6 * row + 6]
            h[k, m] = h[m, k] = s + np.triu(s, 1).T
            row += 1
    b = total[60:].reshape(4, 3)
    keep_x, keep_g = list(range(3 - dim, 4)), list(range(3 - dim, 3))
    return h[np.ix_(keep_x, keep_x, keep_g, keep_g)], b[np.ix_(keep_x, keep_g)]


def histograms(fixed: NDArray, moving: NDArray, maps: NDArray, bins: int) -> NDArray:
    """See `reference.histograms`."""
    dim = fixed.ndim
    lifted = np.tile(np.eye(4), (len(maps), 1, 1))
    lifted[:, 3 - dim :, 3 - dim :] = maps
    index = np.stack(np.nonzero(fixed != 255))
    voxels = np.zeros((3, index.shape[1]), np.float32)
    voxels[3 - dim :] = index
    out = np.empty((len(maps), bins, bins), np.float32)
    _run("vx_histograms", voxels, np.ascontiguousarray(fixed[tuple(index)], np.uint8), index.shape[1], _f32(moving), _shape(moving.shape),
         np.ascontiguousarray(lifted[:, :3]), bins, out, over=len(maps))
    return out


def joint_histogram(fixed: NDArray, moved: NDArray, bins: int) -> NDArray:
    """See `reference.joint_histogram`."""
    shape = _shape(fixed.shape)
    out = np.empty((shape.n0, bins, bins))
    _run("vx_joint", np.ascontiguousarray(fixed, np.uint8), _f32(moved), shape, bins, out, over=shape.n0)
    return out.sum(0)


def lookup(fixed: NDArray, moved: NDArray, table: NDArray, out: NDArray | None = None) -> NDArray:
    """See `reference.lookup`."""
    shape = _shape(fixed.shape)
    out = np.empty(fixed.shape, np.float32) if out is None else out
    _run("vx_lookup", np.ascontiguousarray(fixed, np.uint8), _f32(moved), shape, len(table), _f32(table), out, over=shape.n0)
    return out


def window_moments(fixed: NDArray, mask: NDArray | None, weights) -> NDArray:
    """See `reference.window_moments`."""
    return reference.window_moments(fixed, mask, weights, separable)


def ssim(fixed: NDArray, moved: NDArray, moments: NDArray, weights, work: NDArray | None = None) -> tuple[float, NDArray, NDArray]:
    """See `reference.ssim`; ``work`` as for `lncc`."""
    taps = [_f32(w) for w in _three(weights, np.ones(1))]
    shape, r = _shape(fixed.shape), _Three(*(len(w) // 2 for w in taps))
    if max(r.n0, r.n1, r.n2) > _MOST_RADIUS:
        return reference.ssim(fixed, moved, moments, weights)
    window = shape, r, _Weights(*(w.ctypes.data for w in taps))
    work = np.empty((5, *fixed.shape), np.float32) if work is None else work
    images, terms, out, values = (_f32(fixed), _f32(moved)), work[:3], work[3:], np.zeros(shape.n0)
    blocks = -(-shape.n0 // _BLOCK)
    _run("vx_ssim_fit", *images, _f32(moments), *window, *reference.SSIM_CONSTANTS, terms, values, over=blocks)
    _run("vx_ssim_residual", *images, terms, *window, out[0], out[1], over=blocks)
    return float(values.sum()), out[0], out[1]


def _mask(mask: NDArray | None) -> NDArray | None:
    return None if mask is None else np.ascontiguousarray(mask, np.bool_)


def gradient(image: NDArray, inverse_spacing, mask: NDArray | None = None) -> NDArray:
    """See `reference.gradient`."""
    shape, out = _shape(image.shape), np.empty((3, *image.shape), np.float32)
    _run("vx_gradient", _f32(image), _mask(mask), shape, _f32(_three(inverse_spacing, 0.0)), out, over=shape.n0)
    return _unfield(out, image.ndim)


def squared_gradient(image: NDArray, inverse_spacing, mask: NDArray | None = None) -> NDArray:
    """See `reference.squared_gradient`."""
    shape, out = _shape(image.shape[1:]), np.empty(image.shape[1:], np.float32)
    _run("vx_squared_gradient", _f32(image), len(image), _mask(mask), shape, _f32(_three(inverse_spacing, 0.0)), out, over=shape.n0)
    return out


def ngf(fixed: NDArray, moved: NDArray, inverse_spacing, edge: float, mask: NDArray | None = None,
        work: NDArray | None = None) -> tuple[float, NDArray, NDArray]:
    """See `reference.ngf`; ``work`` (6, *shape) spares the allocation, and holds the answer until the next call."""
    shape, h, mask = _shape(moved.shape), _f32(_three(inverse_spacing, 0.0)), _mask(mask)
    work = np.empty((6, *moved.shape), np.float32) if work is None else work
    values = np.zeros(shape.n0)
    _run("vx_ngf_fit", _field(fixed), _f32(moved), mask, shape, h, edge**2, work[:4], values, over=shape.n0)
    _run("vx_ngf_residual", work[:4], mask, shape, h, work[4], work[5], over=shape.n0)
    return float(values.sum()), work[4], work[5]


def _self_similarity(shape: tuple[int, ...], radius, distance) -> tuple:
    """What every kernel of MIND is told: shape, window, distances, channels, 1 / voxels of a window."""
    taps = [np.ones(2 * r + 1, np.float32) for r in _three(radius, 0)]
    pointers = _Weights(*(w.ctypes.data for w in taps))
    pointers.kept = taps
    window = _shape(shape), _Three(*_three(radius, 0)), pointers
    return (*window, _Three(*_three(distance, 0)), 12 if len(shape) == 3 else 4, 1 / float(np.prod([len(w) for w in taps])))


def mind(image: NDArray, radius, distance, mask: NDArray | None = None) -> NDArray:
    """See `reference.mind`."""
    if max(radius) > _MOST_RADIUS:
        return reference.mind(image, radius, distance, mask)
    how = _self_similarity(image.shape, radius, distance)
    out = np.empty((how[4], *image.shape), np.float32)
    _run("vx_mind", _f32(image), _mask(mask), *how, reference.MIND_NOISE, out, over=how[0].n0)
    return out


def mind_difference(fixed: NDArray, moved: NDArray, radius, distance, mask: NDArray | None = None,
                    work: NDArray | None = None) -> tuple[float, NDArray]:
    """See `reference.mind_difference`; ``work`` (19, *shape), in 2-D (11, *shape), spares the allocation, and holds the answer."""
    if max(radius) > _MOST_RADIUS:
        return reference.mind_difference(fixed, moved, radius, distance, mask)
    shape, r, taps, far, channels, scale = _self_similarity(moved.shape, radius, distance)
    moved, mask, values = _f32(moved), _mask(mask), np.zeros(shape.n0)
    work = np.empty((channels + 7, *moved.shape), np.float32) if work is None else work
    terms, parts, residual = work[:channels], work[channels:channels + 6], work[-1]
    _run("vx_mind_fit", _f32(fixed), moved, mask, shape, r, taps, far, channels, scale, reference.MIND_NOISE, terms, values, over=shape.n0)
    _run("vx_mind_sides", moved, mask, terms, shape, r, taps, far, channels, scale, parts, over=shape.n0)
    _run("vx_mind_residual", parts, mask, shape, far, 6 - 2 * moved.ndim, residual, over=shape.n0)
    return float(values.sum()), residual


def soft_classes(values: NDArray, bins: int) -> NDArray:
    """See `reference.soft_classes`."""
    out = np.empty((3, *values.shape), np.float32)
    _run("vx_soft_classes", _f32(values), values.size, bins, out, over=values.size, grain=4096)
    return out


def correlation(one: NDArray, other: NDArray, radius) -> NDArray:
    """See `reference.correlation`."""
    one, other, dim = _f32(one), _f32(other), len(radius)
    out = np.empty((*one.shape[:-dim - 1], len(reference.offsets(radius)), *one.shape[-dim:]), np.float32)
    for index in np.ndindex(one.shape[:-dim - 1]):
        _run("vx_correlation", one[index], other[index], one.shape[-dim - 1], _shape(one.shape[-dim:]), _Three(*_three(radius, 0)),
             out[index], over=_rows(one.shape[-dim:]), grain=_share(one.shape[-dim:], out.shape[-dim - 1] * one.shape[-dim - 1] // 32))
    return out


def neighbours(weights: NDArray, values: NDArray, radius, mirrored: bool = False) -> NDArray:
    """See `reference.neighbours`."""
    weights, values, dim = _f32(weights), _f32(values), len(radius)
    out = np.empty(values.shape, np.float32)
    for index in np.ndindex(values.shape[:-dim - 1]):
        _run("vx_neighbours", weights[index], values[index], values.shape[-dim - 1], _shape(values.shape[-dim:]),
             _Three(*_three(radius, 0)), mirrored, out[index], over=_rows(values.shape[-dim:]),
             grain=_share(values.shape[-dim:], weights.shape[-dim - 1] * values.shape[-dim - 1] // 8))
    return out
