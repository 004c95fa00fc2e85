"""A transform file of ours does in SimpleITK and ANTs what the transform does here, and theirs do here what they do there."""
import numpy as np
import pytest
import SimpleITK as sitk
import tolerances as tol
from spaces import GRIDS, ORTHOGONAL, flip, itk_image, smooth_image, waves

from voxalign.core import Compose, Field, Grid, Image, Transform, resample
from voxalign.io import load_transform, save_transform
from voxalign.transforms import Affine, BSpline, Displacement, Rigid, Similarity, Translation, Velocity, generators

LINEAR = {"translation": Translation, "rigid": Rigid, "similarity": Similarity, "affine": Affine}
FAMILIES = [*LINEAR, "bspline", "displacement", "velocity", "displacement then affine", "affine then displacement", "linear chain"]


def make(family: str, grid: Grid, seed: int = 3) -> Transform:
    """A map of the family that moves the voxels of ``grid`` by a few mm."""
    rng = np.random.default_rng(seed)
    if family in LINEAR:
        size = len(generators(LINEAR[family], grid.dim))
        return LINEAR[family].identity(grid.dim, grid.centre + 1.7).retract(rng.normal(size=size) * 0.05)
    if family == "bspline":
        return BSpline(rng.normal(size=(grid.dim, *(7,) * grid.dim)) * 2, control_points(grid))
    if family == "displacement":
        return Displacement(waves(grid, 2.0).field)
    if family == "velocity":
        return Velocity(waves(grid, 2.0).field)
    if family == "linear chain":
        return Compose((make("rigid", grid), make("affine", grid, 5)))
    return Compose(tuple(make(member, grid) for member in family.split(" then ")))


def control_points(grid: Grid) -> Grid:
    """Seven along each axis, one and a half interval beyond the box."""
    affine = grid.affine.copy()
    affine[:-1, :-1] *= (np.array(grid.shape) - 1) / 3
    affine[:-1, -1] = grid.world(-(np.array(grid.shape) - 1) / 2)
    return Grid((7,) * grid.dim, affine)


