"""The kernels for torch tensors equal their references, and gradients pass through them.

``VOXALIGN_TEST_DEVICE=cuda`` runs the same on a GPU.
"""
import os
import subprocess
import sys
from dataclasses import is_dataclass, replace
from inspect import signature

import numpy as np
import pytest
import tolerances as tol
from contracts.test_kernels import CASES, SHAPES, _displacement, _image, _same, shared

from voxalign import losses
from voxalign.core import arrays, kernels
from voxalign.core.kernels import reference

torch = pytest.importorskip("torch")
tensor = pytest.importorskip("voxalign.core.kernels.tensor")
DEVICE = os.environ.get("VOXALIGN_TEST_DEVICE", "cpu")
NAMES = [name for name in shared if name not in ("gaussian_weights", "spans")]
OWN = [name for name in NAMES if name in vars(tensor)]  # the others go through NumPy


def _tensors(value):
    """Arrays as tensors; the settings of kernels (weights, matrices) stay NumPy."""
    if is_dataclass(value):
        return replace(value, **{n: _tensors(getattr(value, n)) for n in ("icount", "mean", "ivar", "mask")})
    return torch.as_tensor(value, device=DEVICE) if isinstance(value, np.ndarray) else value


SMALL = {"pull": (2,), "histograms": (2,), "lookup": (2,), "force": (3,), "step": (1,), "relax_volume": (1,), "gradient": (1,), "ngf": (2,)}


def _arguments(name: str, case: tuple) -> list:
    """What is a volume goes to the device; taps, matrices and tables need not."""
    return [value if i in SMALL.get(name, ()) else _tensors(value) for i, value in enumerate(case)]


def _numpy(value):
    if is_dataclass(value):
        return replace(value, **{n: _numpy(getattr(value, n)) for n in ("icount", "mean", "ivar", "mask")})
    if isinstance(value, tuple):
        return tuple(map(_numpy, value))
    return arrays.as_numpy(value)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("name", NAMES)
def test_equals_its_reference(name, shape):
    for case in CASES[name](shape, np.random.default_rng([*shape, len(name)])):
        want = getattr(reference, name)(*case)
        got = _numpy(getattr(kernels, name)(*_arguments(name, case)))
        _same(got, want, tol.KERNEL_TENSOR_LOOSER.get(name, tol.KERNEL_TENSOR))


