"""Each optimiser finds what Gauss-Newton finds, in units that do not depend on the image's own."""
import numpy as np
import pytest
import tolerances as tol

from voxalign.core import Grid, Image, UsageError, kernels
from voxalign.losses import MSE
from voxalign.phantom import Motion, error_mm, slice_pair
from voxalign.register import Settings, register
from voxalign.register.deformable import optimise as deform
from voxalign.register.descent import RULES, FirstOrder
from voxalign.register.linear import SOLVERS, Level, _Fit, optimise
from voxalign.register.prepare import scale
from voxalign.run.config import configure
from voxalign.transforms import Affine, Rigid


@pytest.fixture(scope="module")
def rigid_pair():
    return slice_pair(1, 3.0, motion=Motion(12.0, (0, 0, 1), (6.0, -4.0, 0.0), 0.0))


@pytest.fixture
def smooth_levels(rng):
    grid = Grid((40, 36), np.diag([3.0, 4.0, 1]))
    one, other = kernels.smooth(rng.random((2, 40, 36)).astype(np.float32), (3.0, 3.0))
    return [Level(scale(Image(one, grid)), scale(Image(other, grid)), MSE(), weight) for weight in (1.0, 0.5)]


def mean_error(bent, transform):
    return float(error_mm(transform, bent.truth, bent.fixed_labels).mean())


@pytest.mark.parametrize("loss", ["ncc", "mi"])
@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_a_known_motion_is_found(rigid_pair, name, loss):
    result = register(rigid_pair.fixed, rigid_pair.moving, Settings(transform="rigid", initial="moments", loss=loss, optimiser=name))
    assert mean_error(rigid_pair, result.transform) < tol.LINEAR_MM / 2
    by_level = [[step.loss for step in result.history if step.level == level] for level in range(3)]
    assert all(values == sorted(values, reverse=True) for values in by_level)


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_deformation_is_found(bent, name):
    affine = register(bent.fixed, bent.moving, Settings(transform="affine", initial="moments", loss="lncc"))
    result = register(bent.fixed, bent.moving, Settings(initial="moments", loss="lncc", optimiser=name))
    assert mean_error(bent, result.transform) < 0.75 * mean_error(bent, affine.transform)


def test_no_voxel_moves_more_than_the_longest_step(rng):
    for name in RULES:
        rule = FirstOrder(name, 0.5)
        for _ in range(4):
            update = rule(rng.normal(0, 1, (2, 9, 8)).astype(np.float32), (1.0, 0.25))
            assert np.sqrt((update**2).sum(0)).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("model", [Rigid, Affine])
def test_slopes_are_those_of_the_value(smooth_levels, model):
    """In steps of one voxel, root mean square, whatever the voxels are."""
    fit = _Fit(smooth_levels, model.identity(2, np.array([5.0, -8.0])))
    gradient = fit.gradient(fit.first)
    step = 0.1 * gradient / np.linalg.norm(gradient)
    slope = (fit.value(fit.move(fit.first, step)) - fit.value(fit.move(fit.first, -step))) / 0.2
    assert slope == pytest.approx(np.linalg.norm(gradient), rel=tol.IMAGE_SLOPE)
    assert np.allclose(fit.hessian(fit.first), fit.hessian(fit.first).T) and np.linalg.eigvalsh(fit.hessian(fit.first)).min() > 0
    inside = fit.grid.points()
    for way in np.eye(len(gradient)):
        moved = fit.move(fit.first, 1e-3 * way)(inside) - inside
        assert np.sqrt((moved**2).sum(-1).mean()) == pytest.approx(1e-3 * fit.grid.spacing.min(), rel=1e-2)


def test_absurd_steps_are_infinite(smooth_levels):
    fit = _Fit(smooth_levels, Affine.identity(2))
    assert fit.move(fit.first, np.full(6, 1e6)) is None and fit.value(None) == np.inf
    away = fit.move(fit.first, np.array([0, 0, 0, 0, 200.0, 0]))
    assert fit.value(away) == np.inf


def test_images_that_do_not_overlap_stay_where_they_are():
    grid = Grid((12, 12), np.eye(3))
    one = Image(np.random.default_rng(0).random((12, 12)), grid)
    other = Image(one.data, Grid((12, 12), np.array([[1.0, 0, 500], [0, 1, 0], [0, 0, 1]])))
    steps = list(optimise([Level(scale(one), scale(other), MSE())], Rigid.identity(2), 5))
    assert len(steps) == 1 and np.isfinite(steps[0][1])


def test_names(bent):
    with pytest.raises(UsageError, match="'adam'"):
        configure(assignments=["optimiser=adm"])
    assert set(SOLVERS) == set(configure.__globals__["HINTS"]["optimiser"].__args__) and set(RULES) < set(SOLVERS)
    assert deform.__defaults__[-1] == "gauss-newton"


def test_keypoints_start(bent):
    result = register(bent.fixed, bent.moving, Settings(transform="rigid", initial="keypoints", iterations=(1,)))
    assert mean_error(bent, result.transform) < 5.0
