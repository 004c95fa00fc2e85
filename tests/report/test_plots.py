import numpy as np
import pytest
from pairs import blobs

from voxalign import report
from voxalign.core import Grid, Identity, Image, resample
from voxalign.report import Scene, planes, scene
from voxalign.transforms import Displacement, Translation

GRIDS = {
    "RAS": np.diag([2.0, 2, 2, 1]),
    "LPS": np.diag([-2.0, -2, 2, 1]),
    "permuted": np.array([[0, 2.0, 0, 0], [0, 0, -2, 0], [2, 0, 0, 0], [0, 0, 0, 1]]),
    "thick": np.diag([1.0, 2, 6, 1]),
}


@pytest.mark.parametrize("name", GRIDS)
def test_slices_are_as_a_radiologist_expects_them(name):
    """Brightness rises to the patient's left, posterior and inferior: in every view it must rise to the right and downwards."""
    shape = np.array((20, 22, 24))
    affine = GRIDS[name].copy()
    affine[:3, 3] = -affine[:3, :3] @ (shape - 1) / 2
    grid = Grid(tuple(shape), affine)
    image = Image(300 + grid.points() @ [-1.0, -1, -1], grid)
    views = planes.planes(grid, (0, 0, 0))
    assert [view.letters for view in views] == ["RLAP", "RLSI", "APSI"]
    for view in views:
        picture = view.picture(image)
        middle = picture[picture.shape[0] // 4:-picture.shape[0] // 4, picture.shape[1] // 4:-picture.shape[1] // 4]
        assert (np.diff(middle, axis=0) > 0).all() and (np.diff(middle, axis=1) > 0).all()


def test_proportions_are_true():
    grid = Grid((20, 22, 6), np.diag([1.0, 2, 8, 1]))
    axial, coronal, sagittal = planes.planes(grid, grid.centre)
    for view, size in ((axial, (20, 44)), (coronal, (20, 48)), (sagittal, (44, 48))):
        assert np.allclose((view.extent[1], view.extent[2]), size, atol=1)
        assert view.grid.spacing[0] == pytest.approx(view.grid.spacing[1])


def test_two_dimensional_slices_keep_the_look_of_a_photograph():
    grid = Grid((8, 6), np.diag([-1.0, -1, 1]))  # right and down, as pictures are stored in LPS
    data = np.arange(48.0).reshape(8, 6)
    (view,) = planes.planes(grid, grid.centre)
    assert np.allclose(view.picture(Image(data, grid)), data.T, atol=1e-4)


def test_a_difference_is_shown_for_images_of_one_kind_only():
    fixed = blobs()
    other = fixed.with_data(200 - fixed.data)
    assert Scene(fixed, blobs((1, 0, 0)), Identity(3)).alike
    assert not Scene(fixed, other, Identity(3)).alike
    titles = [text.get_text() for text in report.before_and_after(Scene(fixed, other, Identity(3))).axes[0].texts]
    assert "outlines of fixed, after" in titles


def test_centre_is_where_something_is():
    assert np.allclose(scene.centre(blobs()), 0, atol=3)


def test_checkerboard():
    board = scene.checkerboard(np.zeros((80, 40)), np.ones((80, 40)))
    assert board.mean() == 0.5 and board[0, 0] != board[0, 10] != board[0, 20]


@pytest.mark.parametrize("shape", [(28, 30, 26), (40, 44)])
def test_pictures_are_written(tmp_path, shape):
    fixed, moving = blobs(shape=shape), blobs((2, -3, 4), shape=shape)
    shift = Translation.from_params(np.array([2.0, -3, 4])[:len(shape)], centre=np.zeros(len(shape)))
    assert [p.name for p in report.write_pictures(Scene(fixed, moving, shift), tmp_path)] == ["before_after.png"]
    wave = np.stack([2 * np.sin(fixed.grid.points()[..., 0] / 8)] * len(shape))
    paths = report.write_pictures(Scene(fixed, moving, Displacement.from_array(wave, fixed.grid)), tmp_path)
    assert [p.name for p in paths] == ["before_after.png", "deformation.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_folding_is_shown_apart():
    fixed = blobs(shape=(40, 44))
    wave = np.stack([12 * np.sin(fixed.grid.points()[..., 0] / 8), 0 * fixed.array])
    (view,) = planes.planes(fixed.grid, (0, 0))
    shown = scene.log_volume(view, Displacement.from_array(wave, fixed.grid), np.eye(3))
    assert np.ma.getmaskarray(shown).any() and not np.ma.getmaskarray(shown).all()


def test_an_image_with_nothing_in_common_is_drawn_all_the_same(tmp_path):
    far = Translation.from_params([500.0, 0, 0], centre=np.zeros(3))
    report.write_pictures(Scene(blobs(), blobs(), far), tmp_path)


def test_overlay_is_white_where_images_agree():
    uri = report.overlay_uri(blobs(), resample(blobs(), blobs().grid))
    assert uri.startswith("data:image/png;base64,")


def test_beyond_an_image_all_is_as_dark_as_its_darkest():
    grid = Grid((12, 12, 12), np.eye(4))
    view = planes.planes(Grid((24, 24, 24), np.eye(4)), (6.0, 6.0, 6.0))[0]
    tissue = np.full(grid.shape, 40.0)
    tissue[0] = -1000
    assert set(np.unique(view.picture(Image(tissue, grid), interpolation="nearest"))) == {-1000, 40}
    assert view.picture(Image(tissue + 1000, grid), interpolation="nearest").min() == 0
