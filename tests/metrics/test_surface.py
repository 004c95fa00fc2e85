import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tolerances as tol
from scipy import ndimage
from spaces import GRIDS, ORTHOGONAL, homogeneous, itk_image

from voxalign.core import Grid, Image, InputError, resample
from voxalign.metrics import hd95_mm, mean_surface_distance_mm, surface_distances_mm


def _ball(grid: Grid, centre, radius: float) -> np.ndarray:
    return np.linalg.norm(grid.points() - centre, axis=-1) <= radius


def _pair(grid: Grid) -> tuple[Image, Image]:
    """Two labels, moved apart a little."""
    maps = []
    for shift in (0.0, 1.7):
        array = np.zeros(grid.shape, np.int16)
        array[_ball(grid, grid.centre + shift, 6.5)] = 4
        array[_ball(grid, grid.centre - shift, 3.5)] = 9
        maps.append(Image(array, grid, is_label=True))
    return maps[0], maps[1]


def _by_distance_map(a: np.ndarray, b: np.ndarray, spacing) -> tuple[np.ndarray, np.ndarray]:
    """The same by distance transforms of the whole grid: an independent way where the axes are at right angles."""
    edges = [m & ~ndimage.binary_erosion(m) for m in (a, b)]
    maps = [ndimage.distance_transform_edt(~e, sampling=spacing) for e in edges]
    return maps[1][edges[0]], maps[0][edges[1]]


@pytest.mark.parametrize("name", ORTHOGONAL)
def test_equals_distance_maps(name):
    a, b = _pair(GRIDS[name])
    for label, pair in surface_distances_mm(a, b).items():
        want = _by_distance_map(a.array == label, b.array == label, a.grid.spacing)
        for got, expected in zip(pair, want, strict=True):
            assert np.allclose(np.sort(got), np.sort(expected), rtol=0, atol=tol.SURFACE_MM)
        assert hd95_mm(a, b)[label] == pytest.approx(max(np.percentile(d, 95) for d in want), abs=tol.SURFACE_MM)
        assert mean_surface_distance_mm(a, b)[label] == pytest.approx(np.concatenate(want).mean(), abs=tol.SURFACE_MM)


def test_the_largest_distance_equals_simpleitk():
    """The Hausdorff distance itself; SimpleITK measures from whole objects, which has the same maximum for convex shapes."""
    grid = GRIDS["oblique"]
    a, b = _pair(grid)
    for label, pair in surface_distances_mm(a, b).items():
        theirs = sitk.HausdorffDistanceImageFilter()
        theirs.Execute(*[itk_image((i.array == label).astype(np.uint8), grid) for i in (a, b)])
        assert max(d.max() for d in pair) == pytest.approx(theirs.GetHausdorffDistance(), abs=1e-4)


def test_sheared_grids_are_measured_in_the_world():
    square = Grid((30, 30), np.eye(3))
    sheared = Grid((30, 30), homogeneous(np.array([[1.0, 0.5], [0, 1]]), (0, 0)))
    a, b = np.zeros((30, 30), int), np.zeros((30, 30), int)
    a[5, 5], b[8, 9] = 1, 1
    for grid, want in ((square, np.hypot(3, 4)), (sheared, np.hypot(3 + 2, 4))):
        assert hd95_mm(Image(a, grid, is_label=True), Image(b, grid, is_label=True)) == {1: pytest.approx(want)}


def test_anisotropic_voxels_count_in_mm():
    grid = Grid((9, 9, 9), np.diag([0.15, 1.0, 5.0, 1]))
    a, b = np.zeros(grid.shape, int), np.zeros(grid.shape, int)
    a[2:5, 2:5, 2:5], b[2:5, 2:5, 3:6] = 1, 1
    assert hd95_mm(Image(a, grid, is_label=True), Image(b, grid, is_label=True))[1] == pytest.approx(5.0)


def test_same_maps_are_at_no_distance(grid):
    a, _ = _pair(grid)
    assert set(hd95_mm(a, a).values()) == {0.0} == set(mean_surface_distance_mm(a, a).values())


def test_both_directions_count(grid):
    a, b = _pair(grid)
    assert hd95_mm(a, b) == pytest.approx(hd95_mm(b, a))


def test_labels_at_the_edge_of_the_grid_end_there():
    grid = Grid((6, 6), np.eye(3))
    a, b = np.ones((6, 6), int), np.ones((6, 6), int)
    b[:, 4:] = 0
    pair = surface_distances_mm(Image(a, grid, is_label=True), Image(b, grid, is_label=True))[1]
    assert len(pair[0]) == 20 and len(pair[1]) == 16 and pair[0].max() == 2


def test_missing_labels_have_no_distance():
    a, b = _pair(GRIDS["RAS"])
    only = Image(np.where(a.array == 4, 4, 0), a.grid, is_label=True)
    assert np.isnan(hd95_mm(a, only)[9]) and np.isnan(mean_surface_distance_mm(a, only)[9])
    assert np.isnan(hd95_mm(a, b, [77])[77]) and hd95_mm(a, b, []) == {}
    assert list(hd95_mm(a, b, [9])) == [9]


def test_refused():
    a, b = _pair(GRIDS["RAS"])
    with pytest.raises(InputError, match="two grids"):
        hd95_mm(a, Image(np.zeros(GRIDS["LAS"].shape, int), GRIDS["LAS"], is_label=True))
    with pytest.raises(InputError, match="is_label"):
        hd95_mm(a, Image(b.array, b.grid))


def test_real_labels_equal_distance_maps(data):
    files = sorted((data / "hippocampus" / "labels").glob("*.nii.gz"))[:2]
    images = [nib.load(f) for f in files]
    a, b = (Image(np.asarray(i.dataobj), Grid(i.shape, i.affine), is_label=True) for i in images)
    b = resample(b, a.grid, interpolation="nearest")
    distances = surface_distances_mm(a, b)
    assert sorted(distances) == [1, 2]
    for label, pair in distances.items():
        want = _by_distance_map(a.array == label, b.array == label, a.grid.spacing)
        assert all(np.allclose(np.sort(g), np.sort(w), rtol=0, atol=tol.SURFACE_MM) for g, w in zip(pair, want, strict=True))


def test_labels_of_any_number_are_found():
    a, b = _pair(GRIDS["RAS"])
    want = hd95_mm(a, b)
    for number in (-7, 1 << 25):
        renamed = [Image(np.where(i.array == 9, number, i.array.astype(np.int32)), i.grid, is_label=True) for i in (a, b)]
        assert hd95_mm(*renamed) == {4: want[4], number: want[9]}
    assert hd95_mm(a, b, [-1, 4])[4] == want[4] and np.isnan(hd95_mm(a, b, [-1, 4])[-1])
