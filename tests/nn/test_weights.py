import json
import pickle

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from voxalign.core import InputError, SecurityError
from voxalign.nn import Pyramid, UNet, build, weights

SMALL = UNet(2, channels=(4, 6))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "net.safetensors"
    weights.save(path, build(SMALL), meta={"dice": 0.8})
    return path


def parts(path):
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def test_there_and_back(tmp_path):
    for architecture in (SMALL, Pyramid(3, channels=(4, 6), hidden=4)):
        module, path = build(architecture), tmp_path / "net.safetensors"
        weights.save(path, module, meta={"dice": 0.8})
        again, meta = weights.load(path)
        assert again.architecture == architecture and meta == {"dice": 0.8} and not again.training
        assert all(torch.equal(a, b) for a, b in zip(module.state_dict().values(), again.state_dict().values(), strict=True))


def test_the_same_weights_make_the_same_file(saved, tmp_path):
    module, meta = weights.load(saved)
    weights.save(tmp_path / "again", module, meta=meta)
    assert parts(tmp_path / "again")[1] == parts(saved)[1]
    assert weights.digest(module.state_dict()) == parts(saved)[1]["sha256"]


def test_a_failed_write_leaves_nothing(tmp_path):
    module = build(SMALL)
    with pytest.raises(TypeError):
        weights.save(tmp_path / "net.safetensors", module, meta={"not": object()})
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        weights.save(tmp_path / "folder", module)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("write", [lambda p: torch.save(build(SMALL).state_dict(), p),
                                   lambda p: torch.save({"a": 1}, p, _use_new_zipfile_serialization=False),
                                   lambda p: p.write_bytes(pickle.dumps({"a": 1}))])
def test_pickles_are_never_opened(tmp_path, write):
    write(tmp_path / "net.pt")
    with pytest.raises(SecurityError, match="pickle"):
        weights.load(tmp_path / "net.pt")


def test_a_length_that_looks_like_a_pickle(tmp_path):
    path, module, short = tmp_path / "net.safetensors", build(SMALL), 0
    weights.save(path, module, meta={"note": ""})
    while int.from_bytes(path.read_bytes()[:2], "little") & 255 != 0x80:
        short += 1
        weights.save(path, module, meta={"note": " " * short})
    length = int.from_bytes(path.read_bytes()[:8], "little")
    weights.save(path, module, meta={"note": " " * (short + (0x480 - length) % 0x10000)})
    assert path.read_bytes().startswith(b"\x80\x04") and weights.load(path)[0].architecture == SMALL


def test_damage_is_noticed_wherever_it_is(saved):
    whole = saved.read_bytes()
    for at in (0, 5, 9, 60, len(whole) // 2, len(whole) - 3):
        saved.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1:])
        with pytest.raises((InputError, SecurityError)):
            weights.load(saved)
    for end in (0, 7, 100, len(whole) - 1):
        saved.write_bytes(whole[:end])
        with pytest.raises(InputError):
            weights.load(saved)


@pytest.mark.parametrize("change", [
    lambda t, h: ({}, h), lambda t, h: (t | {"more": torch.ones(1)}, h), lambda t, h: (t, {}),
    lambda t, h: (t, h | {"architecture": "{}"}), lambda t, h: (t, h | {"architecture": "[" * 100_000}),
    lambda t, h: (t, h | {"architecture": json.dumps({"kind": "UNet", "dim": 2, "channels": [1024] * 8})}),
    lambda t, h: (t, h | {"meta": "no json"}), lambda t, h: ({k: v * float("nan") for k, v in t.items()}, h),
    lambda t, h: ({k: v.int() for k, v in t.items()}, h)])
def test_foreign_files_are_refused_even_with_a_right_hash(saved, change):
    tensors, header = change(*parts(saved))
    if "sha256" in header:
        header = header | {"sha256": weights.digest(tensors)}
    save_file(tensors, saved, header)
    with pytest.raises(InputError) as caught:
        weights.load(saved)
    assert "\n" not in str(caught.value) and str(saved.parent) not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"net\.safetensors: cannot read"):
        weights.load(tmp_path / "net.safetensors")
