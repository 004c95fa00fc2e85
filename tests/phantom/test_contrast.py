import numpy as np
import pytest
from scipy import ndimage
from tolerances import PHANTOM_MEAN

from voxalign import phantom
from voxalign.core import Grid, UsageError
from voxalign.phantom import Appearance, HeadLabel

IDEAL = Appearance(noise=0.0, bias=0.0, texture=0.0)


@pytest.fixture(scope="module")
def labels():
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-80, -90, -20)
    return phantom.head(Grid((80, 90, 40), affine), 1)


def inside(labels, *names):
    return ndimage.binary_erosion(np.isin(labels.array, names), iterations=2)


@pytest.mark.parametrize("modality", phantom.MODALITIES)
def test_same_seed_same_image(labels, modality):
    first, again, other = (phantom.contrast(labels, modality, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.array, again.array)
    assert not np.array_equal(first.array, other.array)
    assert first.array.dtype == np.float32 and first.grid == labels.grid and not first.is_label


@pytest.mark.parametrize("modality", phantom.MODALITIES)
def test_tissues_have_their_contrast(labels, modality):
    image = phantom.contrast(labels, modality, 1).array
    white = inside(labels, HeadLabel.LEFT_WHITE_MATTER, HeadLabel.RIGHT_WHITE_MATTER)
    fluid = inside(labels, HeadLabel.LEFT_LATERAL_VENTRICLE, HeadLabel.CSF)
    brighter = image[white].mean() > image[fluid].mean()
    assert brighter == (modality != "T2")


def test_ideal_image_has_the_values_of_the_tissue(labels):
    white = inside(labels, HeadLabel.LEFT_WHITE_MATTER)
    assert phantom.contrast(labels, "T1", 1, IDEAL).array[white] == pytest.approx(1000, rel=PHANTOM_MEAN)
    assert phantom.contrast(labels, "CT", 1, IDEAL).array[white] == pytest.approx(29, abs=1)
    assert phantom.contrast(labels, "CT", 1, IDEAL).array[0, 0, 0] == pytest.approx(-1000, abs=1)


def test_edges_are_partial_volumes(labels):
    values = phantom.contrast(labels, "T1", 1, IDEAL).array
    assert len(np.unique(np.round(values))) > 500


def test_noise_bias_and_texture_do_what_they_say(labels):
    white = inside(labels, HeadLabel.LEFT_WHITE_MATTER, HeadLabel.RIGHT_WHITE_MATTER)
    spread = {what: phantom.contrast(labels, "T1", 1, appearance).array[white].std() / 1000 for what, appearance in
              {"noise": Appearance(0.05, 0, 0), "bias": Appearance(0, 0.2, 0), "texture": Appearance(0, 0, 0.1)}.items()}
    assert 0.045 < spread["noise"] < 0.055
    assert 0.03 < spread["bias"] < 0.3
    assert 0.03 < spread["texture"] < 0.12


def test_magnitudes_and_counts_are_not_negative(labels):
    for modality in ("T1", "T2", "FLAIR", "PET"):
        assert phantom.contrast(labels, modality, 1).array.min() >= 0


def test_texture_belongs_to_the_body(labels):
    texture = phantom.evaluate(phantom.body_texture(5), labels.grid)
    moved = phantom.evaluate(phantom.body_texture(5), labels.grid.crop((3, 0, 0), (80, 90, 40)))
    assert np.allclose(texture[3:], moved, atol=1e-4)


def test_every_label_is_made_of_something():
    for family in (phantom.HeadLabel, phantom.ThoraxLabel, phantom.LimbLabel, phantom.ShapeLabel):
        for label in family:
            assert phantom.tissue(label)
    assert phantom.tissue(phantom.LimbLabel.TIBIALIS_ANTERIOR) == "muscle"
    assert phantom.tissue(phantom.LimbLabel.FEMUR_MARROW) == "marrow"
    assert phantom.tissue(phantom.ThoraxLabel.LIVER_VESSEL) == "blood"


def test_unknown_modality_is_refused_with_a_hint(labels):
    with pytest.raises(UsageError, match="T1"):
        phantom.contrast(labels, "T11")
