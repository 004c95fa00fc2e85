from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from voxalign import io
from voxalign.core import Grid, Image, InputError
from voxalign.io.sequence import open_series, plane, writing


@pytest.fixture
def frames(rng):
    affine = np.array([[-2.0, 0, 0, 9], [0, 2, 0.3, -5], [0, -0.4, 3, 7], [0, 0, 0, 1]])
    return [Image.from_array(rng.standard_normal((6, 5, 4)).astype(np.float32), affine) for _ in range(5)]


def written(frames, path, seconds=1.5):
    with writing(path, len(frames), seconds) as append:
        for frame in frames:
            append(frame)
    return path


@pytest.mark.filterwarnings("ignore::voxalign.InputWarning")
@pytest.mark.parametrize("name", ["s.nii", "s.nii.gz"])
def test_nibabel_reads_what_is_written(frames, tmp_path, name):
    found = nib.load(written(frames, tmp_path / name))
    assert found.shape == (6, 5, 4, 5) and found.header.get_zooms()[3] == 1.5 and found.header.get_xyzt_units() == ("mm", "sec")
    assert np.array_equal(np.asarray(found.dataobj), np.stack([f.array for f in frames], -1))
    assert np.allclose(found.affine, frames[0].grid.affine, atol=1e-6)


@pytest.mark.filterwarnings("ignore::voxalign.InputWarning")
@pytest.mark.parametrize("name", ["s.nii", "s.nii.gz"])
def test_frames_come_back_one_by_one(frames, tmp_path, name):
    series = open_series([written(frames, tmp_path / name)])
    assert len(series) == 5 and series.seconds == 1.5
    assert all(np.array_equal(a.data, b.data) for a, b in zip(series, frames, strict=True))
    assert np.array_equal(series.frame(3).data, frames[3].data)


def test_scaled_integers_of_other_programs(tmp_path, rng):
    data = rng.integers(0, 1000, (4, 5, 6, 3)).astype(np.int16)
    image = nib.Nifti1Image(data, np.eye(4))
    image.header.set_slope_inter(0.5, 3)
    image.header.set_xyzt_units("mm", "msec")
    image.header.set_zooms((1, 1, 1, 2000))
    nib.save(image, tmp_path / "a.nii.gz")
    series = open_series([tmp_path / "a.nii.gz"])
    assert series.seconds == pytest.approx(2)
    expected = nib.load(tmp_path / "a.nii.gz").get_fdata()
    assert np.allclose(np.stack([f.array for f in series], -1), expected, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::voxalign.InputWarning")
def test_several_files_are_a_sequence(frames, tmp_path):
    paths = [tmp_path / f"{k}.nii.gz" for k in range(3)]
    for frame, path in zip(frames, paths, strict=False):
        io.save(frame, path)
    series = open_series(paths)
    assert len(series) == 3 and np.array_equal(series.frame(2).data, frames[2].data)
    with pytest.raises(InputError, match="expected 0 to 2"):
        series.frame(3)


@pytest.mark.filterwarnings("ignore::voxalign.InputWarning")
@pytest.mark.parametrize("across", [0, 1, 2])
def test_one_slice_is_a_plane(across, tmp_path, rng):
    shape = tuple(np.insert([6, 5], across, 1))
    grid = Grid(shape, np.array([[-2.0, 0, 0, 9], [0, 3, 0, -7], [0, 0, 4, 5], [0, 0, 0, 1]]))
    images = [Image(rng.random((1, *shape), np.float32), grid) for _ in range(2)]
    with writing(tmp_path / "cine.nii", 2, 0.1) as append:
        for image in images:
            append(image)
    series = replace(open_series([tmp_path / "cine.nii"]), flat=True)
    assert series.grid.shape == (6, 5) and np.allclose(series.grid.spacing, np.delete([2, 3, 4], across))
    assert np.array_equal(series.frame(1).array, images[1].array.squeeze()) and series.frame(1).grid == series.grid
    if across == 2:
        assert np.allclose(series.grid.affine, [[-2, 0, 9], [0, 3, -7], [0, 0, 1]])
    whole = Image.from_array(np.zeros((2, 3, 4)))
    assert plane(whole) is whole and plane(series.frame(0)).dim == 2


@pytest.mark.filterwarnings("ignore::voxalign.InputWarning")
def test_refusals(frames, tmp_path):
    with pytest.raises(InputError, match="announced"), writing(tmp_path / "a.nii.gz", 2) as append:
        append(frames[0])
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="one grid"), writing(tmp_path / "a.nii.gz", 2) as append:
        append(frames[0])
        append(Image.from_array(frames[0].array))
    with pytest.raises(InputError, match="nii"), writing(tmp_path / "a.mha", 2):
        pass
    path = written(frames, tmp_path / "b.nii.gz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="copy it again"):
        list(open_series([path]))
