import numpy as np
import pytest
import torch

from voxalign import nn
from voxalign.core import Grid, Image, InputError
from voxalign.nn import architecture, weights
from voxalign.nn.adversarial import frozen
from voxalign.nn.translate import translate

SMALL = {"channels": (4, 6)}


@pytest.mark.parametrize("kind", [nn.Translator(2, **SMALL), nn.Translator(3, **SMALL), nn.Painter(2, **SMALL, hidden=8, brushes=(4,)),
                                  nn.Critic(3, **SMALL, images=2), nn.Recurrent(2, **SMALL, hidden=8)], ids=str)
def test_files_make_the_same_network_again(kind, tmp_path):
    module = nn.build(kind)
    weights.save(tmp_path / "w.safetensors", module)
    again, _ = weights.load(tmp_path / "w.safetensors")
    assert again.architecture == kind == architecture.from_dict(architecture.as_dict(kind))
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("shape", [(16, 12), (7, 9, 5)], ids=str)
def test_translations_have_the_size_of_the_image(shape):
    images = torch.rand(2, 1, *shape)
    module = nn.build(nn.Translator(len(shape), **SMALL))
    assert module(images).shape == images.shape and torch.allclose(module(images)[1:], module(images[1:]), atol=1e-5)


def test_a_painter_registers_too():
    module, images = nn.build(nn.Painter(2, **SMALL, hidden=8)), torch.rand(1, 1, 13, 10)
    assert module(images, images).displacement().shape == (1, 2, 13, 10) and module.paint(images, images).shape == images.shape


def test_a_critic_judges_patches():
    for count in (1, 2):
        module = nn.build(nn.Critic(2, **SMALL, images=count))
        assert module(*torch.rand(count, 3, 1, 24, 18)).shape == (3, 1, 6, 5)


def test_frozen_weights_pass_gradients_on_and_keep_none():
    module, image = nn.build(nn.Critic(2, **SMALL)), torch.rand(1, 1, 8, 8, requires_grad=True)
    with frozen(module):
        said = module(image).sum()
    said.backward()
    assert image.grad.any() and all(p.grad is None and p.requires_grad for p in module.parameters())


@pytest.fixture
def file(tmp_path):
    weights.save(tmp_path / "t.safetensors", nn.build(nn.Translator(2, **SMALL)), meta={"inputs": {"spacing": 2.0}})
    return str(tmp_path / "t.safetensors")


def picture(**more):
    grid = Grid((30, 24), np.array([[0, 1.5, 4], [-1, 0, 7], [0, 0, 1]]))
    return Image(np.random.default_rng(0).normal(300, 40, grid.shape).astype(np.float32), grid, **more)


def test_translate_keeps_the_grid_and_what_counts(file):
    mask = np.ones((30, 24), bool)
    mask[:5] = False
    out = translate(picture(mask=mask), weights=file)
    assert out.grid == picture().grid and np.array_equal(out.mask, mask) and out.array.std() > 0 and (out.array >= 0).all()


def test_translate_knows_no_units(file):
    scaled = picture().with_data(7 * picture().data - 100)
    assert np.allclose(translate(picture(), weights=file).data, translate(scaled, weights=file).data, atol=1e-4)


@pytest.mark.parametrize("kind", [nn.Autoencoder(2, **SMALL), nn.Translator(3, **SMALL)], ids=str)
def test_translate_refuses_other_networks(kind, tmp_path):
    weights.save(tmp_path / "w.safetensors", nn.build(kind))
    with pytest.raises(InputError, match="expected a 2-D Translator"):
        translate(picture(), weights=str(tmp_path / "w.safetensors"))
