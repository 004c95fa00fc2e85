import numpy as np
import pytest
import tolerances as tol
from spaces import Matrix, homogeneous, tilt, waves

from voxalign.core import Identity, InputError, Points
from voxalign.metrics import by_region, cycle_error_mm, inverse_error_mm, tre_mm


def test_tre_of_a_known_shift():
    fixed = np.array([[0.0, 0, 0], [10, 20, 30]])
    shift = Matrix(homogeneous(np.eye(3), (3, 4, 0)))
    assert np.allclose(tre_mm(Identity(), fixed, shift(fixed)), 5)
    assert np.allclose(tre_mm(shift, Points(fixed), Points(shift(fixed))), 0)


def test_tre_reads_the_transform_from_fixed_to_moving():
    fixed = np.array([[1.0, 2.0, 3.0]])
    move = tilt(3)
    assert tre_mm(move, fixed, move(fixed))[0] < tol.WORLD_MM < tre_mm(move.inverse(), fixed, move(fixed))[0]


def test_inverse_error(grid):
    points = grid.world(np.random.default_rng(0).uniform(0, np.array(grid.shape) - 1, (20, grid.dim)))
    move = tilt(grid.dim)
    assert inverse_error_mm(move, move.inverse(), points).max() < tol.WORLD_MM
    assert np.allclose(inverse_error_mm(move, Identity(grid.dim), points), np.linalg.norm(move(points) - points, axis=1))
    assert inverse_error_mm(waves(grid), Identity(grid.dim), Points(points)).shape == (20,)


def test_refused():
    with pytest.raises(InputError, match="2 fixed and 3 moving"):
        tre_mm(Identity(), np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(InputError, match="NaN"):
        inverse_error_mm(Identity(), Identity(), [[np.nan, 0, 0]])


def test_a_cycle_goes_through_all_spaces_in_order():
    points = np.random.default_rng(0).normal(0, 20, (10, 3))
    first, second = tilt(3), Matrix(homogeneous(np.diag([1.1, 0.9, 1.0]), (3, 4, 0)))
    home = Matrix(np.linalg.inv(second.matrix @ first.matrix))
    assert cycle_error_mm((first, second, home), points).max() < tol.WORLD_MM < cycle_error_mm((second, first, home), points).max()


def test_regions_are_what_names_begin_with():
    found = by_region(np.array([1.0, 2, 3, 4]), ("lung/1", "lung/2", "heart", ""))
    assert {name: list(errors) for name, errors in found.items()} == {"lung": [1, 2], "heart": [3]}
    assert by_region(np.ones(3), None) == {}