@pytest.mark.parametrize("shape", [(9, 11, 13), (1, 7, 9), (11, 13)], ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("name", [name for name in OWN if "within" in signature(getattr(reference, name)).parameters])
def test_only_what_is_wanted_is_written(name, shape):
    rng = np.random.default_rng(len(name))
    mask = rng.random(shape) < 0.2
    for case in CASES[name](shape, rng):
        memory = {}
        if "out" in signature(getattr(reference, name)).parameters:
            memory["out"] = rng.random(np.shape(getattr(reference, name)(*case)), np.float32)
        want = getattr(reference, name)(*case, **memory, within=reference.spans(mask))
        given = {name: _tensors(value) for name, value in memory.items()}
        got = getattr(kernels, name)(*_arguments(name, case), **given, within=kernels.spans(_tensors(mask)))
        _same(_numpy(got), want, tol.KERNEL_TENSOR_LOOSER.get(name, tol.KERNEL_TENSOR))


@pytest.mark.parametrize("name", NAMES)
def test_repeats_to_the_bit(name):
    for case in CASES[name]((17, 12, 15), np.random.default_rng(5)):
        one, two = (_numpy(getattr(kernels, name)(*_arguments(name, case))) for _ in range(2))
        _same(one, two, 0.0)


@pytest.mark.parametrize("name", OWN)
def test_volumes_stay_where_they_are(name, monkeypatch):
    """Nothing goes to NumPy and back by accident, which would work on a CPU and fail on a GPU."""
    case = CASES[name]((6, 7, 5), np.random.default_rng(6))[0]
    arguments = _arguments(name, case)
    monkeypatch.setattr(torch.Tensor, "__array__", None)
    result = getattr(kernels, name)(*arguments)
    if name not in ("histograms", "joint_histogram", "normal_equations"):
        first = result[-1] if isinstance(result, tuple) else getattr(result, "mean", result)
        assert isinstance(first, torch.Tensor) or callable(first)


# ---------------------------------------------------------------- gradients, in float64
def _variable(array) -> "torch.Tensor":
    return torch.tensor(np.asarray(array, np.float64), device=DEVICE, requires_grad=True)


def _smooth_displacement(shape, rng):
    """Away from the kinks of linear interpolation at voxel centres, and inside the image."""
    return 0.3 + 0.15 * _displacement(shape, rng, 1.0).astype(np.float64)


@pytest.mark.parametrize("shape", [(4, 5, 3), (5, 6)])
@pytest.mark.parametrize("name", ["warp", "pull", "sample", "smooth", "compose_fields", "exponentiate", "jacobian_determinant",
                                  "relax_volume", "force", "step", "separable", "correlation"])
def test_gradients(name, shape, rng):
    u, image = _variable(_smooth_displacement(shape, rng)), _variable(_image(shape, rng))
    dim, weights = len(shape), (1.0, 0.5, 2.0)[:len(shape)]
    matrix = np.eye(dim + 1)
    matrix[:-1, -1] = 0.3
    call, inputs = {
        "warp": (kernels.warp, (image, u)),
        "pull": (lambda image, u: kernels.pull(image[None], shape, matrix, (u, np.eye(dim + 1), np.eye(dim))), (image, u)),
        "sample": (lambda image, u: kernels.sample(image[None], 1.2 + u.reshape(dim, -1).T), (image, u)),
        "smooth": (lambda u: kernels.smooth(u, (0.7, 1.1, 0.5)[:dim]), (u,)),
        "separable": (lambda u: kernels.separable(u, [np.array([0.2, 0.5, 0.4])] * dim, False), (u,)),
        "compose_fields": (kernels.compose_fields, (u, _variable(_smooth_displacement(shape, rng)))),
        "exponentiate": (lambda u: kernels.exponentiate(u, 2), (u,)),
        "jacobian_determinant": (kernels.jacobian_determinant, (u,)),
        "relax_volume": (lambda u: kernels.relax_volume(u, weights, 0.1), (u,)),
        "force": (lambda image: kernels.force(image, image, image + 0.5, weights, 0.3), (image,)),
        "correlation": (lambda one, two: kernels.correlation(one, two, (1, 2, 0)[:dim]), (u, _variable(_smooth_displacement(shape, rng)))),
        "step": (lambda u: kernels.step(torch.cat([u, u[:1] ** 2]), weights, 1.4, 0.3, 0.7), (u,)),
    }[name]
    assert torch.autograd.gradcheck(call, inputs, eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 7, 5, 9), (2, 3, 6, 17), (3, 4, 1, 8)])
def test_correlation_has_the_gradients_of_the_plain_version(shape, rng):
    radius, arrays = (1, 2, 1)[:len(shape) - 2], [rng.normal(0, 1, shape) for _ in range(2)]
    outer = torch.tensor(rng.normal(0, 1, kernels.correlation(*arrays, radius).shape))
    found = []
    for dtype in (torch.float32, torch.float64):  # the first is the compiled one
        given = [torch.tensor(a, dtype=dtype, requires_grad=True) for a in arrays]
        found.append(torch.autograd.grad(kernels.correlation(*given, radius), given, outer.to(dtype)))
    assert all(torch.allclose(one.double(), other, atol=1e-5) for one, other in zip(*found, strict=True))


# ---------------------------------------------------------------- losses
LOSSES = {"mse": losses.MSE(), "ncc": losses.NCC(), "lncc": losses.LNCC(2), "lncc in noise": losses.LNCC(2, "gaussian", 0.05),
          "lncc of some windows": losses.LNCC(4, "gaussian", 0.1, 2), "mi": losses.MI(16)}


