import numpy as np
import pytest

from voxalign import io
from voxalign.core import Image, InputError, InputWarning, Points, UsageError
from voxalign.features import FEATURES
from voxalign.filters import FILTERS, gaussian, otsu
from voxalign.run.process import OPERATIONS, Processing, Step, catalogue, process, process_file


@pytest.fixture
def image(rng):
    x = np.indices((24, 20, 18)) - np.array([12, 10, 9])[:, None, None, None]
    return Image.from_array(100 * np.exp(-(x**2).sum(0) / 50) + rng.standard_normal((24, 20, 18)))


def test_every_filter_and_feature_is_a_step():
    assert OPERATIONS.items() > (FILTERS | FEATURES).items() and set(catalogue()) == set(OPERATIONS)
    assert catalogue()["gaussian"]["settings"] == "sigma=1.0" and "seeds=..." in catalogue()["region_growing"]["settings"]
    assert all(about["does"].endswith((".", ":")) or about["does"] for about in catalogue().values())


def test_steps_run_in_order(image):
    steps = [Step.parse("gaussian sigma=1.5"), Step("otsu")]
    assert np.array_equal(process(image, steps).data, otsu(gaussian(image, sigma=1.5)).data)


@pytest.mark.parametrize(("text", "settings"), [
    ("gaussian sigma=1,1,2", {"sigma": (1.0, 1.0, 2.0)}),
    ("resample_to spacing=2 interpolation=none", {"spacing": 2.0, "interpolation": None}),
    ("non_local_means rician=yes noise=none", {"rician": True, "noise": None}), ("multi_otsu classes=4", {"classes": 4}),
    ("reorient axes=LPI", {"axes": "LPI"}), ("crop low=-5,-5,-5 high=5,5,5", {"low": (-5.0,) * 3, "high": (5.0,) * 3})])
def test_texts_become_values(text, settings):
    assert Step.parse(text).settings == settings


def test_points_and_images_of_files(image, tmp_path):
    io.save_points(Points([[1.0, 2, 3], [4, 5, 6]]), tmp_path / "seeds.csv")
    io.save(image, tmp_path / "like.nii.gz")
    for seeds in ("1,2,3;4,5,6", str(tmp_path / "seeds.csv")):
        step = Step("region_growing", {"seeds": seeds, "tolerance": 5})
        assert np.array_equal(step.settings["seeds"].coordinates, [[1, 2, 3], [4, 5, 6]])
    assert isinstance(Step.parse(f"match_histogram like={tmp_path / 'like.nii.gz'}").settings["like"], Image)


@pytest.mark.parametrize(("text", "says"), [
    ("gausian", "did you mean 'gaussian'"), ("gaussian sigm=1", "did you mean 'sigma'"),
    ("gaussian sigma=wide", "expected a number or numbers"),
    ("multi_otsu classes=2.5", "whole number"), ("gaussian 1.5", "no setting"), ("threshold low=1 low=2", "twice"), ("", "expected a name"),
    ("region_growing tolerance=4", "needs seeds="), ("non_local_means rician=maybe", "true or false"), ("gaussian 'sigma=1", "quot")])
def test_what_is_wrong_is_said(text, says):
    with pytest.raises(UsageError, match=says):
        Step.parse(text)


def test_labels_are_written_as_labels(image, tmp_path):
    given, out, more = (tmp_path / name for name in ("in.nii.gz", "out.nii.gz", "more.nii.gz"))
    io.save(image, given)
    assert process_file(Processing(given, out, (Step.parse("gaussian sigma=1.5"), Step("otsu")))) == out
    found = io.load(out, is_label=True)
    assert found.data.dtype == np.uint8 and found.grid.is_close(image.grid)
    with pytest.raises(InputError, match="exists"):
        process_file(Processing(given, out, (Step("otsu"),)))
    with pytest.warns(InputWarning, match="label map"):
        process_file(Processing(out, more, (Step.parse("dilate radius=2"),)))
    assert io.load(more, is_label=True).array.sum() > found.array.sum()


def test_label_maps_are_not_smoothed(image, tmp_path):
    io.save(otsu(image), tmp_path / "labels.nii.gz")
    with pytest.warns(InputWarning, match="label map"), pytest.raises(InputError, match="never blended"):
        process_file(Processing(tmp_path / "labels.nii.gz", tmp_path / "out.nii.gz", (Step("gaussian"),)))
    assert not (tmp_path / "out.nii.gz").exists()
    process_file(Processing(tmp_path / "labels.nii.gz", tmp_path / "out.nii.gz", (Step("gaussian"),), kind="image"))


def test_channels_are_written(image, tmp_path):
    io.save(image, tmp_path / "in.nii.gz")
    process_file(Processing(tmp_path / "in.nii.gz", tmp_path / "out.nii.gz", (Step("ngf"),)))
    assert io.load(tmp_path / "out.nii.gz", channel="all").channels == 3


def test_nothing_to_do(image, tmp_path):
    with pytest.raises(UsageError, match="no step"):
        process_file(Processing(tmp_path / "in.nii.gz", tmp_path / "out.nii.gz", ()))


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_images_of_one_value_are_refused_and_labels_of_one_are_not(value, tmp_path):
    given, out = tmp_path / "in.nii.gz", tmp_path / "out.nii.gz"
    io.save(Image.from_array(np.full((6, 6, 6), value)), given)
    with pytest.raises(InputError, match=f"every voxel is {value:g}.*--kind labels"):
        process_file(Processing(given, out, (Step("gaussian"),)))
    assert not out.exists()
    assert process_file(Processing(given, out, (Step.parse("pad margin=1"),), kind="labels")) == out


def test_a_label_map_given_as_an_image_says_how_to_say_so(tmp_path):
    given, out = tmp_path / "in.nii.gz", tmp_path / "out.nii.gz"
    io.save(Image.from_array(np.kron(np.arange(8).reshape(2, 2, 2), np.ones((6, 6, 6)))), given)
    with pytest.warns(InputWarning, match="add --kind image"), pytest.raises(InputError, match="never blended"):
        process_file(Processing(given, out, (Step("gaussian"),)))
