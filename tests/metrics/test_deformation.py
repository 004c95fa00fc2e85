import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tolerances as tol
from scipy import ndimage
from spaces import GRIDS, Displaced, Matrix, homogeneous, itk_image, rotation, tilt, waves

from voxalign.core import Compose, Field, Grid, Identity, InputError, Transform, displacement
from voxalign.metrics import deformation_statistics, deformation_summary, jacobian_determinant, nondiffeomorphic_volume_mm3


class Called(Transform):
    """A map that is no chain of matrices and fields."""

    def __init__(self, inner: Transform) -> None:
        self.inner = inner

    dim = property(lambda self: self.inner.dim)

    def parts(self):
        return None

    def inverse(self):
        raise NotImplementedError

    def __call__(self, points):
        return self.inner(points)


def _by_gradient(transform: Transform, grid: Grid) -> np.ndarray:
    """Where voxels go, differentiated in float64: an independent way to the same numbers."""
    places = transform(grid.points())
    rows = [np.stack(np.gradient(places[..., d]), -1) for d in range(grid.dim)]
    return np.linalg.det(np.stack(rows, -2)) / np.linalg.det(grid.affine[:-1, :-1])


def test_rigid_maps_keep_every_volume(grid):
    turn = rotation((10, 20, 30) if grid.dim == 3 else (0, 0, 30))[:grid.dim, :grid.dim]
    move = Matrix(homogeneous(turn, (5, -6, 7)[:grid.dim]))
    assert np.abs(jacobian_determinant(move, grid) - 1).max() <= 1e-7
    summary = deformation_summary(move, grid)
    assert summary["folded_percent"] == 0 and summary["sd_log_jacobian"] < tol.JACOBIAN_LINEAR
    assert (jacobian_determinant(Identity(grid.dim), grid) == 1).all()


def test_the_affine_takes_part(grid):
    move = tilt(grid.dim)
    want = np.linalg.det(move.matrix)
    assert np.allclose(jacobian_determinant(move, grid), want)
    assert np.allclose(jacobian_determinant(Compose((waves(grid, 0.0), move)), grid), want)
    mirror = Matrix(np.diag([-1.0] + [1] * grid.dim))
    assert deformation_summary(mirror, grid)["folded_percent"] == 100


CHAINS = {
    "field": lambda g: waves(g),
    "field then affine": lambda g: Compose((waves(g), tilt(g.dim))),
    "two fields": lambda g: Compose((waves(g), waves(g, 0.4))),
    "called": lambda g: Called(Compose((waves(g), tilt(g.dim)))),
    "affine then wide field": lambda g: Compose((tilt(g.dim), waves(g.crop([-9] * g.dim, np.add(g.shape, 9))))),
}


@pytest.mark.parametrize("kind", CHAINS)
def test_equals_differences_of_the_map(grid, kind):
    transform = CHAINS[kind](grid)
    got, want = jacobian_determinant(transform, grid), _by_gradient(transform, grid)
    assert got.shape == grid.shape and got.dtype == np.float32
    assert np.abs(got - want).max() < tol.JACOBIAN_FIELD


def test_equals_the_analytic_derivative():
    grid = Grid((60, 50, 40), homogeneous(rotation((10, 20, 30)) @ np.diag([-0.5, 0.5, 0.5]), (3, 4, 5)))
    x = grid.points()
    k, amplitude = 2 * np.pi / 20, 1.5
    u = amplitude * np.stack([np.sin(k * x[..., 1]), np.zeros(grid.shape), np.cos(k * x[..., 2])])
    want = 1 - amplitude * k * np.sin(k * x[..., 2])
    got = jacobian_determinant(Displaced(Field(u, grid)), grid)
    inner = (slice(1, -1),) * 3
    assert np.abs(got - want)[inner].max() < tol.JACOBIAN_ANALYTIC


def test_the_same_field_on_turned_and_mirrored_axes_has_the_same_jacobian():
    grid = GRIDS["oblique"]
    field = waves(grid, 2.0).field
    flipped = Grid(grid.shape[::-1], homogeneous(-grid.affine[:3, 2::-1], grid.world(np.array(grid.shape) - 1)))
    data = np.flip(field.data, (1, 2, 3)).transpose(0, 3, 2, 1)
    want = jacobian_determinant(Displaced(field), grid)
    got = jacobian_determinant(Displaced(Field(data, flipped)), flipped)
    assert np.allclose(got.transpose(2, 1, 0)[::-1, ::-1, ::-1], want, atol=tol.JACOBIAN_FIELD)


def test_equals_simpleitk_where_its_axes_are_the_worlds():
    """Its filter ignores directions, so only an LPS grid, which has none in its eyes, can be compared."""
    grid = GRIDS["LPS"]
    field = waves(grid, 1.5).field
    lps = itk_image(field.data * np.array([-1, -1, 1], np.float32).reshape(3, 1, 1, 1), grid, vector=True)
    want = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(lps)).transpose(2, 1, 0)
    inner = (slice(1, -1),) * 3
    assert np.abs(jacobian_determinant(Displaced(field), grid) - want)[inner].max() < tol.JACOBIAN_FIELD


def _folded(grid: Grid) -> Displaced:
    """Everything within 4 mm of the centre is turned inside out."""
    away = grid.points() - grid.centre
    inside = np.exp(-(np.linalg.norm(away, axis=-1) / 4) ** 4)
    return Displaced(Field(np.moveaxis(-2.0 * away * inside[..., None], -1, 0), grid))


