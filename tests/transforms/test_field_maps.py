import re

import numpy as np
import pytest
import tolerances as tol
from scipy.interpolate import BSpline as SciPySpline
from scipy.ndimage import gaussian_filter
from spaces import GRIDS, smooth_image, waves

from voxalign.core import Compose, Grid, InputError, kernels, resample
from voxalign.metrics import jacobian_determinant
from voxalign.transforms import BSpline, Displacement, Rigid, Velocity


def fading(grid: Grid, most: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth mm, (D, *shape), nearly zero at the faces."""
    data = np.stack([gaussian_filter(rng.normal(size=grid.shape), 2.5) for _ in range(grid.dim)])
    edge = np.ones(grid.shape)
    for axis, n in enumerate(grid.shape):
        window = np.clip(np.minimum(np.arange(n), np.arange(n)[::-1]) / 4, 0, 1)
        edge *= window.reshape([-1 if k == axis else 1 for k in range(grid.dim)])
    return most * edge * data / np.abs(data * edge).max()


def inside(grid: Grid, rng: np.random.Generator, margin: float = 2.0) -> np.ndarray:
    return grid.world(rng.uniform(margin, np.array(grid.shape) - 1 - margin, (500, grid.dim)))


def test_displacement_adds_its_field(grid):
    transform = Displacement(waves(grid).field)
    points = grid.points()
    moved = transform(points) - points
    assert np.abs(np.moveaxis(moved, -1, 0) - transform.field.data).max() < tol.POINT_MM
    beyond = grid.world(np.array(grid.shape) + 3.0)
    assert np.array_equal(transform(beyond), beyond)


def test_displacement_inverse_undoes(grid, rng):
    transform = Displacement.from_array(fading(grid, 1.2, rng), grid)
    inverse, points = transform.inverse(), inside(grid, rng, 0)
    on_grid = inverse.field.grid.points().reshape(-1, grid.dim)
    voxel = grid.spacing.max()
    assert np.abs(transform(inverse(on_grid)) - on_grid).max() < tol.INVERSE_VOXELS * voxel
    assert np.abs(inverse(transform(points)) - points).max() < tol.INVERSE_VOXELS * voxel  # and between them
    assert inverse.field.grid == grid  # its faces do not move
    assert inverse.inverse() is transform


def test_the_field_of_an_inverse_errs_between_its_voxels(grid, rng):
    transform = Displacement.from_array(fading(grid, 1.2, rng), grid)
    filed, points = Displacement(transform.inverse().field), inside(grid, rng, 0)
    error = np.abs(filed(transform(points)) - points).max() / grid.spacing.max()
    assert tol.INVERSE_VOXELS < error < tol.INVERSE_BETWEEN_VOXELS


def test_where_a_map_folds_its_inverse_is_the_nearest_found(grid3, rng):
    transform = Displacement.from_array(fading(grid3, 9.0, rng), grid3)
    points = inside(grid3, rng, 0)
    assert jacobian_determinant(transform, grid3).min() < 0
    found = transform.inverse()(points)
    assert np.isfinite(found).all() and np.abs(transform(found) - points).max() < 3 * grid3.spacing.max()


def test_inverse_reaches_where_the_faces_went(grid3, rng):
    shift = Displacement.from_array(np.broadcast_to(np.array([4.0, -3.0, 2.0]).reshape(3, 1, 1, 1), (3, *grid3.shape)), grid3)
    points = grid3.world(rng.uniform(0, 1, (200, 3)) * (np.array(grid3.shape) - 1))
    assert np.abs(shift.inverse()(shift(points)) - points).max() < tol.INVERSE_VOXELS * grid3.spacing.max()


def test_displacement_of_any_transform(grid3):
    rigid = Rigid.from_params([0.1, 0.05, -0.1, 1, 2, 3], grid3.centre)
    assert np.abs(Displacement.of(rigid, grid3)(grid3.points()) - rigid(grid3.points())).max() < tol.POINT_MM


def test_velocity_inverse_is_the_other_sign(grid, rng):
    velocity = Velocity.from_array(fading(grid, 1.5, rng), grid)
    points = inside(grid, rng)
    assert np.abs(velocity.inverse()(velocity(points)) - points).max() < tol.INVERSE_SVF_VOXELS * grid.spacing.max()
    assert np.array_equal(velocity.inverse().inverse().field.data, velocity.field.data)
    assert velocity.parts()[0] is velocity.parts()[0]  # computed once


def test_velocity_of_a_constant_is_a_translation(grid3):
    shift = np.array([2.0, -1.0, 0.5])
    constant = Velocity.from_array(np.broadcast_to(shift.reshape(3, 1, 1, 1), (3, *grid3.shape)), grid3)
    points = grid3.points()
    assert np.abs(constant(points) - points - shift).max() < tol.POINT_MM


def test_velocity_of_a_stretch_is_an_exponential():
    grid = Grid((41, 9), np.diag([0.5, 0.5, 1]))
    points = grid.points()
    rate = 0.3
    velocity = np.zeros((2, *grid.shape))
    velocity[0] = rate * (points[..., 0] - 10)
    moved = Velocity.from_array(velocity, grid)(points)[10:31, :, 0]
    assert np.abs(moved - (10 + np.exp(rate) * (points[10:31, :, 0] - 10))).max() < 0.01


# ---------------------------------------------------------------- B-spline
def spline_on(grid: Grid, rng: np.random.Generator, most: float = 1.0) -> BSpline:
    affine = grid.affine.copy()
    affine[:-1, :-1] *= (np.array(grid.shape) - 1) / 3
    affine[:-1, -1] = grid.world(-(np.array(grid.shape) - 1) / 3)
    return BSpline(rng.uniform(-most, most, (grid.dim, *(6,) * grid.dim)), Grid((6,) * grid.dim, affine))


def test_bspline_is_the_sum_of_its_definition(grid, rng):
    transform = spline_on(grid, rng)
    points = grid.world(rng.uniform(0, 1, (20, grid.dim)) * (np.array(grid.shape) - 1))
    index = transform.grid.index(points)
    basis = SciPySpline.basis_element([-2, -1, 0, 1, 2], extrapolate=False)
    weights = [np.nan_to_num(basis(index[:, [axis]] - np.arange(6))) for axis in range(grid.dim)]
    letters = "abc"[: grid.dim]
    rule = ",".join([f"d{letters}", *(f"n{k}" for k in letters)]) + "->nd"
    assert np.abs(transform(points) - points - np.einsum(rule, transform.coefficients, *weights)).max() < tol.WORLD_MM


def test_bspline_is_zero_outside(grid3, rng):
    transform = spline_on(grid3, rng)
    beyond = transform.grid.world([[0.99, 2, 2], [2, 4.01, 2], [-3, 9, 2]])
    assert np.array_equal(transform(beyond), beyond)


def test_bspline_inverse_undoes(grid, rng):
    transform = spline_on(grid, rng, 0.8)
    points = inside(grid, rng)
    spacing = transform.grid.spacing.max() / 4
    assert np.abs(transform.inverse()(transform(points)) - points).max() < tol.INVERSE_BETWEEN_VOXELS * spacing


def test_images_are_pulled_exactly_along_a_bspline(grid3, rng):
    transform, image = spline_on(grid3, rng), smooth_image(grid3, rng)
    sampled = Displacement.of(transform, grid3)  # exact at the voxels
    assert transform.parts() is None and Compose((transform, transform)).parts() is None
    difference = resample(image, grid3, transform).array - resample(image, grid3, sampled).array
    near_edge = np.minimum(np.abs(image.grid.index(transform(grid3.points())) + 0.5),
                           np.abs(image.grid.index(transform(grid3.points())) + 0.5 - grid3.shape)).min(-1) < tol.KERNEL_TIE
    assert np.abs(difference[~near_edge]).max() < tol.RESAMPLED * np.ptp(image.array)


@pytest.mark.parametrize("coefficients, shape", [(np.zeros((3, 4, 4, 4)), (4, 4, 5)), (np.zeros((3, 3, 4, 4)), (3, 4, 4)),
                                                 (np.full((3, 4, 4, 4), np.nan), (4, 4, 4))])
def test_impossible_bsplines_are_refused(coefficients, shape):
    with pytest.raises(InputError):
        BSpline(coefficients, Grid(shape, np.eye(4)))


@pytest.mark.parametrize("family", [Displacement, Velocity])
def test_repr_says_how_far(family):
    assert re.fullmatch(family.__name__ + r"\(up to [\d.]+ mm on Grid\(.*\)\)", repr(family(waves(GRIDS["RAS"]).field)))


# ---------------------------------------------------------------- kernels they stand on
@pytest.mark.parametrize("shape", [(40, 48), (24, 28, 20)])
def test_inversion_of_strong_diffeomorphisms(shape, rng):
    velocity = np.stack([gaussian_filter(rng.normal(size=shape), 3) for _ in shape])
    strong = kernels.exponentiate((5 * velocity / np.abs(velocity).max()).astype(np.float32), 8)
    assert kernels.jacobian_determinant(strong).min() > 0
    residual = kernels.compose_fields(kernels.invert(strong), strong)
    assert np.abs(residual).max() < tol.INVERSE_VOXELS


def test_jacobian_determinant_of_a_linear_map(rng):
    linear = np.eye(3) + rng.normal(size=(3, 3)) * 0.1
    lattice = np.stack(np.meshgrid(*map(np.arange, (7, 8, 9)), indexing="ij"))
    field = np.tensordot(linear - np.eye(3), lattice, 1).astype(np.float32)
    assert np.abs(kernels.jacobian_determinant(field) - np.linalg.det(linear)).max() < tol.JACOBIAN_FIELD
