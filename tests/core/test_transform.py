import numpy as np
import pytest
import tolerances as tol
from spaces import GRIDS, Matrix, homogeneous, rotation, tilt, waves

from voxalign.core import Compose, Field, Identity, InputError, compose, displacement


def test_identity_moves_nothing(grid):
    points = grid.corners()
    assert np.array_equal(Identity(grid.dim)(points), points)
    assert Identity(grid.dim).inverse() == Identity(grid.dim) and Identity().parts() == ()


def test_the_first_of_a_composition_is_applied_first():
    turn, shift = Matrix(homogeneous(rotation((0, 0, 90)), (0, 0, 0))), Matrix(homogeneous(np.eye(3), (10, 0, 0)))
    assert np.allclose(Compose((turn, shift))([1.0, 0, 0]), [10, 1, 0])
    assert np.allclose(Compose((shift, turn))([1.0, 0, 0]), [0, 11, 0])


def test_compositions_are_flat_and_their_inverse_is_reversed():
    a, b, c = tilt(3), Matrix(homogeneous(np.eye(3), (1, 2, 3))), Matrix(homogeneous(rotation((5, 6, 7)), (0, 1, 0)))
    nested = Compose((Compose((a, b)), c))
    points = np.random.default_rng(0).normal(0, 50, (20, 3))
    assert nested.transforms == (a, b, c) and len(nested.parts()) == 3
    assert np.allclose(nested(points), c(b(a(points))), rtol=0, atol=tol.WORLD_MM)
    assert np.allclose(nested.inverse()(nested(points)), points, rtol=0, atol=tol.WORLD_MM)


def test_compose_drops_identities():
    a = tilt(3)
    assert compose([Identity(), a, Identity()]) is a
    assert compose([Identity(2)]) == Identity(2)
    assert compose([a, a]).transforms == (a, a)


def test_calling_and_parts_agree(grid):
    chain = Compose((tilt(grid.dim), waves(grid), tilt(grid.dim)))
    points = grid.world(np.random.default_rng(1).uniform(-2, 12, (50, grid.dim)))
    by_parts = points
    for part in chain.parts():
        by_parts = by_parts + part.at(by_parts) if isinstance(part, Field) else by_parts @ part[:-1, :-1].T + part[:-1, -1]
    assert np.allclose(chain(points), by_parts, rtol=0, atol=tol.POINT_MM)


def test_shapes_of_points(grid):
    move = tilt(grid.dim)
    assert move(np.zeros(grid.dim)).shape == (grid.dim,)
    assert move(np.zeros((4, 5, grid.dim))).shape == (4, 5, grid.dim)
    assert waves(grid)(np.zeros((4, 5, grid.dim))).shape == (4, 5, grid.dim)
    assert waves(grid)(np.zeros(grid.dim)).shape == (grid.dim,)


def test_a_field_is_linear_between_voxels_and_zero_outside_its_box(grid):
    data = np.random.default_rng(2).normal(0, 1, (grid.dim, *grid.shape)).astype(np.float32)
    field = Field(data, grid)
    at = np.full(grid.dim, 3)
    step = np.eye(grid.dim)[0]
    middle = (data[(slice(None), *at)] + data[(slice(None), *(at + step.astype(int)))]) / 2
    assert np.allclose(field.at(grid.world(at + step / 2)), middle, atol=tol.POINT_MM)
    assert np.allclose(field.at(grid.world(-0.49 * np.ones(grid.dim))), data[(slice(None), *(0,) * grid.dim)], atol=tol.POINT_MM)
    assert (field.at(grid.world(-0.51 * np.ones(grid.dim))) == 0).all()


def test_displacement_of_a_matrix(grid):
    move, points = tilt(grid.dim), grid.points()
    assert np.allclose(np.moveaxis(displacement(move, grid), 0, -1), move(points) - points, rtol=0, atol=tol.POINT_MM)


def test_displacement_of_a_field_on_its_own_grid_is_the_field(grid):
    move = waves(grid)
    assert np.allclose(displacement(move, grid), move.field.data, rtol=0, atol=tol.POINT_MM)


def test_refused():
    with pytest.raises(InputError, match=r"\(..., 3\)"):
        tilt(3)(np.zeros((4, 2)))
    with pytest.raises(InputError, match="no transforms"):
        Compose(())
    with pytest.raises(InputError, match="dimensions"):
        Compose((Identity(2), Identity(3)))
    with pytest.raises(InputError, match=r"\(D, \*shape\)"):
        Field(np.zeros((2, 3, 3, 3)), GRIDS["RAS"])
