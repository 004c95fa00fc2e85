import numpy as np
import pytest
from filters.inputs import box
from skimage import measure
from spaces import homogeneous, rotation
from tolerances import SHAPE, SHAPE_EXACT

from voxalign import features, phantom
from voxalign.core import Grid, Image, InputError
from voxalign.transforms import Affine


def solids(spacing=1.5, turn=(0, 0, 0), scale=1.0, shift=(0, 0, 0), axes=(1, 1, 1)):
    """The cone of the geometric phantom, moved."""
    matrix = homogeneous(scale * rotation(turn), shift)
    size = np.round(np.array([90, 90, 90]) * scale / spacing).astype(int)
    grid = box((spacing,) * 3, size, axes)
    affine = grid.affine.copy()
    affine[:3, 3] += (matrix @ [0, 0, -45, 1])[:3]
    labels = phantom.shapes(Grid(grid.shape, affine), Affine(np.linalg.inv(matrix)))
    return Image((labels.array == phantom.ShapeLabel.CONE).astype(np.uint8), labels.grid, is_label=True)


def test_hu_moments_equal_scikit_image(rng):
    image = Image.from_array(rng.random((30, 41)) ** 3)
    expected = measure.moments_hu(measure.moments_normalized(measure.moments_central(image.array.astype(float), order=3)))
    assert features.hu_moments(image) == pytest.approx(expected, rel=SHAPE_EXACT)


def test_hu_moments_of_another_grid():
    def letter(grid):
        x, y = np.moveaxis(grid.points(), -1, 0)
        return Image(((np.abs(x) < 4) & (np.abs(y) < 15) | (x > 0) & (x < 14) & (y > 9) & (y < 15)).astype(np.uint8), grid, is_label=True)

    turn = np.eye(3)
    turn[:2, :2] = 1.7 * rotation((0, 0, 40))[:2, :2]
    fine = box((0.25, 0.25), (200, 200))
    one, thick = features.hu_moments(letter(fine)), features.hu_moments(letter(box((0.2, 0.5), (240, 100), (-1, 1))))
    turned = features.hu_moments(Image(letter(fine).array, Grid(fine.shape, turn @ fine.affine), is_label=True))
    assert turned == pytest.approx(one, rel=1e-9, abs=1e-15) and thick[:4] == pytest.approx(one[:4], rel=SHAPE)


@pytest.mark.parametrize("motion", [{"turn": (20, -35, 50)}, {"scale": 1.3}, {"shift": (7, -4, 11)}, {"axes": (-1, 1, -1)},
                                    {"spacing": 2.2}], ids=lambda m: next(iter(m)))
def test_moments_do_not_change(motion):
    one, other = features.moment_invariants(solids()), features.moment_invariants(solids(**motion))
    assert other[:4] == pytest.approx(one[:4], rel=SHAPE) and other[4] == pytest.approx(one[4], rel=7 * SHAPE)  # a small difference of sums


def test_moments_tell_shapes_apart():
    labels = phantom.shapes(box((2, 2, 2), (80, 70, 70)))
    ball, cube = (features.moment_invariants(Image((labels.array == label).astype(np.uint8), labels.grid, is_label=True))
                  for label in (phantom.ShapeLabel.SPHERE, phantom.ShapeLabel.CUBE))
    assert ball[0] == pytest.approx(3 / 5 * (3 / (4 * np.pi)) ** (2 / 3), rel=SHAPE)  # of a ball
    assert cube[0] == pytest.approx(1 / 4, rel=SHAPE)  # of a cube


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 1.5), (1.0, 1.4, 2.5)], ids=["cubic", "thick"])
def test_regions_of_known_size(spacing):
    labels = phantom.shapes(box(spacing, np.round(np.array([160, 130, 140]) / spacing), (-1, 1, 1)))
    found = {region.label: region for region in features.regions(labels)}
    ball, cube = found[phantom.ShapeLabel.SPHERE], found[phantom.ShapeLabel.CUBE]
    assert ball.volume_mm3 == pytest.approx(4 / 3 * np.pi * 25**3, rel=SHAPE)
    assert ball.surface_mm2 == pytest.approx(4 * np.pi * 25**2, rel=SHAPE) and ball.sphericity == pytest.approx(1, abs=SHAPE)
    assert ball.axes_mm == pytest.approx([50, 50, 50], rel=SHAPE) and ball.centroid == pytest.approx([-45, 0, 0], abs=0.3)
    assert cube.surface_mm2 == pytest.approx(6 * 40**2, rel=2 * SHAPE)
    assert cube.sphericity == pytest.approx((np.pi / 6) ** (1 / 3), rel=2 * SHAPE)


def test_regions_equal_scikit_image():
    array = np.zeros((60, 50), np.uint8)
    x, y = np.mgrid[:60, :50]
    array[((x - 28) / 20) ** 2 + ((y - 24) / 8) ** 2 < 1] = 4
    (region,), (expected,) = features.regions(Image.from_array(array, is_label=True)), measure.regionprops(array)
    assert region.label == 4 and region.voxels == expected.area and region.centroid == pytest.approx(expected.centroid)
    assert region.axes_mm == pytest.approx([expected.axis_major_length, expected.axis_minor_length], rel=5e-3)  # its pixels are points
    assert region.surface_mm2 == pytest.approx(expected.perimeter_crofton, rel=SHAPE)


def test_a_voxel_is_a_region():
    array = np.zeros((9, 9, 9), np.uint8)
    array[4, 4, 4] = 1
    (region,) = features.regions(Image(array, box((1, 2, 3), (9, 9, 9)), is_label=True))
    assert region.volume_mm3 == 6 and np.isfinite(region.sphericity) and region.axes_mm[0] > region.axes_mm[2] > 0


def test_misuse():
    flat, solid = Image.from_array(np.zeros((9, 9))), Image.from_array(np.ones((5, 5, 5)))
    with pytest.raises(InputError, match="sum to 0"):
        features.hu_moments(flat)
    with pytest.raises(InputError, match="moment_invariants is for 3-D"):
        features.hu_moments(solid)
    with pytest.raises(InputError, match="hu_moments is for 2-D"):
        features.moment_invariants(flat)
