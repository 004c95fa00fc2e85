"""Every kernel equals its reference: the same generated inputs go to both, in 2-D and 3-D, with odd sizes and axes of one voxel.

A new kernel needs one entry in `CASES`: its arguments for arrays of a given shape.
"""
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from inspect import isfunction, signature

import numpy as np
import pytest
import tolerances as tol
from scipy.ndimage import gaussian_filter

from voxalign.core import kernels
from voxalign.core.kernels import reference

SHAPES = [(9, 11, 13), (5, 8, 6), (1, 7, 9), (8, 1, 7), (7, 9, 1), (1, 1, 6), (2, 2, 2), (11, 13), (1, 9), (8, 1), (1, 1)]
Rng = np.random.Generator


def _image(shape: tuple, rng: Rng) -> np.ndarray:
    return (gaussian_filter(rng.random(shape), 1.0) + 0.2 * rng.random(shape)).astype(np.float32)


def _unit(shape: tuple, rng: Rng) -> np.ndarray:
    return np.clip(1.2 * rng.random(shape) - 0.1, 0, 1).astype(np.float32)  # some at either end


def _bins(shape: tuple, rng: Rng, bins: int) -> np.ndarray:
    return np.where(rng.random(shape) < 0.15, 255, rng.integers(1, bins - 2, shape)).astype(np.uint8)


def _displacement(shape: tuple, rng: Rng, longest: float) -> np.ndarray:
    """Smooth enough to have an inverse, at most ``longest`` voxels."""
    smooth = np.stack([gaussian_filter(rng.normal(0, 1, shape), 2.0) for _ in shape])
    return (smooth * longest / max(np.abs(smooth).max(), 1e-6)).astype(np.float32)


def _matrix(dim: int, rng: Rng, shift: float = 1.0) -> np.ndarray:
    matrix = np.eye(dim + 1)
    matrix[:-1] += rng.normal(0, 0.08, (dim, dim + 1))
    matrix[:-1, -1] += rng.normal(0, shift, dim)
    return matrix


def _labels(shape: tuple, rng: Rng, channels: int = 1) -> np.ndarray:
    return rng.choice([0, 3, 7, 1000, 31000], (channels, *shape)).astype(np.int16)


def _sample(shape: tuple, rng: Rng) -> list[tuple]:
    index = rng.uniform(-1.2, np.array(shape) + 0.2, (500, len(shape)))
    exact = np.stack([rng.integers(0, n, 20) for n in shape], 1).astype(float)
    index = np.concatenate([index, exact])
    volume = np.stack([_image(shape, rng) for _ in range(2)])
    kinds = [(volume, index, kind, -3.0) for kind in ("linear", "nearest", "cubic")]
    return kinds + [(_labels(shape, rng, 2), index, kind, 5) for kind in ("nearest", "label", "linear")]


def _pull(shape: tuple, rng: Rng) -> list[tuple]:
    dim = len(shape)
    out = tuple(int(n) for n in rng.integers(1, 12, dim))
    field_shape = tuple(int(n) for n in rng.integers(1, 10, dim))
    field = (_displacement(field_shape, rng, 2.0), _matrix(dim, rng), rng.normal(0, 1, (dim, dim)))
    image, labels = _image(shape, rng)[None], _labels(shape, rng)
    return [(data, out, _matrix(dim, rng), extra, kind)
            for extra in (None, field)
            for data, kind in ((image, "linear"), (image, "nearest"), (image, "cubic"), (labels, "nearest"), (labels, "label"))]


def _velocities(shape: tuple, rng: Rng) -> list[tuple]:
    return [(_displacement(shape, rng, longest), squarings) for longest, squarings in ((3.0, 6), (0.7, 0))]


def _two_displacements(shape: tuple, rng: Rng) -> list[tuple]:
    return [(_displacement(shape, rng, a), _displacement(shape, rng, b)) for a, b in ((0.9, 3.0), (4.0, 2.0))]


def _windows(shape: tuple, rng: Rng) -> list[tuple]:
    mask = rng.random(shape) < 0.8
    fixed = _image(shape, rng)
    box = [np.ones(5, np.float32)] * len(shape)
    bell = [np.exp(-0.5 * np.linspace(-2, 2, 2 * k + 3) ** 2).astype(np.float32) for k in range(len(shape))]
    return [(fixed, None, box), (fixed * mask, mask, bell)]


def _sparse_windows(shape: tuple, rng: Rng) -> list[tuple]:
    (fixed, _, box), (masked, mask, _) = _windows(shape, rng)
    every_second_of_some_axes = tuple(1 + (k + len(shape)) % 2 for k in range(len(shape)))
    return [(fixed, None, box, every_second_of_some_axes), (masked, mask, box, (2,) * len(shape))]


def _lncc(shape: tuple, rng: Rng) -> list[tuple]:
    cases = []
    if np.prod(shape) == 1:
        return cases  # no window has a variance, and rounding is all there is to compare
    for fixed, mask, *rest in _windows(shape, rng) + _sparse_windows(shape, rng):
        moved = (fixed + _image(shape, rng)) * (1 if mask is None else mask)
        windows = reference.window_statistics(fixed, mask, *rest)
        cases += [(fixed, moved.astype(np.float32), windows, noise) for noise in (0.0, 0.05)]
    return cases