def _images(shape, rng, masked: bool) -> tuple:
    fixed = _image(shape, rng)
    moved = (0.7 * fixed + 0.3 * _image(shape, rng)).astype(np.float32)
    return fixed, moved, (rng.random(shape) < 0.8 if masked else None)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", [(9, 11, 8), (12, 11)])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_the_same_on_tensors(name, shape, masked, rng):
    arguments = _images(shape, rng, masked)
    fixed, moved, mask = (_tensors(a) for a in arguments)
    want = LOSSES[name].bind(arguments[0], arguments[2]).terms(arguments[1])
    got = LOSSES[name].bind(fixed, mask).terms(moved)
    assert float(got.value) == pytest.approx(want.value, abs=3e-5 if "lncc" in name else 1e-5)  # either is to 1.2e-5 of double precision
    for a, b in ((got.residual, want.residual), (got.curvature, want.curvature)):
        assert isinstance(a, torch.Tensor) and a.dtype == torch.float32
        _same(_numpy(a), b, tol.KERNEL_TENSOR_LOOSER["lncc"] if "lncc" in name else 1e-4)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_loss_has_the_gradient_of_its_residual(name, masked, rng):
    """Called with tensors: the value, and -2/N times the residual, by the fastest kernels for where they are."""
    arguments = _images((9, 11, 8), rng, masked)
    fixed, moved, mask = (_tensors(a) for a in arguments)
    moved.requires_grad_()
    value = 3 * LOSSES[name](fixed, moved, mask)
    value.backward()
    want = LOSSES[name].bind(arguments[0], arguments[2]).terms(arguments[1])
    assert float(value.detach()) == pytest.approx(3 * want.value, abs=1e-5)
    number = arguments[0].size if mask is None else arguments[2].sum()
    _same(_numpy(moved.grad), -6 / number * want.residual, tol.KERNEL_TENSOR_LOOSER["lncc"])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", ["mse", "ncc", "lncc", "lncc in noise", "lncc of some windows"])
def test_residual_is_what_autograd_finds(name, masked, rng):
    """The formula of the residual against differentiation of the value itself, in float64."""
    fixed, moved, mask = (_tensors(a) for a in _images((7, 9, 8), rng, masked))
    moved = moved.double().requires_grad_()
    terms = LOSSES[name].bind(fixed.double(), mask).terms(moved)
    (gradient,) = torch.autograd.grad(terms.value, moved)
    number = moved.numel() if mask is None else int(mask.sum())
    _same(_numpy(-number / 2 * gradient), _numpy(terms.residual), 1e-6)


def test_mutual_information_falls_as_its_residual_says(rng):
    fixed, moved, _ = _images((9, 11, 8), rng, False)
    change = rng.normal(0, 1e-3, moved.shape)
    bound = losses.MI(16).bind(torch.as_tensor(fixed, dtype=torch.float64, device=DEVICE))
    there, here, back = (bound.terms(torch.as_tensor(moved + s * change, device=DEVICE)) for s in (1, 0, -1))
    predicted = -2 / moved.size * (_numpy(here.residual) * change).sum()
    assert (there.value - back.value) / 2 == pytest.approx(predicted, rel=2e-2)


def test_training_step_reduces_the_loss(rng):
    """What a network's training does: warp along a displacement, compare, go back through both."""
    moving = torch.as_tensor(_image((12, 11, 10), rng), device=DEVICE)
    fixed = kernels.warp(moving, torch.as_tensor(_displacement((12, 11, 10), rng, 0.8), device=DEVICE))
    u = torch.zeros((3, 12, 11, 10), device=DEVICE, requires_grad=True)
    values = []
    for _ in range(5):
        value = losses.LNCC(3)(fixed, kernels.warp(moving, kernels.smooth(u, (1, 1, 1))))
        (gradient,) = torch.autograd.grad(value, u)
        u = (u - 0.1 * gradient / gradient.abs().max()).detach().requires_grad_()
        values.append(float(value.detach()))
    assert values[-1] < values[0] and sorted(values, reverse=True) == values


# ---------------------------------------------------------------- surroundings
def test_short_products_are_never_used(monkeypatch):
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    seen = []
    monkeypatch.setattr(torch, "set_float32_matmul_precision", seen.append)

    class OnGpu:
        is_cuda = True

    with tensor._full_precision(OnGpu()):
        assert seen == ["highest"]
    assert seen == ["highest", "medium"]


def test_weights_made_without_autograd_serve_with_it():
    with torch.inference_mode():
        kernels.smooth(torch.ones((1, 6, 7), device=DEVICE), (0.9, 0.9))
    data = torch.ones((1, 6, 7), device=DEVICE, requires_grad=True)
    kernels.smooth(data, (0.9, 0.9)).sum().backward()
    assert float(data.grad.sum()) == pytest.approx(42, rel=1e-5)


def test_arrays_that_are_no_tensors_import_no_torch():
    code = ("import sys, numpy as np; from voxalign.core import arrays, kernels; a = np.zeros((4, 5), np.float32);"
            "kernels.warp(a, np.zeros((2, 4, 5), np.float32)); arrays.keep(arrays.on(a, 'cpu'), a > 0); assert 'torch' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)
