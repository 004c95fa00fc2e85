"""The weights that come with voxalign: whole, small, named in the model card, and better than nothing on images that nobody trained on."""
from pathlib import Path

import numpy as np
import pytest

import voxalign as vx
from voxalign import UsageError, nn, phantom
from voxalign.nn import weights
from voxalign.register import zoo
from voxalign.register.learned import opened

CARD = Path(__file__).parents[2] / "docs" / "reference" / "model-card.md"


def test_weights_are_small_and_the_card_names_their_hash():
    path = zoo.shipped(3)
    network = opened(None, 3, "cpu")
    module, about = weights.load(path)
    assert path.stat().st_size < 16 << 20 and isinstance(module.architecture, nn.Pyramid)
    assert network.familiar is not None and network.inputs.across and about["recipe"]["synthesise"]
    assert weights.digest(module.state_dict()) in CARD.read_text()


def test_no_weights_for_flat_images_says_so():
    with pytest.raises(UsageError, match="no weights for 2-D"):
        zoo.shipped(2)
    pair = phantom.slice_pair(0, spacing=6.0)
    with pytest.raises(UsageError, match="--weights"):
        vx.register(pair.fixed, pair.moving, method="learned")


@pytest.mark.parametrize("contrast", ["T1", "T2"])
def test_prediction_is_better_than_affine_alone(contrast):
    pair = phantom.head_pair(2, spacing=4.0, moving_modality=contrast)
    affine = vx.register(pair.fixed, pair.moving, transform="affine").transform
    result = vx.register(pair.fixed, pair.moving, method="learned", initial=affine)
    errors = [float(phantom.error_mm(t, pair.truth, pair.fixed_labels).mean()) for t in (affine, result.transform)]
    assert errors[1] < errors[0], errors
    assert any("predicted by Pyramid" in note for note in result.registration.notes)


def test_what_is_no_image_is_called_strange():
    noise = np.random.default_rng(0).random((24, 24, 24)).astype(np.float32)
    images = [vx.Image.from_array(noise), vx.Image.from_array(noise[::-1].copy())]
    result = vx.register(*images, method="learned", initial="headers")
    assert any("unlike" in note for note in result.registration.notes)
