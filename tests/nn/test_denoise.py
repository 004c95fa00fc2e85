import numpy as np
import pytest
import torch

from voxalign import nn
from voxalign.core import Image, InputError, UsageError
from voxalign.nn import denoise, weights


@pytest.fixture(params=[2, 3])
def net(request, tmp_path):
    """A file of random weights that change something."""
    module = nn.build(nn.Autoencoder(request.param, channels=(4, 6)))
    torch.nn.init.normal_(module.head.weight, std=0.3)
    weights.save(tmp_path / "net.safetensors", module)
    return request.param, str(tmp_path / "net.safetensors")


def noisy(dim, **more):
    return Image.from_array(np.random.default_rng(0).normal(100, 20, (37, 41, 23)[:dim]).astype(np.float32), **more)


def test_intensities_keep_their_meaning(net):
    dim, file = net
    one = denoise.autoencoder(noisy(dim), weights=file)
    other = denoise.autoencoder(noisy(dim).with_data(7 * noisy(dim).data - 300), weights=file)
    assert np.allclose(7 * one.data - 300, other.data, atol=0.05) and not np.allclose(one.data, noisy(dim).data, atol=1)


def test_pieces_make_the_whole(net, monkeypatch):
    dim, file = net
    whole = denoise.autoencoder(noisy(dim), weights=file)
    monkeypatch.setattr(denoise, "_TILE", {2: 16, 3: 16})
    assert len(list(denoise.tiles(noisy(dim).grid.shape, 2))) == 3 * 3 * (2 if dim == 3 else 1)
    assert np.allclose(denoise.autoencoder(noisy(dim), weights=file).data, whole.data, atol=1e-3)


def test_what_does_not_count_stays(net):
    dim, file = net
    mask = np.ones(noisy(dim).grid.shape, bool)
    mask[:9] = False
    wild = noisy(dim).data[0].copy()
    wild[:9] = 1e9
    out = denoise.autoencoder(Image.from_array(wild, mask=mask), weights=file)
    assert (out.data[0, :9] == 1e9).all() and np.abs(out.data[0, 9:]).max() < 1e4


def test_a_network_of_another_kind(tmp_path):
    weights.save(tmp_path / "net.safetensors", nn.build(nn.UNet(2, channels=(4,))))
    with pytest.raises(InputError, match="UNet"):
        denoise.autoencoder(noisy(2), weights=str(tmp_path / "net.safetensors"))


def test_no_weights(monkeypatch, tmp_path):
    monkeypatch.setattr(denoise, "SHIPPED", tmp_path)
    with pytest.raises(UsageError, match="weights="):
        denoise.autoencoder(noisy(2))


def test_labels_are_no_images(net):
    with pytest.raises(InputError, match="label map"):
        denoise.autoencoder(Image.from_array(np.ones((4, 5), np.uint8), is_label=True), weights=net[1])