def test_folding_is_found(grid):
    fine = grid.with_spacing(0.6)
    summary = deformation_summary(_folded(fine), fine)
    want = _by_gradient(_folded(fine), fine)
    assert summary["folded_percent"] == pytest.approx(100 * np.mean(want <= 0), abs=0.05) and summary["folded_percent"] > 0.5
    assert (summary["jacobian_min"], summary["jacobian_max"]) == pytest.approx((want.min(), want.max()), abs=1e-3)
    assert summary["sd_log_jacobian"] == pytest.approx(np.log(np.clip(want, 1e-3, None)).std(), abs=1e-2)
    assert nondiffeomorphic_volume_mm3(_folded(fine), fine) > 0


def test_only_the_mask_is_summarised():
    grid = GRIDS["RAS"].with_spacing(0.7)
    far = np.linalg.norm(grid.points() - grid.centre, axis=-1) > 8
    assert deformation_summary(_folded(grid), grid, far)["folded_percent"] == 0
    assert nondiffeomorphic_volume_mm3(_folded(grid), grid, far) == 0


def test_a_checkerboard_is_missed_by_central_differences_and_not_by_cells(grid):
    board = np.indices(grid.shape).sum(0) % 2
    move = Displaced(Field(np.multiply.outer(grid.affine[:-1, 0] * 1.5, board), grid))
    inner = np.pad(np.ones([n - 2 for n in grid.shape], bool), 1)
    assert deformation_summary(move, grid, inner)["folded_percent"] == 0
    assert nondiffeomorphic_volume_mm3(move, grid) > 0.05 * grid.voxel_volume * grid.size


def test_smooth_maps_invert_nothing(grid):
    assert nondiffeomorphic_volume_mm3(Compose((waves(grid), tilt(grid.dim))), grid) == 0
    assert nondiffeomorphic_volume_mm3(tilt(grid.dim), grid) == 0


def test_a_mirrored_stretch_has_its_volume(grid):
    """x -> x + u with u = -2 (x - c) along one axis everywhere: all cells are inside out, with their own volume."""
    along = grid.index(grid.points())[..., 0] - 1
    move = Displaced(Field(np.multiply.outer(grid.affine[:-1, 0], -2.0 * along), grid))
    cells = np.prod([n - 1 for n in grid.shape])
    assert nondiffeomorphic_volume_mm3(move, grid) == pytest.approx(cells * grid.voxel_volume, rel=1e-4)


def test_axes_of_one_voxel_have_no_slope():
    grid = Grid((7, 1, 8), np.eye(4))
    jacobian = jacobian_determinant(waves(grid), grid)
    assert np.isfinite(jacobian).all() and jacobian.shape == grid.shape


def test_a_field_on_another_grid_is_read_where_the_voxels_are():
    coarse, fine = GRIDS["oblique"].crop((-4,) * 3, (22,) * 3), GRIDS["oblique"].with_spacing(0.8)
    move = waves(coarse, 1.0)
    assert np.abs(jacobian_determinant(move, fine) - _by_gradient(move, fine)).max() < tol.JACOBIAN_FIELD
    assert np.allclose(displacement(move, fine), np.moveaxis(move(fine.points()) - fine.points(), -1, 0), atol=tol.POINT_MM)


def test_refused():
    grid = GRIDS["RAS"]
    with pytest.raises(InputError, match="2-D transform"):
        jacobian_determinant(Identity(2), grid)
    with pytest.raises(InputError, match="mask of shape"):
        deformation_summary(Identity(3), grid, np.ones((2, 2, 2)))
    with pytest.raises(InputError, match="0 voxels"):
        deformation_summary(Identity(3), grid, np.zeros(grid.shape))


def test_a_rough_map_on_real_geometry(data):
    """0.15 mm voxels: nothing assumes human size."""
    image = nib.load(data / "mouse/animal-1/mr.nii.gz")
    grid = Grid(image.shape, image.affine).downsample(2)
    rng = np.random.default_rng(0)
    u = np.stack([ndimage.gaussian_filter(rng.normal(0, 1, grid.shape), 3) for _ in range(3)]) * 2
    move = Compose((Displaced(Field(u, grid)), tilt(3)))
    want = _by_gradient(move, grid)
    summary = deformation_summary(move, grid)
    assert summary["folded_percent"] == pytest.approx(100 * np.mean(want <= 0), abs=0.01)
    assert summary["sd_log_jacobian"] == pytest.approx(np.log(np.clip(want, 1e-3, None)).std(), abs=1e-3)


def test_statistics_hold_the_summary_and_volumes():
    grid = GRIDS["RAS"]
    torn = Displaced(Field(60 * waves(grid).field.data, grid))
    found, inside = deformation_statistics(torn, grid), np.zeros(grid.shape, bool)
    assert deformation_summary(torn, grid).items() <= found.items()
    determinants = jacobian_determinant(torn, grid)
    assert found["folded_mm3"] == pytest.approx((determinants <= 0).sum() * grid.voxel_volume) != 0
    assert [found[f"jacobian_p{k}"] for k in (1, 99)] == pytest.approx(np.percentile(determinants, (1, 99)), rel=1e-5)
    volume = nondiffeomorphic_volume_mm3(torn, grid)
    assert found["nondiffeomorphic_mm3"] == volume and found["nondiffeomorphic_percent"] == pytest.approx(
        100 * volume / (grid.size * grid.voxel_volume))
    inside[3:6, 3:6, 3:6] = True
    assert deformation_statistics(torn, grid, inside)["folded_mm3"] < found["folded_mm3"]
