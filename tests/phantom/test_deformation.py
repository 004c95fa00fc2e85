import numpy as np
import pytest
from tolerances import EXACT_MM, PHANTOM_INVERSE_MM

from voxalign import phantom
from voxalign.core import Grid, InputError, displacement
from voxalign.metrics import jacobian_determinant
from voxalign.phantom import Bend, Inflation, Sliding


def box(dim, spacing=4.0, half=80):
    affine = np.diag([spacing] * dim + [1.0])
    affine[:-1, -1] = -half
    return Grid((int(2 * half / spacing) + 1,) * dim, affine)


def residual(transform, points):
    return np.linalg.norm(transform.inverse()(transform(points)) - points, axis=-1).max()


@pytest.mark.parametrize("dim", [2, 3])
def test_smooth_deformation(dim):
    grid = box(dim)
    transform = phantom.smooth_deformation(grid, 3, amplitude_mm=7.0, smoothness_mm=40.0)
    moved = np.linalg.norm(displacement(transform, grid), axis=0)
    assert 2 < moved.max() <= 7.01
    assert residual(transform, grid.points()) < PHANTOM_INVERSE_MM
    assert jacobian_determinant(transform, grid).min() > 0.2
    same = phantom.smooth_deformation(grid, 3, amplitude_mm=7.0, smoothness_mm=40.0)
    assert np.array_equal(displacement(same, grid), displacement(transform, grid))


@pytest.mark.parametrize("dim", [2, 3])
def test_flows_of_the_body_have_inverses(dim):
    grid = box(dim)
    for transform in (phantom.breathing(grid, 0.5), phantom.beating(grid, 0.5)):
        assert np.abs(displacement(transform, grid)).max() > 2
        assert residual(transform, grid.points()) < PHANTOM_INVERSE_MM


EXACT = {
    "inflation": Inflation((3.0, -2.0, 5.0), 30.0, 1.3), "deflation 2-D": Inflation((3.0, -2.0), 40.0, 0.7),
    "sliding": Sliding((0.0, 4.0, 0.0), (0.2, 1.0, 0.1), (15.0, 0.0, 5.0)),
    "sliding 2-D": Sliding((0.0, 4.0), (0.0, 1.0), (9.0, 0.0), 12.0),
    "bend": Bend(0.7), "rigid": phantom.rigid(25, (1, 2, 3), (4, 5, 6), (7, 8, 9)), "rigid 2-D": phantom.rigid(25, shift=(4, 5)),
}


@pytest.mark.parametrize("name", EXACT)
def test_closed_forms_are_inverted_exactly(name):
    transform = EXACT[name]
    points = np.random.default_rng(0).uniform(-60, 60, (7, 500, transform.dim))
    if isinstance(transform, Inflation) and transform.factor < 1:  # what is sucked into the point it shrinks to is lost
        points = points[np.linalg.norm(points - transform.centre, axis=-1) > 1]
    assert residual(transform, points) < EXACT_MM
    assert np.abs(transform(points) - points).max() > 2


def test_inflation_keeps_the_volume_of_its_surroundings():
    grid = box(3)
    transform = Inflation((0.0, 0.0, 0.0), 30.0, 1.2)
    determinant = jacobian_determinant(transform, grid)
    radius = np.linalg.norm(grid.points(), axis=-1)
    assert determinant[radius < 20] == pytest.approx(1.2**3, rel=1e-3)
    assert determinant[(radius > 40) & (radius < 70)] == pytest.approx(1, abs=0.03)


def test_clean_slide_moves_the_halves_apart_along_the_plane():
    slide = Sliding((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), (10.0, 0.0, 99.0))
    assert slide(np.array([[1.0, 2, 3], [1, 2, -3]])) == pytest.approx(np.array([[11.0, 2, 3], [-9, 2, -3]]))


def test_bend_turns_the_shin_as_a_whole():
    bend = Bend(0.5)
    below = np.random.default_rng(0).uniform((-40, -40, -200), (40, 40, -60), (20, 3))
    turned = bend(below)
    apart = [np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (below, turned)]
    assert apart[0] == pytest.approx(apart[1], abs=1e-9)


def test_impossible_motions_are_refused():
    with pytest.raises(InputError, match="radians"):
        Bend(2.0)
    with pytest.raises(InputError, match="positive"):
        Inflation((0, 0, 0), -1.0)