def points_in(grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Inside the box and some way beyond it."""
    return grid.world(rng.uniform(-0.3, 1.3, (200, grid.dim)) * (np.array(grid.shape) - 1))


def itk_points(transform: sitk.Transform, points: np.ndarray) -> np.ndarray:
    """What SimpleITK makes of RAS points."""
    signs = np.diag(flip(points.shape[1]))
    return np.array([transform.TransformPoint((signs * p).tolist()) for p in points]) * signs


def read_sitk(path) -> sitk.Transform:
    if path.name.endswith((".nii", ".nii.gz")):
        return sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
    return sitk.ReadTransform(str(path))


def stored_exactly(transform: Transform) -> bool:
    return isinstance(transform, BSpline) or all(isinstance(part, np.ndarray) for part in transform.parts())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("suffix", [".h5", ".tfm"])
def test_points_equal_simpleitk(family, suffix, grid, tmp_path, rng):
    transform, points, path = make(family, grid), points_in(grid, rng), tmp_path / f"transform{suffix}"
    save_transform(transform, path)
    tolerance = tol.WORLD_MM if stored_exactly(transform) else tol.SAME_PLACE_MM
    assert np.abs(itk_points(read_sitk(path), points) - transform(points)).max() < tolerance
    assert np.abs(load_transform(path)(points) - transform(points)).max() < tolerance


@pytest.mark.parametrize("family", [*LINEAR, "linear chain"])
def test_matlab_equals_simpleitk(family, grid, tmp_path, rng):
    transform, points, path = make(family, grid), points_in(grid, rng), tmp_path / "transform.mat"
    save_transform(transform, path)
    assert np.abs(itk_points(read_sitk(path), points) - transform(points)).max() < tol.WORLD_MM
    assert np.abs(load_transform(path, grid.dim)(points) - transform(points)).max() < tol.WORLD_MM


@pytest.mark.parametrize("family", ["affine", "bspline", "displacement then affine"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_displacement_image_equals_simpleitk(family, suffix, grid_orthogonal, tmp_path, rng):
    grid = grid_orthogonal
    transform, path = make(family, grid), tmp_path / f"warp{suffix}"
    save_transform(transform, path, grid)
    points = grid.world(rng.integers(0, grid.shape, (200, grid.dim)))
    assert np.abs(itk_points(read_sitk(path), points) - transform(points)).max() < tol.SAME_PLACE_MM
    assert np.abs(load_transform(path)(points) - transform(points)).max() < tol.SAME_PLACE_MM


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("space", ORTHOGONAL)
def test_resampling_equals_simpleitk(family, space, tmp_path, rng):
    moving, fixed = smooth_image(GRIDS[space], rng), shifted(GRIDS[space])
    path = tmp_path / "transform.h5"
    save_transform(make(family, fixed), path)
    ours = resample(moving, fixed, load_transform(path))
    reference = itk_image(np.zeros(fixed.shape, np.float32), fixed)
    theirs = sitk.Resample(itk_image(moving.array, moving.grid), reference, sitk.ReadTransform(str(path)), sitk.sitkLinear)
    difference = np.abs(ours.array - sitk.GetArrayFromImage(theirs).T)[decided(moving, fixed, load_transform(path))]
    assert difference.max() < tol.RESAMPLED * np.ptp(moving.array)


def shifted(grid: Grid) -> Grid:
    """The same voxels, in step with nothing, a few beyond the edges."""
    affine = grid.affine.copy()
    affine[:-1, -1] = grid.world(np.full(grid.dim, -2.137))
    return Grid(tuple(n + 4 for n in grid.shape), affine)


def decided(image: Image, grid: Grid, transform: Transform) -> np.ndarray:
    """Where being inside of the image is no matter of the last digit."""
    index = image.grid.index(transform(grid.points()))
    edge = np.minimum(np.abs(index + 0.5), np.abs(index + 0.5 - image.grid.shape)).min(-1)
    return edge > tol.KERNEL_TIE


# ---------------------------------------------------------------- the other way: SimpleITK writes, we read
def itk_linear(rng: np.random.Generator) -> list[sitk.Transform]:
    """Every linear transform SimpleITK has, away from the identity, with a centre."""
    known = [sitk.Euler2DTransform(), sitk.Similarity2DTransform(), sitk.AffineTransform(2), sitk.TranslationTransform(2),
             sitk.ScaleTransform(2), sitk.Euler3DTransform(), sitk.VersorTransform(), sitk.VersorRigid3DTransform(),
             sitk.Similarity3DTransform(), sitk.ScaleVersor3DTransform(), sitk.ScaleSkewVersor3DTransform(),
             sitk.ComposeScaleSkewVersor3DTransform(), sitk.AffineTransform(3), sitk.TranslationTransform(3), sitk.ScaleTransform(3)]
    for transform in known:
        transform.SetParameters((np.array(transform.GetParameters()) + rng.uniform(-0.2, 0.2, len(transform.GetParameters()))).tolist())
        if hasattr(transform, "SetCenter"):
            transform.SetCenter(rng.uniform(-20, 20, transform.GetDimension()).tolist())
    zyx = sitk.Euler3DTransform(known[5])
    zyx.SetComputeZYX(True)
    return [*known, zyx]


@pytest.mark.parametrize("suffix", [".tfm", ".txt", ".h5", ".mat"])
def test_every_linear_itk_transform_is_read(suffix, tmp_path, rng):
    for number, transform in enumerate(itk_linear(rng)):
        path = tmp_path / f"{number}{suffix}"
        sitk.WriteTransform(transform, str(path))
        points = rng.uniform(-50, 50, (20, transform.GetDimension()))
        assert np.abs(load_transform(path)(points) - itk_points(transform, points)).max() < tol.WORLD_MM, transform.GetName()


@pytest.mark.parametrize("suffix", [".tfm", ".h5"])
@pytest.mark.parametrize("dim", [2, 3])
def test_composites_of_itk_are_read(suffix, dim, tmp_path, rng):
    grid = GRIDS["oblique" if dim == 3 else "2-D"]
    reference = itk_image(np.zeros(grid.shape, np.float32), grid)
    spline = sitk.BSplineTransformInitializer(reference, [4] * dim, 3)
    spline.SetParameters((rng.normal(size=len(spline.GetParameters()))).tolist())
    field = sitk.DisplacementFieldTransform(itk_image(rng.normal(size=(dim, *grid.shape)), grid, vector=True))
    affine = next(t for t in itk_linear(rng) if t.GetName() == "AffineTransform" and t.GetDimension() == dim)
    transform = sitk.CompositeTransform([affine, spline, field])
    path, points = tmp_path / f"composite{suffix}", grid.world(rng.uniform(0, 1, (200, dim)) * (np.array(grid.shape) - 1))
    sitk.WriteTransform(transform, str(path))
    loaded = load_transform(path)
    assert [type(t).__name__ for t in loaded.transforms] == ["Displacement", "BSpline", "Affine"]
    assert np.abs(loaded(points) - itk_points(transform, points)).max() < tol.POINT_MM


# ---------------------------------------------------------------- ANTs
@pytest.mark.parametrize("family", ["rigid", "similarity", "affine", "displacement", "displacement then affine", "bspline"])
@pytest.mark.parametrize("space", ["RAS", "LAS", "LPS", "oblique"])
def test_ants_resamples_through_our_files(family, space, tmp_path, rng):
    ants = pytest.importorskip("ants")
    moving, fixed = smooth_image(GRIDS[space], rng), shifted(GRIDS[space])
    path = tmp_path / "transform.h5"
    save_transform(make(family, fixed), path)
    ours = resample(moving, fixed, load_transform(path))

    def as_ants(image: Image):
        grid, lps = image.grid, flip(image.dim)
        return ants.from_numpy(image.array, (lps @ grid.origin).tolist(), grid.spacing.tolist(), lps @ grid.direction)

    theirs = ants.apply_transforms(as_ants(Image(np.zeros(fixed.shape), fixed)), as_ants(moving), [str(path)]).numpy()
    difference = np.abs(ours.array - theirs)[decided(moving, fixed, load_transform(path))]
    assert difference.max() < tol.RESAMPLED * np.ptp(moving.array)


def test_field_in_memory_is_the_field_of_the_file(grid3, tmp_path):
    from voxalign.io.h5 import stored

    transform = make("displacement", grid3)
    save_transform(transform, tmp_path / "field.h5")
    loaded, expected = load_transform(tmp_path / "field.h5").field, stored(transform.field)
    assert np.array_equal(loaded.data, expected.data) and loaded.grid.is_close(expected.grid, tol.WORLD_MM)
    again = tmp_path / "again.h5"
    save_transform(Displacement(Field(loaded.data, loaded.grid)), again)
    assert np.array_equal(load_transform(again).field.data, loaded.data)
