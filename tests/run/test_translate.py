"""A trained translator in a registration and as a step."""
import numpy as np
import pytest
import torch

import voxalign as vx
from voxalign import nn
from voxalign.nn import weights
from voxalign.nn.translate import translate
from voxalign.run.process import Step


@pytest.fixture
def file(tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        weights.save(tmp_path / "t.safetensors", nn.build(nn.Translator(2, channels=(4, 6))), meta={"inputs": {"spacing": 5.0}})
    return str(tmp_path / "t.safetensors")


def test_a_registration_aligns_the_translated_image_and_moves_the_one_it_was_given(file):
    pair = vx.phantom.slice_pair(0, spacing=5.0, moving_modality="T2")
    choices = {"transform": "rigid", "loss": "ncc", "initial": "headers", "device": "cpu", "threads": 1}
    found = vx.register(pair.fixed, pair.moving, translate=file, **choices)
    by_hand = vx.register(pair.fixed, translate(pair.moving, weights=file), **choices)
    plain = vx.register(pair.fixed, pair.moving, **choices)
    points = pair.fixed.grid.corners()
    assert np.array_equal(found.transform(points), by_hand.transform(points))
    assert not np.allclose(found.transform(points), plain.transform(points))
    assert found.moving is pair.moving


def test_a_step_of_process(file):
    image = vx.phantom.slice_pair(0, spacing=5.0).fixed
    assert np.array_equal(Step.parse(f"translate weights={file}")(image).data, translate(image, weights=file).data)
