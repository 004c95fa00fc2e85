import numpy as np
import pytest
from pairs import blobs

from voxalign import io
from voxalign.core import Compose, Image, InputError, InputWarning, Points, UsageError, resample
from voxalign.io.sequence import open_series, writing
from voxalign.run.apply import Application, apply_files, convert, invert, join, transform_info
from voxalign.transforms import Affine, Translation

SHIFT = Translation.from_params([2.0, -4, 6], centre=np.zeros(3))
TURN = Affine(np.array([[0, -1.2, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1.0]]))
POINTS = np.array([[1.0, 2, 3], [-4, 5, 6]])


@pytest.fixture
def files(tmp_path):
    io.save(blobs(), tmp_path / "fixed.nii.gz")
    io.save(blobs((2, -4, 6)), tmp_path / "moving.nii.gz")
    io.save(blobs((2, -4, 6), is_label=True), tmp_path / "labels.nii.gz")
    io.save_points(Points(POINTS, ("a", "b")), tmp_path / "points.csv")
    io.save_transform(SHIFT, tmp_path / "shift.tfm")
    io.save_transform(TURN, tmp_path / "turn.mat")
    return tmp_path


def test_images(files):
    out = apply_files(Application(files / "moving.nii.gz", (files / "shift.tfm",), files / "out.nii.gz", files / "fixed.nii.gz"))
    inner = (slice(4, -4),) * 3
    assert np.abs(io.load(out).array - blobs().array)[inner].max() < 1e-2


@pytest.mark.parametrize("interpolation", [None, "label", "nearest"])
def test_labels_are_never_blended(files, interpolation, recwarn):
    job = Application(files / "labels.nii.gz", (files / "shift.tfm",), files / "out.nii.gz", files / "fixed.nii.gz", interpolation)
    out = apply_files(job)
    moved = io.load(out, is_label=True)
    assert set(np.unique(moved.array)) == {0, 1, 2, 3}
    assert (moved.array == blobs(is_label=True).array).mean() > 0.99


def test_blending_labels_on_request_is_said(files):
    with pytest.warns(InputWarning, match="label map"):
        apply_files(Application(files / "labels.nii.gz", (files / "shift.tfm",), files / "out.nii.gz", files / "fixed.nii.gz", "linear"))


def test_several_transforms_go_in_the_order_of_ants(files):
    out = apply_files(Application(files / "points.csv", (files / "shift.tfm", files / "turn.mat"), files / "out.csv"))
    points = io.load_points(out)
    assert points.names == ("a", "b")
    assert np.allclose(points.coordinates, TURN(SHIFT(POINTS)), atol=1e-4)
    assert not np.allclose(points.coordinates, SHIFT(TURN(POINTS)), atol=0.1)


def test_compose_is_the_same_chain(files):
    out = join([files / "shift.tfm", files / "turn.mat"], files / "both.h5")
    assert np.allclose(io.load_transform(out)(POINTS), Compose((SHIFT, TURN))(POINTS), atol=1e-4)


def test_invert_and_convert(files):
    assert np.allclose(io.load_transform(invert(files / "turn.mat", files / "back.h5"))(TURN(POINTS)), POINTS, atol=1e-4)
    field = convert(files / "turn.mat", files / "field.nii.gz", files / "fixed.nii.gz")
    assert np.allclose(io.load_transform(field)(POINTS), TURN(POINTS), atol=1e-4)


def test_refused(files):
    with pytest.raises(UsageError, match="needs -r"):
        apply_files(Application(files / "moving.nii.gz", (files / "shift.tfm",), files / "out.nii.gz"))
    with pytest.raises(InputError, match="--reference"):
        convert(files / "turn.mat", files / "field.nii.gz")
    with pytest.raises(InputError, match="also an input"):
        convert(files / "turn.mat", files / "turn.mat", overwrite=True)
    with pytest.raises(InputError, match="exists"):
        convert(files / "turn.mat", files / "shift.tfm")


def test_info(files):
    info = transform_info(files / "turn.mat")
    assert info["dimension"] == 3 and np.allclose(info["parts"][0]["matrix"], TURN.matrix, atol=1e-6)
    field = transform_info(convert(files / "turn.mat", files / "field.nii.gz", files / "fixed.nii.gz"))
    assert field["parts"][-1]["kind"] == "displacement" and field["parts"][-1]["max_mm"] > 0


@pytest.mark.filterwarnings("ignore::voxalign.InputWarning")
def test_all_frames_of_a_sequence_go_along_one_transform_or_one_each(tmp_path, rng):
    frames = [Image.from_array(rng.random((9, 8, 7)).astype(np.float32)) for _ in range(3)]
    shifts = [Translation.from_params([k, 0.5, 0], np.zeros(3)) for k in range(3)]
    with writing(tmp_path / "moving.nii.gz", 3, 2.0) as append:
        for frame in frames:
            append(frame)
    (tmp_path / "each").mkdir()
    for k, shift in enumerate(shifts):
        io.save_transform(shift, tmp_path / "each" / f"{k:04d}.h5")
    for given, expected in ((tmp_path / "each", shifts), (tmp_path / "each" / "0001.h5", [shifts[1]] * 3)):
        job = Application(tmp_path / "moving.nii.gz", (given,), tmp_path / "out.nii.gz", tmp_path / "moving.nii.gz", overwrite=True)
        out = apply_files(job)
        found = open_series([out])
        assert len(found) == 3 and found.seconds == 2
        for frame, moved, shift in zip(frames, found, expected, strict=True):
            assert np.allclose(moved.data, resample(frame, found.grid, shift).data, atol=1e-6)
    (tmp_path / "each" / "0002.h5").unlink()
    with pytest.raises(InputError, match="one for each frame"):
        apply_files(Application(tmp_path / "moving.nii.gz", (tmp_path / "each",), tmp_path / "o.nii.gz", tmp_path / "moving.nii.gz"))
    io.save(frames[0], tmp_path / "one.nii.gz")
    with pytest.raises(InputError, match="several frames"):
        apply_files(Application(tmp_path / "one.nii.gz", (tmp_path / "each",), tmp_path / "o.nii.gz", tmp_path / "moving.nii.gz"))