def _ssim(shape: tuple, rng: Rng) -> list[tuple]:
    cases = []
    if np.prod(shape) == 1:
        return cases  # no window has a variance, and rounding is all there is to compare
    for fixed, mask, weights in _windows(shape, rng):
        moved = (0.5 * (fixed + _image(shape, rng)) * (1 if mask is None else mask)).astype(np.float32)
        cases.append((fixed, moved, reference.window_moments(fixed, mask, weights), weights))
    return cases


def _ngf(shape: tuple, rng: Rng) -> list[tuple]:
    cases, inverse = [], (1.0, 0.4, 0.7)[:len(shape)]
    for mask in (None, rng.random(shape) < 0.8):
        field = reference.gradient(_image(shape, rng), inverse, mask)
        cases.append((field / np.sqrt((field**2).sum(0) + 0.01), _image(shape, rng), inverse, 0.1, mask))
    return cases


def _mind(shape: tuple, rng: Rng) -> list[tuple]:
    radius, distance = (1, 2, 0)[:len(shape)], (2, 1, 3)[:len(shape)]
    return [(_image(shape, rng), radius, distance), (_image(shape, rng), (1,) * len(shape), (2,) * len(shape), rng.random(shape) < 0.8)]


def _mind_difference(shape: tuple, rng: Rng) -> list[tuple]:
    return [(reference.mind(*case), _image(shape, rng), *case[1:]) for case in _mind(shape, rng)]


def _force(shape: tuple, rng: Rng) -> list[tuple]:
    image, residual, curvature = _image(shape, rng), rng.normal(0, 1, shape).astype(np.float32), _unit(shape, rng) + 0.1
    return [(image, residual, curvature, rng.uniform(0.5, 2, len(shape)), kappa) for kappa in (0.0, 0.3)]


def _step(shape: tuple, rng: Rng) -> list[tuple]:
    force = np.concatenate([rng.normal(0, 1, (len(shape), *shape)), rng.random((1, *shape))]).astype(np.float32)
    return [(force, rng.uniform(0.5, 2, len(shape)), 1.5, 0.2, 0.6)]


def _normal(shape: tuple, rng: Rng) -> list[tuple]:
    return [(_image(shape, rng), rng.normal(0, 1, shape).astype(np.float32), _unit(shape, rng))]


def _histograms(shape: tuple, rng: Rng) -> list[tuple]:
    moving = np.where(rng.random(shape) < 0.1, -1, rng.uniform(0, 15, shape)).astype(np.float32)
    return [(_bins(shape, rng, 16), moving, np.stack([_matrix(len(shape), rng) for _ in range(4)]), 16)]


def _separable(shape: tuple, rng: Rng) -> list[tuple]:
    data, taps = rng.random((2, *shape)).astype(np.float32), [rng.random(2 * k + 1) for k in range(len(shape))]
    return [(data, taps, edge) for edge in (True, False)]


def _correlation(shape: tuple, rng: Rng) -> list[tuple]:
    return [(*(rng.normal(0, 1, (*more, 3, *shape)).astype(np.float32) for _ in range(2)), (1, 2, 0)[:len(shape)]) for more in ((), (2,))]


def _neighbours(shape: tuple, rng: Rng) -> list[tuple]:
    radius = (2, 0, 1)[:len(shape)]
    weights = rng.normal(0, 1, (len(reference.offsets(radius)), *shape)).astype(np.float32)
    return [(weights, rng.normal(0, 1, (3, *shape)).astype(np.float32), radius, mirrored) for mirrored in (False, True)]


