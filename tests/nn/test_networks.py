import json

import pytest
import torch
from tolerances import NETWORK_BATCH_VOXELS

from voxalign.core import InputError, UsageError, kernels
from voxalign.nn import AffineNet, Autoencoder, Classifier, Pyramid, UNet, affine_displacement, blocks, build, count, fields, networks, warp
from voxalign.nn.architecture import REGISTRATION, as_dict, from_dict
from voxalign.nn.predict import predict

SMALL = {"channels": (4, 6, 8), "in_channels": 1}
NETWORKS = [UNet(2, **SMALL), UNet(3, **SMALL, stride=1, conditioned=True), UNet(2, **SMALL, antisymmetric=True),
            Pyramid(2, **SMALL, hidden=8), Pyramid(3, **SMALL, hidden=8), AffineNet(2, **SMALL, structures=8),
            AffineNet(3, **SMALL, structures=8, rigid=True), Pyramid(2, **SMALL, hidden=8, looks=(1, 3))]
SIZES = {2: [(16, 16), (13, 21), (1, 5)], 3: [(8, 8, 8), (9, 5, 11)]}


def pair(architecture, shape, batch=2):
    return torch.rand(2, batch, architecture.in_channels, *shape).unbind()


def awake(architecture):
    """A network that moves things: its last layers are no longer almost nothing."""
    module = build(architecture)
    for name, value in module.named_parameters():
        if ("head" in name and not isinstance(architecture, AffineNet)) or "scale" in name:
            torch.nn.init.normal_(value, std=0.3)
    return module.eval()


@pytest.mark.parametrize("architecture", NETWORKS, ids=str)
def test_any_size(architecture):
    module = build(architecture)
    for shape in SIZES[architecture.dim]:
        fixed, moving = pair(architecture, shape)
        u = module(fixed, moving).displacement()
        assert u.shape == (2, architecture.dim, *shape) and u.isfinite().all()


@pytest.mark.parametrize("architecture", [a for a in NETWORKS if not isinstance(a, AffineNet)], ids=str)
def test_untrained_networks_move_nothing(architecture):
    shape = SIZES[architecture.dim][1]
    assert build(architecture)(*pair(architecture, shape)).displacement().abs().max() < 0.01


@pytest.mark.parametrize("architecture", [NETWORKS[2], NETWORKS[3], NETWORKS[4]], ids=str)
def test_swapping_inverts_exactly(architecture):
    module, (fixed, moving) = awake(architecture), pair(architecture, SIZES[architecture.dim][1])
    there, back = module(fixed, moving), module(moving, fixed)
    assert torch.equal(there.velocity, -back.velocity) and there.velocity.abs().max() > 1e-3
    assert torch.equal(there.inverse().displacement(), back.displacement())


@pytest.mark.parametrize("architecture", NETWORKS, ids=str)
def test_pairs_of_a_batch_are_independent(architecture):
    module, (fixed, moving) = awake(architecture), pair(architecture, SIZES[architecture.dim][1])
    both = module(fixed, moving).displacement()
    alone = module(fixed[1:], moving[1:]).displacement()
    assert torch.allclose(both[1:], alone, atol=NETWORK_BATCH_VOXELS)


def test_every_weight_is_used():
    for architecture in NETWORKS:
        module = awake(architecture)
        smoothness = 0.5 if getattr(architecture, "conditioned", False) else None
        module(*pair(architecture, SIZES[architecture.dim][0]), smoothness).displacement().square().sum().backward()
        idle = [name for name, p in module.named_parameters() if p.grad is None or not p.grad.any()]
        assert not idle, (architecture, idle)


@pytest.mark.parametrize("architecture", NETWORKS, ids=str)
def test_positions_stay_exact_in_few_bits(architecture):
    """Convolutions may be short, positions not: the answer is near the exact one, and is float32."""
    module, images = awake(architecture), pair(architecture, SIZES[architecture.dim][0])
    with torch.no_grad():
        exact = module(*images).displacement()
        with torch.autocast("cpu", torch.bfloat16):
            short = module(*images).displacement()
    assert short.dtype == torch.float32 and (short - exact).norm() < 0.05 * exact.norm() + 0.01 * exact.numel() ** 0.5


def test_seed_decides():
    one, other = (torch.manual_seed(s) and build(NETWORKS[0]) for s in (3, 3))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert count(one) == sum(p.numel() for p in one.parameters())


def test_padding_is_known_to_the_network():
    """Zeros inside an image and the filling outside are not the same."""
    architecture = UNet(2, channels=(4, 6, 8))
    module, image = awake(architecture), torch.zeros(1, 1, 13, 13)
    wider = torch.zeros(1, 1, 16, 16)
    small, large = module(image, image).velocity, module(wider, wider).velocity
    assert not torch.allclose(small, large[..., : small.shape[2], : small.shape[3]], atol=1e-4)


