import numpy as np
import pytest
import torch

from voxalign import filters, nn, phantom
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


def test_the_shipped_network_beats_what_needs_no_training():
    """On a head that training never saw, each classical filter at the best of a few settings."""
    labels = phantom.slice_pair(3, 2.0).fixed_labels
    clean = phantom.contrast(labels, "T1", 3, phantom.Appearance(noise=0.0))
    rng, sigma = np.random.default_rng(0), 100.0  # a tenth of white matter
    noise = [sigma * rng.standard_normal(clean.data.shape) for _ in range(2)]
    seen = clean.with_data(np.hypot(clean.data + noise[0], noise[1]).astype(np.float32))

    def error(image):
        return float(np.mean((image.data - clean.data)[:, labels.array > 0] ** 2))

    others = [*(filters.gaussian(seen, sigma=s) for s in (0.8, 1.2, 1.6)), *(filters.median(seen, radius=r) for r in (2.0, 3.0)),
              *(filters.wavelet(seen, noise=n) for n in (100.0, 150.0, 200.0))]
    assert error(denoise.autoencoder(seen)) < 0.8 * min(map(error, others)) < 0.8 * error(seen)


def test_the_network_is_a_step_of_a_pipeline():
    import voxalign as vx

    image = Image.from_array(np.hypot(*np.random.default_rng(0).normal(50, 9, (2, 32, 40))).astype(np.float32))
    run = vx.pipeline({"steps": {"clean": {"do": "autoencoder", "image": "fixed"}}})
    assert run(fixed=image, moving=image)["clean"].data.std() < 0.8 * image.data.std()
