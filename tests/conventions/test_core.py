"""What voxalign samples is what SimpleITK samples, on every grid ITK can hold; sheared grids are held to SciPy."""
import numpy as np
import pytest
import SimpleITK as sitk
import tolerances as tol
from scipy.ndimage import map_coordinates
from spaces import GRIDS, ORTHOGONAL, Matrix, homogeneous, itk_image, itk_resample, itk_transform, smooth_image, tilt, waves

from voxalign.core import Compose, Grid, Identity, Image, Transform, resample

MAPS = {
    "identity": lambda grid: Identity(grid.dim),
    "affine": lambda grid: tilt(grid.dim),
    "field": lambda grid: waves(grid, 1.5),
    "field then affine": lambda grid: Compose((waves(grid, 1.5), tilt(grid.dim))),
    "affine then field": lambda grid: Compose((tilt(grid.dim), waves(grid, 1.5))),
}


def _decided(image: Image, grid: Grid, transform: Transform, interpolation: str) -> np.ndarray:
    """Where neither the border nor (for nearest) the rounding nor the border of a field is a matter of the last digit."""
    points, near = grid.points(), np.zeros(grid.shape, bool)
    for part in transform.parts():
        if not isinstance(part, np.ndarray):
            near |= _at_border(part.grid, points)
        points = (Matrix(part) if isinstance(part, np.ndarray) else waves_of(part))(points)
    near |= _at_border(image.grid, points)
    if interpolation == "nearest":
        near |= (np.abs((image.grid.index(points) % 1) - 0.5) < tol.KERNEL_TIE).any(-1)
    return ~near


def waves_of(field) -> Transform:
    return type(waves(field.grid))(field)


def _at_border(grid: Grid, points: np.ndarray) -> np.ndarray:
    index = grid.index(points)
    return np.minimum(np.abs(index + 0.5), np.abs(index + 0.5 - grid.shape)).min(-1) < tol.KERNEL_TIE


def _target(image: Grid, name: str) -> Grid:
    """Somewhat larger than the image, so that its border is crossed, turned as another grid is, in step with nothing."""
    other = GRIDS[name]
    scale = 1.2347 * np.max(image.extent) / np.max(other.extent)
    linear = other.affine[:-1, :-1] * scale
    return Grid(other.shape, homogeneous(linear, image.centre + 0.123 - linear @ ((np.array(other.shape) - 1) / 2)))


PAIRS = [("RAS", "LAS"), ("LAS", "LPS"), ("LPS", "oblique"), ("oblique", "oblique"), ("oblique", "left-handed"),
         ("left-handed", "RAS"), ("2-D", "2-D")]


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("moving, fixed", PAIRS)
@pytest.mark.parametrize("interpolation, interpolator", [("linear", sitk.sitkLinear), ("nearest", sitk.sitkNearestNeighbor)])
def test_resampling_equals_simpleitk(moving, fixed, kind, interpolation, interpolator, rng):
    image, grid = smooth_image(GRIDS[moving], rng), _target(GRIDS[moving], fixed)
    transform = MAPS[kind](grid)
    got = resample(image, grid, transform, interpolation).array
    want = itk_resample(image, grid, transform, interpolator)
    decided = _decided(image, grid, transform, interpolation)
    assert decided.mean() > 0.95 and (want == 0).any() and (want != 0).mean() > 0.2
    assert np.abs(got - want)[decided].max() <= tol.RESAMPLED * np.ptp(image.array)


@pytest.mark.parametrize("name", ORTHOGONAL)
def test_cubic_equals_simpleitk_in_the_interior(name, rng):
    grid = GRIDS[name]
    image = smooth_image(grid, rng)
    inner = grid.with_spacing(0.8 * grid.spacing).crop((4,) * grid.dim, tuple(int(n / 0.8) - 4 for n in grid.shape))
    got, want = resample(image, inner, None, "cubic").array, itk_resample(image, inner, Identity(grid.dim), sitk.sitkBSpline)
    assert np.abs(got - want).max() <= tol.RESAMPLED_CUBIC_INTERIOR * np.ptp(image.array)


@pytest.mark.parametrize("name", ORTHOGONAL)
def test_world_points_are_those_of_simpleitk(name):
    grid = GRIDS[name]
    index = np.random.default_rng(1).uniform(-5, 20, (20, grid.dim))
    image = itk_image(np.zeros(grid.shape, np.float32), grid)
    lps = np.array([image.TransformContinuousIndexToPhysicalPoint(i.tolist()) for i in index])
    assert np.allclose(grid.world(index) * [-1, -1, 1][:grid.dim], lps, rtol=0, atol=tol.SAME_PLACE_MM)


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("name", ORTHOGONAL)
def test_points_go_where_simpleitk_sends_them(name, kind):
    grid = GRIDS[name]
    transform, signs = MAPS[kind](grid), np.array([-1, -1, 1][:grid.dim])
    points = grid.world(np.random.default_rng(2).uniform(2, np.array(grid.shape) - 3, (30, grid.dim)))
    other = itk_transform(transform)
    want = np.array([other.TransformPoint((p * signs).tolist()) for p in points]) * signs
    assert np.allclose(transform(points), want, rtol=0, atol=tol.SAME_PLACE_MM)


@pytest.mark.parametrize("kind", ["identity", "affine", "field"])
def test_sheared_grids_agree_with_scipy(kind, rng):
    image, grid = smooth_image(GRIDS["sheared"], rng), _target(GRIDS["sheared"], "oblique")
    transform = MAPS[kind](grid)
    index = image.grid.index(transform(grid.points()))
    want = map_coordinates(image.array.astype(np.float64), np.moveaxis(index, -1, 0), order=1, mode="nearest")
    want[((index < -0.5) | (index > np.array(image.grid.shape) - 0.5)).any(-1)] = 0
    decided = _decided(image, grid, transform, "linear")
    got = resample(image, grid, transform).array
    assert np.abs(got - want)[decided].max() <= tol.RESAMPLED * np.ptp(image.array)


def test_labels_by_nearest_neighbour_equal_simpleitk(rng):
    grid = GRIDS["oblique"]
    labels = Image(rng.integers(0, 300, grid.shape).astype(np.int16), grid, is_label=True)
    target = _target(grid, "LPS")
    got = resample(labels, target, tilt(3), "nearest").array
    want = itk_resample(labels, target, tilt(3), sitk.sitkNearestNeighbor)
    decided = _decided(labels, target, tilt(3), "nearest")
    assert np.array_equal(got[decided], want[decided])


def test_the_order_of_a_composition_is_that_of_ants(tmp_path):
    """``antsApplyTransforms -t a -t b`` reads at b(a(x)); SimpleITK's composite of the same list at a(b(x))."""
    ants = pytest.importorskip("ants")
    shift, double = Matrix(homogeneous(np.eye(3), (-10, 0, 0))), Matrix(homogeneous(np.diag([2.0, 1, 1]), (0, 0, 0)))
    files = [str(tmp_path / "shift.mat"), str(tmp_path / "double.mat")]
    for transform, file in zip((shift, double), files, strict=True):
        sitk.WriteTransform(itk_transform(transform).GetNthTransform(0), file)
    ramp = ants.from_numpy(np.arange(80, dtype=np.float32).reshape(80, 1, 1) * np.ones((1, 3, 3), np.float32))
    there = Compose((shift, double))([[-5.0, -1, 1]])[0]
    assert ants.apply_transforms(ramp, ramp, files).numpy()[5, 1, 1] == pytest.approx(-there[0]) == pytest.approx(30)