# ---------------------------------------------------------------- pyramid
def test_levels_go_from_coarse_to_fine():
    architecture = NETWORKS[3]
    said = build(architecture)(*pair(architecture, (13, 21)))
    assert [level.stride for level in said.levels] + [said.stride] == [8, 4, 2]
    assert all(level.displacement().shape == (2, 2, 13, 21) for level in said.levels)


def test_features_are_those_of_either_image_alone():
    module, images = build(NETWORKS[4]), torch.rand(2, 1, 9, 10, 11)
    both, alone = module.features(images), module.features(images[1:])
    assert [level.shape[1] for level in both] == list(SMALL["channels"]) and both[0].shape[2:] == (8, 8, 8)
    assert all(torch.allclose(level[1:], one, atol=1e-5) for level, one in zip(both, alone, strict=True))


def test_looking_again_takes_the_same_weights():
    once, thrice = (awake(Pyramid(2, **SMALL, hidden=8, looks=(n,))) for n in (1, 3))
    thrice.load_state_dict(once.state_dict())
    images = pair(once.architecture, (16, 16))
    assert not torch.allclose(once(*images).velocity, thrice(*images).velocity)
    assert count(once) == count(thrice)
    for wrong in ((0,), (1, 0, 1), (1, 0)):
        with pytest.raises(InputError, match="looks"):
            Pyramid(2, **SMALL, looks=wrong)


def test_a_finest_level_that_does_not_look_leaves_the_velocity_of_the_one_above():
    whole, coarser = (awake(Pyramid(3, **SMALL, hidden=8, looks=(n, 2))) for n in (1, 0))
    coarser.load_state_dict(whole.state_dict())
    images = pair(whole.architecture, (9, 5, 11))
    found, left = whole(*images), coarser(*images)
    assert left.stride == 4 and len(left.levels) == 1 and torch.equal(left.velocity, found.levels[-1].velocity)
    assert left.displacement().shape == found.displacement().shape


@pytest.mark.parametrize(("shape", "threads"), [((30, 30, 30), 1), ((56, 56, 56), 2)])
def test_small_images_take_one_thread(shape, threads):
    seen, before = [], torch.get_num_threads()
    module = build(NETWORKS[4])
    module.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    try:
        torch.set_num_threads(2)
        predict(module, *(image[0].numpy() for image in pair(module.architecture, shape)))
        assert seen == [threads] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_correlation_finds_a_shift():
    one = torch.nn.functional.normalize(torch.randn(1, 32, 12, 12), dim=1)
    found = kernels.correlation(one, one.roll((1, -1), (2, 3)), (2, 2))[..., 3:-3, 3:-3]
    assert (found.argmax(1) == 3 * 5 + 1).all()  # offsets of -2 to 2 along each axis: (+1, -1)


def test_smoothness_is_a_choice():
    architecture = NETWORKS[3]
    module, images = awake(architecture), pair(architecture, (16, 16))
    for block in module.modules():
        if isinstance(block, networks.Block) and block.scale is not None:
            torch.nn.init.normal_(block.scale.weight)
    usual, soft = module(*images).velocity, module(*images, 0.1).velocity
    assert torch.equal(usual, module(*images, 1.0).velocity) and not torch.allclose(usual, soft)
    each = module(*images, torch.tensor([1.0, 0.1])).velocity
    assert torch.allclose(each[0], usual[0], atol=1e-5) and torch.allclose(each[1], soft[1], atol=1e-5)


def test_smoothness_nobody_asked_for():
    with pytest.raises(UsageError, match="built without it"):
        build(NETWORKS[0])(*pair(NETWORKS[0], (16, 16)), 0.5)


# ---------------------------------------------------------------- affine
def test_fits_are_exact():
    here = torch.randn(2, 9, 3, dtype=torch.float64)
    weight = torch.rand(2, 9, dtype=torch.float64)
    weight /= weight.sum(1, keepdim=True)
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    turn = turn * torch.linalg.det(turn).sign()
    shift = torch.tensor([3.0, -2, 5], dtype=torch.float64)
    for fit, linear in ((networks.rigid_fit, turn), (networks.affine_fit, turn @ torch.diag(torch.tensor([1.2, 0.8, 1.0]).double()))):
        matrix = fit(here, here @ linear.T + shift, weight)
        assert torch.allclose(matrix[:, :3, :3], linear.expand(2, 3, 3), atol=1e-4)
        assert torch.allclose(matrix[:, :3, 3], shift.expand(2, 3), atol=1e-3)


