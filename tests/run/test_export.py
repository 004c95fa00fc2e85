"""``voxalign export``: weights as ONNX."""
import json

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from voxalign import nn
from voxalign.cli.main import main
from voxalign.nn import weights

SMALL = {"dim": 2, "channels": (4, 6)}


@pytest.fixture
def file(tmp_path):
    """Writes the weights of an architecture; their path."""
    def write(architecture):
        weights.save(tmp_path / "net.safetensors", nn.build(architecture), meta={"inputs": nn.Inputs(2.0).as_dict(), "people": 4})
        return str(tmp_path / "net.safetensors")
    return write


def said(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_a_network_of_any_size(file, tmp_path, capsys):
    assert main(["export", file(nn.UNet(**SMALL)), "-o", str(tmp_path / "net.onnx"), "--json"]) == 0
    record = said(capsys)
    assert record.pop("difference") < 1e-3
    assert record == {"file": "net.onnx", "network": "UNet", "inputs": ["fixed", "moving"], "output": "velocity", "shape": "any"}


def test_other_programs_learn_how_images_must_come_and_not_who_was_trained_on(file, tmp_path):
    import onnx

    assert main(["export", file(nn.Autoencoder(**SMALL)), "-o", str(tmp_path / "net.onnx")]) == 0
    meta = json.loads({p.key: p.value for p in onnx.load(tmp_path / "net.onnx").metadata_props}["voxalign"])
    assert meta["inputs"]["spacing"] == 2.0 and "people" not in meta and len(meta["weights_sha256"]) == 64


def test_a_pyramid_needs_a_shape(file, tmp_path, capsys):
    command = ["export", file(nn.Pyramid(**SMALL, hidden=4)), "-o", str(tmp_path / "net.onnx"), "--json"]
    assert main(command) == 2 and "give --shape, such as 96x96" in said(capsys)["error"]["message"]
    assert main([*command, "--shape", "12x10"]) == 0 and said(capsys)["shape"] == [12, 10]


@pytest.mark.parametrize("shape, code", [("12", 3), ("12x10x8", 3), ("0x10", 3), ("12xten", 2)])
def test_shapes_that_cannot_be(file, tmp_path, shape, code):
    assert main(["export", file(nn.UNet(**SMALL)), "-o", str(tmp_path / "net.onnx"), "--shape", shape]) == code
    assert not (tmp_path / "net.onnx").exists()


def test_what_is_refused(file, tmp_path, capsys):
    out = tmp_path / "net.onnx"
    assert main(["export", file(nn.AffineNet(**SMALL)), "-o", str(out)]) == 2
    (tmp_path / "bad.pt").write_bytes(b"PK\x03\x04")
    assert main(["export", str(tmp_path / "bad.pt"), "-o", str(out)]) == 6
    assert main(["export", file(nn.UNet(**SMALL)), "-o", str(tmp_path / "net.safetensors"), "--overwrite"]) == 3
    out.write_text("mine")
    assert main(["export", file(nn.UNet(**SMALL)), "-o", str(out)]) == 3 and out.read_text() == "mine"
