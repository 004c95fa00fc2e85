import numpy as np
import pytest
import torch
from tolerances import INVERSE_SVF_VOXELS, KERNEL_TENSOR

from voxalign.core import kernels
from voxalign.nn import affine_displacement, compose, fields, integrate, warp

SHAPES = [(9, 14), (7, 5, 8), (1, 6)]


def smooth(shape, size=1.0, batch=2):
    """Smooth random displacements (B, D, *shape) of about ``size`` voxels."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(batch * len(shape), *shape)).astype(np.float32)
    return torch.as_tensor(size * 3 * kernels.smooth(noise, (1.5,) * len(shape))).reshape(batch, len(shape), *shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_warp_is_the_kernels(shape):
    image, u = torch.rand(2, 3, *shape), smooth(shape)
    for b in range(2):
        for c in range(3):
            expected = kernels.warp(image[b, c].numpy(), u[b].numpy())
            assert np.abs(warp(image, u)[b, c].numpy() - expected).max() < KERNEL_TENSOR


@pytest.mark.parametrize("shape", SHAPES)
def test_integrate_is_the_kernels(shape):
    v = smooth(shape, 2.0)
    expected = kernels.exponentiate(v[0].numpy(), 7)
    assert np.abs(integrate(v)[0].numpy() - expected).max() < 10 * KERNEL_TENSOR


def test_a_constant_flow_is_a_shift():
    v = torch.full((1, 2, 8, 9), 1.75)
    assert torch.allclose(integrate(v), v, atol=1e-5)


def test_flows_there_and_back_meet():
    v = 8 * torch.as_tensor(kernels.smooth(smooth((32, 33))[0].numpy(), (4.0, 4.0)))[None]
    missed = compose(integrate(v), integrate(-v))[..., 6:-6, 6:-6]
    assert missed.abs().max() < INVERSE_SVF_VOXELS < integrate(v).abs().max() / 10


def test_edges_go_on_or_end():
    image, u = torch.ones(1, 1, 5, 5), torch.full((1, 2, 5, 5), 40.0)
    assert (warp(image, u) == 1).all() and (warp(image, u, "zero") == 0).all()


@pytest.mark.parametrize("shape", [(5, 6), (4, 3, 5)])
def test_gradients(shape):
    image = torch.rand(1, 2, *shape, dtype=torch.float64, requires_grad=True)
    u = (0.3 * torch.rand(1, len(shape), *shape, dtype=torch.float64) + 0.2).requires_grad_()  # between voxels: no kink is near
    assert torch.autograd.gradcheck(warp, (image, u))
    assert torch.autograd.gradcheck(lambda v: integrate(v, 3), (u,))


def test_positions_are_exact_under_autocast():
    v = smooth((12, 13), 2.0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(integrate(v), integrate(v).float()) and integrate(v).dtype == torch.float32
    assert torch.equal(integrate(v.bfloat16()), integrate(v.bfloat16().float()))


def test_affine_displacement_moves_indices():
    matrix = torch.tensor([[[1.1, 0.2, 3.0], [-0.1, 0.9, -2.0], [0, 0, 1]]])
    u = affine_displacement(matrix, (5, 7))
    assert torch.allclose(u[0, :, 3, 4] + torch.tensor([3.0, 4]), matrix[0, :2] @ torch.tensor([3.0, 4, 1]), atol=1e-5)


def test_double_is_cell_centred():
    ramp = fields.lattice((6, 5), torch.zeros(()))[None]
    inner = (2 * fields.double(ramp) + 0.5)[..., 1:-1, 1:-1]  # voxel k covers 2k and 2k + 1, so its middle is 2k + 1/2
    assert torch.allclose(inner, fields.lattice((12, 10), torch.zeros(()))[None][..., 1:-1, 1:-1], atol=1e-5)