def test_affine_network_learns_where_things_are():
    def pairs(g):
        """Blobs, and the same scaled and shifted; where corners and middle of the first are in the second."""
        linear = torch.diag_embed(1 + 0.15 * (torch.rand(6, 2, generator=g) - 0.5))
        matrix = networks._homogeneous(linear, 8 * (torch.rand(6, 2, generator=g) - 0.5))
        blobs = torch.nn.functional.avg_pool2d((torch.rand(6, 1, 32, 32, generator=g) > 0.97).float(), 5, 1, 2)
        blobs[..., :6, :], blobs[..., -6:, :], blobs[..., :, :6], blobs[..., :, -6:] = 0, 0, 0, 0
        u = affine_displacement(matrix, (32, 32))
        return warp(blobs, u), blobs, u

    torch.manual_seed(4)
    module = build(AffineNet(2, channels=(8, 12), structures=12, stride=1))
    optimiser, g = torch.optim.Adam(module.parameters(), 3e-3), torch.Generator().manual_seed(1)
    for _ in range(120):  # it begins to see after 40 to 80
        fixed, moving, u = pairs(g)
        optimiser.zero_grad()
        (module(fixed, moving).displacement() - u).square().mean().backward()
        optimiser.step()
    fixed, moving, u = pairs(torch.Generator().manual_seed(2))
    assert (module(fixed, moving).displacement() - u).norm(dim=1).mean() < 0.4 * u.norm(dim=1).mean()


# ---------------------------------------------------------------- others
def test_autoencoder_starts_as_the_identity():
    for dim, shape in ((2, (13, 17)), (3, (5, 9, 7))):
        images = torch.rand(2, 1, *shape)
        assert torch.allclose(build(Autoencoder(dim, channels=(4, 6)))(images), images, atol=0.01)


def test_classifier_answers_once_a_pair():
    module = build(Classifier(3, channels=(4, 6)))
    assert module(torch.rand(5, 1, 9, 9, 9), torch.rand(5, 1, 9, 9, 9)).shape == (5,)


# ---------------------------------------------------------------- architectures
@pytest.mark.parametrize("architecture", [*NETWORKS, Autoencoder(2), Classifier(3)], ids=str)
def test_architectures_survive_json(architecture):
    assert from_dict(json.loads(json.dumps(as_dict(architecture)))) == architecture
    assert isinstance(architecture, REGISTRATION) == (architecture in NETWORKS)


@pytest.mark.parametrize("values", [{}, {"kind": "Transformer"}, {"kind": "UNet", "heads": 3}, {"kind": "UNet", "dim": 4}, [],
                                    {"kind": "UNet", "channels": [10**9]}, {"kind": "UNet", "channels": []}, {"kind": "UNet", "kernel": 2},
                                    {"kind": "UNet", "channels": "16"}, {"kind": "Pyramid", "radius": [99]}, {"kind": ["UNet"]},
                                    {"kind": "UNet", "antisymmetric": 1}, {"kind": "UNet", "dim": True},
                                    {"kind": "AffineNet", "structures": 2}])
def test_nonsense_is_refused(values):
    with pytest.raises(InputError):
        from_dict(values)


@pytest.mark.parametrize(("made", "bias"), [(5, True), (3, True), (3, False)])
def test_small_images_are_convolved_in_halves_or_as_products_and_nothing_changes(made, bias):
    for shape in ((7, 5, 6), (8, 4, 4), (2, 3, 3)):
        ours, theirs = blocks.convolution(3, 4, made, 3, bias), torch.nn.Conv3d(4, made, 3, padding=1, bias=bias)
        theirs.load_state_dict(ours.state_dict())
        images = [torch.rand(1, 4, *shape, generator=torch.Generator().manual_seed(0)).requires_grad_() for _ in range(2)]
        assert blocks._is_neglected(images[0], 3)
        one, other = ours(images[0]), theirs(images[1])
        assert one.shape == other.shape and torch.allclose(one, other, atol=1e-5)
        (one**2).sum().backward(), (other**2).sum().backward()
        assert torch.allclose(images[0].grad, images[1].grad, atol=1e-4)
        assert torch.allclose(ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-3)


def test_features_are_mixed_as_by_a_convolution():
    """Level 0 of a pyramid, with what was found above, against the plain form of what it computes."""
    pyramid = build(Pyramid(3, channels=(4, 6), hidden=5, conditioned=False))
    level, g = pyramid.levels[0], torch.Generator().manual_seed(0)
    known, hidden = torch.randn(2, 4, 6, 8, 4, generator=g), torch.randn(2, 5, 3, 4, 2, generator=g)
    velocity = torch.zeros(1, 3, 3, 4, 2)
    with torch.no_grad():
        found, deep = level(known, velocity, hidden, None)
        near = kernels.correlation(known, known.roll(1, 0), (level.radius,) * 3)
        joined = torch.cat([known, known.roll(1, 0), near, fields.double(hidden)], 1)
        plain = level.block(torch.nn.functional.leaky_relu(level.mix(joined), blocks.SLOPE), None)
        one, other = level.head(plain).split(1)
    assert torch.allclose(deep, plain, atol=1e-5) and torch.allclose(found, (one - other) / 2, atol=1e-8)
