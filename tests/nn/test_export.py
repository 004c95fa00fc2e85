import json

import numpy as np
import pytest
import torch

from voxalign import nn
from voxalign.core import InputError, UsageError, VoxalignError
from voxalign.nn import export, memory, predict

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SMALL = {"channels": (4, 6)}
KINDS = [(nn.UNet(2, **SMALL, antisymmetric=True), (13, 18), "velocity"), (nn.UNet(3, **SMALL, stride=1), (7, 9, 6), "velocity"),
         (nn.Pyramid(2, **SMALL, hidden=4), (9, 14), "velocity"), (nn.Pyramid(3, **SMALL, hidden=4, radius=(1,)), (6, 5, 7), "velocity"),
         (nn.Pyramid(3, **SMALL, hidden=8), (8, 9, 8), "velocity"),
         (nn.Recurrent(2, **SMALL, hidden=4, rounds=2), (12, 9), "velocity"), (nn.Autoencoder(3, **SMALL), (5, 8, 9), "denoised"),
         (nn.Translator(2, **SMALL), (9, 8), "translated"), (nn.Classifier(2, **SMALL), (9, 8), "logit"),
         (nn.Critic(2, **SMALL), (9, 8), "logit"), (nn.Critic(2, **SMALL, images=2), (9, 8), "logit")]


def images_of(architecture):
    alone = isinstance(architecture, nn.Autoencoder) or (isinstance(architecture, nn.Critic) and architecture.images == 1)
    return ["image"] if alone else ["fixed", "moving"]


def awake(architecture):
    module = nn.build(architecture).eval()
    for name, value in module.named_parameters():
        if "head" in name:
            torch.nn.init.normal_(value, std=0.3)
    return module


@pytest.mark.parametrize(("architecture", "shape", "answer"), KINDS, ids=lambda v: type(v).__name__)
def test_another_runtime_says_the_same(architecture, shape, answer, tmp_path):
    assert export.export_onnx(awake(architecture), tmp_path / "net.onnx", shape) < 1e-3
    model = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(model)
    assert [i.name for i in model.graph.input] == images_of(architecture) and [o.name for o in model.graph.output] == [answer]
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


ANY_SIZE = [nn.UNet(2, **SMALL), nn.Autoencoder(2, **SMALL), nn.Translator(2, **SMALL), nn.Classifier(2, **SMALL)]


@pytest.mark.parametrize("architecture", ANY_SIZE, ids=lambda v: type(v).__name__)
def test_any_size_afterwards(architecture, tmp_path):
    module = awake(architecture)
    export.export_onnx(module, tmp_path / "net.onnx", (8, 12))
    images = [torch.rand(1, 1, 15, 11) for _ in images_of(architecture)]
    assert export.compared(export._Plain(module), tmp_path / "net.onnx", images) < 1e-3


def test_least_squares_have_no_form(tmp_path):
    with pytest.raises(UsageError, match="least squares"):
        export.export_onnx(awake(nn.AffineNet(2, **SMALL)), tmp_path / "net.onnx", (8, 8))


def test_the_file_says_what_it_is(tmp_path):
    architecture = nn.Pyramid(2, **SMALL, hidden=4)
    export.export_onnx(awake(architecture), tmp_path / "net.onnx", (8, 8), {"inputs": {"spacing": 2.0}})
    said = json.loads({p.key: p.value for p in onnx.load(tmp_path / "net.onnx").metadata_props}["voxalign"])
    assert said["architecture"]["kind"] == "Pyramid" and said["inputs"] == {"spacing": 2.0}


def test_a_shape_of_other_dimensions(tmp_path):
    with pytest.raises(InputError, match="expected 2 numbers"):
        export.export_onnx(awake(KINDS[0][0]), tmp_path / "net.onnx", (8, 8, 8))


def test_a_file_that_says_something_else_is_not_left(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "compared", lambda *_: 0.5)
    with pytest.raises(VoxalignError, match="differs"):
        export.export_onnx(awake(KINDS[0][0]), tmp_path / "net.onnx", (8, 8))
    assert not list(tmp_path.iterdir())


def test_without_onnx(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"voxalign\[onnx\]"):
        export.export_onnx(awake(KINDS[0][0]), tmp_path / "net.onnx", (8, 8))


# ---------------------------------------------------------------- precision and memory
def test_precision_by_device(rng):
    module, images = awake(nn.UNet(2, **SMALL)), rng.random((2, 1, 20, 22), np.float32)
    full, short = (predict.predict(module, *images, precision=p).velocity for p in ("full", "bfloat16"))
    assert not full.requires_grad and full.dtype == short.dtype == torch.float32
    assert 0 < (full - short).abs().max() < 0.05 * full.abs().max()
    assert predict.quickest(torch.device("cuda")) == "half" and predict.quickest(torch.device("cpu")) in ("full", "bfloat16")


def test_forecast_of_a_known_network():
    """One convolution and its activation: two arrays live at once, besides the images joined and padded."""
    architecture = nn.UNet(2, channels=(8,), stride=1)
    weights = 4 * nn.count(nn.build(architecture))
    level, images = 8 * 64 * 64 * 4, 2 * 64 * 64 * 4
    assert weights + images + 2 * level <= memory.memory_forecast(architecture, (64, 64)) <= weights + images + 4 * level


def test_forecast_grows_as_it_should():
    for architecture in (nn.UNet(3, **SMALL), nn.Pyramid(3, **SMALL, hidden=4), nn.AffineNet(3, **SMALL), nn.Autoencoder(3, **SMALL)):
        small, large = (memory.memory_forecast(architecture, (n,) * 3) for n in (16, 32))
        assert 4 < large / small < 9 and memory.memory_forecast(architecture, (16,) * 3, training=True) > small
        assert memory.memory_forecast(architecture, (16,) * 3, batch=4) > 2 * small
