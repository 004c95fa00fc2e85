"""What filters and features refuse, and what they take in their stride: constant images, NaN, labels, channels."""
import inspect

import numpy as np
import pytest
from filters.inputs import FLAT, blob, noisy

from voxalign import features, filters
from voxalign.core import Image, InputError, Points, UsageError

GIVEN = {"like": blob(FLAT), "centre": 50.0, "width": 100.0, "low": 20.0, "seeds": Points([[3.0, -2.0]]), "tolerance": 40.0, "radius": 3.0,
         "spacing": 2.0, "margin": 3.0, "name": "brain"}
LABELS = {"connected_components", "largest_component", "erode", "dilate", "opening", "closing", "fill_holes"}
GEOMETRY = {"resample_to", "crop", "crop_to_foreground", "pad", "reorient"}
CONSTANT = {"gaussian", "scale_space", "median", "sharpen", "ct_window", "ct_preset", "threshold", "region_growing", "gabor",
            "wavelet_energy", "gradient_magnitude"}
FUNCTIONS = filters.FILTERS | features.FEATURES
IMAGES = {name: f for name, f in FUNCTIONS.items() if name not in LABELS | GEOMETRY}


def call(function, image):
    """With what it cannot do without."""
    needed = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    values = GIVEN | ({"low": (-9.0, -9.0), "high": (9.0, 9.0)} if function is filters.crop else {})
    more = {"low": 20.0} if function is filters.threshold else {"axes": "RA"} if function is filters.reorient else {}
    more |= {"levels": 2, "iterations": 5, "spacing": 2.0} if function is filters.correct_bias else {}
    return function(image, **{name: values[name] for name in needed}, **more)


def test_registries_say_all():
    for name, function in FUNCTIONS.items():
        first, *rest = inspect.signature(function).parameters.values()
        assert function.__name__ == name and function.__doc__ and all(p.kind is p.KEYWORD_ONLY for p in rest)
        assert first.name == ("labels" if name in LABELS else "image")


@pytest.mark.parametrize("name", IMAGES)
def test_labels_are_refused(name):
    with pytest.raises(InputError, match=f"{'ct_window' if name == 'ct_preset' else name}.*label map"):
        call(IMAGES[name], Image(np.ones(FLAT.shape, np.uint8), FLAT, is_label=True))


@pytest.mark.parametrize("name", sorted(LABELS))
def test_intensities_are_refused(name):
    with pytest.raises(InputError, match=f"{name}.*expected a label map"):
        call(FUNCTIONS[name], blob(FLAT))


@pytest.mark.parametrize("name", IMAGES)
def test_constant_images(name):
    image = Image(np.full(FLAT.shape, 7.0), FLAT)
    if name in CONSTANT:
        assert np.isfinite(call(IMAGES[name], image).data).all()
    else:
        with pytest.raises(InputError, match="every voxel is 7"):
            call(IMAGES[name], image)


@pytest.mark.parametrize("name", IMAGES)
def test_nothing_that_counts(name):
    with pytest.raises(InputError, match="no voxel counts"):
        call(IMAGES[name], Image(np.full(FLAT.shape, np.nan), FLAT))


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - LABELS - {"brain_mask"}))
def test_nan_islands_stay_masked_and_do_no_harm(name):
    values = noisy(FLAT).array + 30
    values[5:8, 30:35], values[40, 20] = np.nan, np.inf
    found = call(FUNCTIONS[name], Image(values, FLAT))
    assert found.mask is not None and np.isfinite(found.data).all()
    assert 0.5 < found.mask.mean() < 1 or name in ("crop", "crop_to_foreground", "resample_to")
    if name not in GEOMETRY:
        assert (~found.mask).sum() == 16


@pytest.mark.parametrize("name", sorted(GEOMETRY))
def test_geometry_takes_labels(name):
    labels = filters.otsu(blob(FLAT))
    found = call(FUNCTIONS[name], labels)
    assert found.is_label and found.data.dtype == labels.data.dtype and set(np.unique(found.array)) <= {0, 1}


def test_lengths_and_numbers_are_checked():
    for wrong in (-1.0, (1.0, 2.0, 3.0), float("nan")):
        with pytest.raises(UsageError, match="sigma is"):
            filters.gaussian(blob(FLAT), sigma=wrong)
    with pytest.raises(UsageError, match="gamma is"):
        filters.gamma(blob(FLAT), gamma=float("inf"))
    with pytest.raises(UsageError, match="classes is"):
        filters.multi_otsu(blob(FLAT), classes=1)