CASES: dict[str, Callable[[tuple, Rng], list[tuple]]] = {
    "compose_fields": _two_displacements,
    "compose_near": lambda shape, rng: [(_displacement(shape, rng, 0.99), _displacement(shape, rng, 3.0))],
    "correlation": _correlation,
    "exponentiate": _velocities,
    "force": _force,
    "gaussian_weights": lambda shape, rng: [(sigma,) for sigma in (0.0, 0.4, 1.7)],
    "gradient": lambda shape, rng: [(_image(shape, rng), (1.0, 0.4, 2.0)[:len(shape)], mask) for mask in (None, rng.random(shape) < 0.7)],
    "histograms": _histograms,
    "invert": lambda shape, rng: [(_displacement(shape, rng, 1.2),)],
    "jacobian_determinant": lambda shape, rng: [(_displacement(shape, rng, 3.0),)],
    "joint_histogram": lambda shape, rng: [(_bins(shape, rng, 16), _unit(shape, rng), 16)],
    "lncc": _lncc,
    "lookup": lambda shape, rng: [(_bins(shape, rng, 16), _unit(shape, rng), rng.normal(0, 1, (16, 16)))],
    "mind": _mind,
    "mind_difference": _mind_difference,
    "neighbours": _neighbours,
    "ngf": _ngf,
    "normal_equations": _normal,
    "pull": _pull,
    "relax_volume": lambda shape, rng: [(_displacement(shape, rng, 3.0), rng.uniform(0.5, 1, len(shape)), 0.1)],
    "sample": _sample,
    "separable": _separable,
    "smooth": lambda shape, rng: [(rng.random((2, *shape)).astype(np.float32), (0.6, 1.3, 0.0)[:len(shape)])],
    "soft_classes": lambda shape, rng: [(rng.uniform(-0.2, 1.3, shape).astype(np.float32), bins) for bins in (2, 9)],
    "spans": lambda shape, rng: [(rng.random(shape) < share,) for share in (0.0, 0.1, 0.9)],
    "squared_gradient": lambda shape, rng: [(rng.random((3, *shape)), (1.0, 0.4, 2.0)[:len(shape)], mask)
                                            for mask in (None, rng.random(shape) < 0.7)],
    "ssim": _ssim,
    "step": _step,
    "warp": lambda shape, rng: [(_image(shape, rng), _displacement(shape, rng, 2.5)),
                                (np.stack([_image(shape, rng) for _ in range(3)]), _displacement(shape, rng, 0.8))],
    "window_moments": _windows,
    "window_statistics": lambda shape, rng: _windows(shape, rng) + _sparse_windows(shape, rng),
}
shared = sorted(name for name in kernels.__all__ if isfunction(getattr(reference, name, None)))


def test_every_kernel_has_cases():
    assert shared == sorted(CASES)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("name", shared)
def test_equals_its_reference(name, shape):
    for case in CASES[name](shape, np.random.default_rng([*shape, len(name)])):
        want = getattr(reference, name)(*case)
        got = getattr(kernels, name)(*case)
        _same(got, want, tol.KERNEL_LOOSER.get(name, tol.KERNEL))


@pytest.mark.parametrize("name", shared)
def test_the_number_of_threads_changes_no_bit(name, monkeypatch):
    monkeypatch.setattr("voxalign.core.kernels.compiled._WORTH", 64)  # small work is not handed out
    try:
        results = []
        for threads in (1, 3):
            kernels.set_threads(threads)
            results.append([getattr(kernels, name)(*case) for case in CASES[name]((17, 12, 15), np.random.default_rng(5))])
    finally:
        kernels.set_threads(None)
    for one, many in zip(*results, strict=True):
        _same(one, many, 0.0)


@pytest.mark.parametrize("shape", [(6, 7, 5), (1, 6, 9), (8, 9)], ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("name", [name for name in shared if "out" in signature(getattr(kernels, name)).parameters])
def test_memory_given_for_the_answer_changes_nothing(name, shape):
    for case in CASES[name](shape, np.random.default_rng(7)):
        want = getattr(kernels, name)(*case)
        arrays = want if isinstance(want, tuple) else (want,)
        memory = np.stack([a for a in arrays if isinstance(a, np.ndarray)]) if isinstance(want, tuple) else want
        _same(getattr(kernels, name)(*case, out=np.full_like(memory, np.nan)), want, 0.0)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("name", [name for name in shared if "within" in signature(getattr(kernels, name)).parameters])
def test_only_what_is_wanted_is_written(name, shape):
    blob = gaussian_filter(np.random.default_rng(len(name)).random(shape), 1.5)
    for mask in (blob > np.median(blob), blob > blob.max(), np.ones(shape, bool)):
        for case in CASES[name](shape, np.random.default_rng([*shape, len(name)])):
            tolerance = tol.KERNEL_LOOSER.get(name, tol.KERNEL)
            _same(_within(kernels, name, case, mask), _within(reference, name, case, mask), tolerance)


def _within(module, name: str, case: tuple, mask: np.ndarray) -> object:
    """The answer of a kernel of ``module`` at the voxels of ``mask``, in memory that held something else."""
    memory = {}
    if "out" in signature(getattr(reference, name)).parameters:
        shape = np.shape(getattr(reference, name)(*case))
        memory["out"] = np.random.default_rng(3).random(shape, np.float32)
    return getattr(module, name)(*case, **memory, within=module.spans(mask))


@pytest.mark.parametrize("name", shared)
def test_inputs_are_left_alone(name):
    for case in CASES[name]((6, 7, 5), np.random.default_rng(6)):
        arrays = [a for a in case if isinstance(a, np.ndarray)]
        before = [a.copy() for a in arrays]
        getattr(kernels, name)(*case)
        assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))


def _same(got, want, tolerance: float) -> None:
    if is_dataclass(want):
        got, want = ([getattr(v, f.name) for f in fields(want)] for v in (got, want))
    if isinstance(want, (tuple, list)):
        assert len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            _same(g, w, tolerance)
    elif want is None:
        assert got is None
    else:
        got, want = np.asarray(got), np.asarray(want)
        assert got.shape == want.shape and got.dtype.kind == want.dtype.kind
        scale = max(np.abs(want).max(initial=0), 1e-3) if want.dtype.kind == "f" else 1
        assert np.abs(got.astype(np.float64) - want).max(initial=0) <= tolerance * scale
