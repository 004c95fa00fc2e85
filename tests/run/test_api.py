import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from pairs import QUICK, blobs

import voxalign as vx
from voxalign.core import InputWarning, UsageError


@pytest.fixture(scope="module")
def result() -> vx.Result:
    return vx.register(blobs(), blobs((2, -3, 4)), **QUICK)


def test_result(result):
    assert result.moved.grid == blobs().grid
    points = np.array([[1.0, 2, 3], [-10, 5, 0]])
    assert np.allclose(result.inverse(result.transform(points)), points, atol=1e-6)
    assert set(result.metrics) >= {"folded_percent", "sd_log_jacobian", "inverse_error_mm"}
    assert {"load", "write"}.isdisjoint(result.seconds) and sum(result.seconds.values()) > 0


def test_the_shift_is_found(result):
    assert np.allclose(result.transform([0.0, 0, 0]), [2, -3, 4], atol=0.5)


def test_apply(result):
    labels = result.apply(blobs((2, -3, 4), is_label=True))
    assert labels.is_label and set(np.unique(labels.array)) <= {0, 1, 2, 3}
    points = result.apply(vx.Points(np.zeros((1, 3)), ("origin",)))
    assert points.names == ("origin",) and np.allclose(points.coordinates, result.transform(np.zeros((1, 3))))


def test_repr(result):
    text = repr(result)
    assert "rigid" in text and "28x30x26" in text
    html = result._repr_html_()
    assert html.startswith('<img src="data:image/png;base64,') and "<script" not in html


def test_images_of_other_libraries(tmp_path):
    fixed, moving = blobs(), blobs((2, -3, 4))
    vx.save(moving, tmp_path / "moving.nii.gz")
    mine = vx.register(fixed, moving, **QUICK).transform([1.0, 2, 3])
    path = tmp_path / "moving.nii.gz"
    others = {"nibabel": vx.to_nibabel(moving), "sitk": vx.to_sitk(moving), "path": path, "str": str(path)}
    assert isinstance(others["nibabel"], nibabel.Nifti1Image) and isinstance(others["sitk"], sitk.Image)
    for kind, other in others.items():
        assert np.allclose(vx.register(fixed, other, **QUICK).transform([1.0, 2, 3]), mine, atol=1e-4), kind


def test_arrays():
    result = vx.register(blobs().array, blobs((2, 0, 0)).array, **QUICK)
    assert result.moved.grid.spacing.tolist() == [1, 1, 1]


def test_masks_reach_the_method_and_not_the_result():
    fixed, moving = blobs(), blobs((2, -3, 4))
    seen = (np.linalg.norm(fixed.grid.points(), axis=-1) < 20).astype(np.uint8)
    result = vx.register(fixed, moving, fixed_mask=fixed.with_data(seen), moving_mask=moving.with_data(seen), **QUICK)
    assert result.fixed.mask is None and result.moved.mask is None


def test_starting_from_a_transform_or_its_file(tmp_path):
    start = vx.transforms.Translation.from_params([2.0, -3.0, 4.0], centre=[0, 0, 0])
    vx.save_transform(start, tmp_path / "start.tfm")
    nothing = {**QUICK, "iterations": (0,)}
    nothing.pop("initial")
    for initial in (start, tmp_path / "start.tfm", str(tmp_path / "start.tfm")):
        result = vx.register(blobs(), blobs((2, -3, 4)), initial=initial, **nothing)
        assert np.allclose(result.transform([0.0, 0, 0]), [2, -3, 4], atol=0.1)


def test_settings_and_choices():
    result = vx.register(blobs(), blobs((2, 0, 0)), settings=vx.Settings(**QUICK), seed=7)
    assert result.configuration.settings == vx.Settings(**QUICK, seed=7)
    with pytest.raises(UsageError, match="did you mean 'loss'"):
        vx.register(blobs(), blobs(), lost="mse")


def test_on_step_sees_every_step_and_may_stop():
    steps = []
    vx.register(blobs(), blobs((2, -3, 4)), on_step=steps.append, **QUICK)
    assert steps and all(0 <= step.fraction <= 1 for step in steps)

    def stop(step):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        vx.register(blobs(), blobs((2, -3, 4)), on_step=stop, **QUICK)


def test_adding_warnings_keeps_what_was_worked_out(result):
    verdict, moved = result.verdict, result.moved
    other = result.warned(["odd"])
    assert other.warnings == ("odd",) and other.verdict is verdict and other.moved is moved


def test_warnings_are_given_and_kept():
    labels = vx.Image(blobs(is_label=True).data.astype(np.float32), blobs().grid)
    with pytest.warns(InputWarning, match="label map"):
        result = vx.register(labels, blobs((2, -3, 4)), **QUICK)
    assert len(result.warnings) == 1


def test_two_dimensions():
    result = vx.register(blobs(shape=(40, 44)), blobs((2, -3), shape=(40, 44)), **QUICK)
    assert np.allclose(result.transform([0.0, 0]), [2, -3], atol=0.5)
