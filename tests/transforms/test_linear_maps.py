import numpy as np
import pytest
import tolerances as tol
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from voxalign.core import InputError
from voxalign.transforms import Affine, Linear, Rigid, Similarity, Translation, decompose, generators

FAMILIES = [Translation, Rigid, Similarity, Affine]
CENTRE = np.array([12.0, -30.0, 7.0])
SIZES = {(Translation, 2): 2, (Translation, 3): 3, (Rigid, 2): 3, (Rigid, 3): 6, (Similarity, 2): 4, (Similarity, 3): 7,
         (Affine, 2): 6, (Affine, 3): 12}


def updates(size: int, most: float = 0.3):
    return hnp.arrays(np.float64, size, elements=st.floats(-most, most))


@st.composite
def members(draw) -> Linear:
    """Any member of any family, in 2-D or 3-D, not far from the identity."""
    family, dim = draw(st.sampled_from(list(SIZES)))
    return family.identity(dim, CENTRE[:dim]).retract(draw(updates(SIZES[family, dim])))


@pytest.mark.parametrize("family, dim", SIZES)
def test_identity(family, dim):
    identity = family.identity(dim, CENTRE[:dim])
    points = np.arange(4.0 * dim).reshape(4, dim)
    assert np.array_equal(identity(points), points)
    assert generators(family, dim).shape == (SIZES[family, dim], dim, dim + 1)
    assert len(identity.params) == SIZES[family, dim]
    assert identity.dim == dim and np.array_equal(identity.translation, np.zeros(dim))


@pytest.mark.parametrize("family, dim", SIZES)
def test_retract_moves_points_as_the_generators_say(family, dim, rng):
    transform = family.identity(dim, CENTRE[:dim]).retract(rng.normal(size=SIZES[family, dim]) * 0.2)
    points = rng.normal(size=(6, dim)) * 40
    relative = np.concatenate([points - transform.centre, np.ones((6, 1))], 1)
    step = 1e-5
    for unit, generator in zip(np.eye(SIZES[family, dim]), generators(family, dim), strict=True):
        slope = (transform.retract(step * unit)(points) - transform.retract(-step * unit)(points)) / (2 * step)
        expected = (relative @ generator.T) @ transform.matrix[:-1, :-1].T  # T(x + displacement), to first order
        assert np.abs(slope - expected).max() < tol.GENERATOR


@settings(max_examples=50, deadline=None)
@given(members())
def test_inverse_undoes(transform):
    points = np.array([[0.0, 0, 0], [80, -60, 20], [-15, 90, -70]])[:, : transform.dim]
    assert np.abs(transform.inverse()(transform(points)) - points).max() < tol.WORLD_MM
    assert type(transform.inverse()) is type(transform)
    assert np.allclose(transform.inverse().inverse().centre, transform.centre, atol=tol.WORLD_MM)


@settings(max_examples=50, deadline=None)
@given(members(), st.data())
def test_retract_is_a_group_action(transform, data):
    update = data.draw(updates(len(transform.params)))
    assert np.allclose(transform.retract(update).retract(-update).matrix, transform.matrix, atol=1e-10)
    assert np.allclose(transform.retract(update).retract(update).matrix, transform.retract(2 * update).matrix, atol=1e-9)
    assert np.array_equal(transform.retract(update).centre, transform.centre)


@settings(max_examples=50, deadline=None)
@given(members())
def test_params_say_everything(transform):
    again = type(transform).from_params(transform.params, transform.centre)
    assert np.allclose(again.matrix, transform.matrix, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(members())
def test_families_are_nested(transform):
    for family in FAMILIES[FAMILIES.index(type(transform)) :]:
        assert np.allclose(family.from_matrix(transform.matrix, transform.centre).matrix, transform.matrix, atol=1e-9)


def test_from_matrix_takes_rounding_away():
    turn = Rigid.from_params([0.3, -0.2, 0.1, 4, 5, 6], CENTRE)
    rounded = np.round(turn.matrix, 5)
    linear = Rigid.from_matrix(rounded, CENTRE).matrix[:3, :3]
    assert np.abs(linear @ linear.T - np.eye(3)).max() < 1e-14


BAD = {
    "scaled": np.diag([1.1, 1.1, 1.1, 1]),
    "singular": np.diag([1.0, 1, 0, 1]),
    "mirrored": np.diag([-1.0, 1, 1, 1]),
    "not finite": np.diag([1.0, np.nan, 1, 1]),
    "transposed": np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [5, 6, 7, 1]]),
    "of another shape": np.eye(5),
}


@pytest.mark.parametrize("name", BAD)
def test_other_matrices_are_refused(name):
    with pytest.raises(InputError):
        Rigid.from_matrix(BAD[name])


def test_only_affine_may_mirror():
    assert Affine(BAD["mirrored"]).decompose().scales.tolist() == [-1, 1, 1]
    with pytest.raises(InputError):
        Affine(BAD["mirrored"]).nearest_rigid()
    with pytest.raises(InputError):
        Affine(BAD["singular"])


@pytest.mark.parametrize("dim", [2, 3])
def test_decomposition_finds_what_was_put_in(dim):
    angle, scales, shears = 0.4, np.array([1.2, 0.9, 1.05])[:dim], np.array([0.1, -0.05, 0.2])[: 1 if dim == 2 else 3]
    rotation = [angle] if dim == 2 else angle * np.array([2, -1, 2]) / 3
    upper = np.diag(scales)
    upper[np.triu_indices(dim, 1)] = shears * np.repeat(scales, [dim - 1, dim - 2, 0][:dim])
    turn = Rigid.from_params([*rotation, *np.zeros(dim)], np.zeros(dim)).matrix[:-1, :-1]
    matrix = np.eye(dim + 1)
    matrix[:-1, :-1] = turn @ upper
    transform = Affine(matrix, CENTRE[:dim])
    found = decompose(transform)
    assert np.isclose(found.angle_degrees, np.degrees(angle))
    assert np.allclose(found.scales, scales) and np.allclose(found.shears, shears)
    assert np.allclose(found.translation, transform(CENTRE[:dim]) - CENTRE[:dim])
    assert dim == 2 or np.allclose(found.axis, np.array([2, -1, 2]) / 3)


def test_nearest_rigid_of_a_stretched_rotation_is_the_rotation(rng):
    turn = Rigid.from_params([0.5, 0.2, -0.3, 1, 2, 3], CENTRE)
    stretched = Affine(turn.matrix @ Similarity.from_params([0, 0, 0, 0, 0, 0, 0.2], CENTRE).matrix, CENTRE)
    assert np.allclose(stretched.nearest_rigid().matrix, turn.matrix)


def test_repr_is_readable():
    assert repr(Rigid.from_params([np.radians(10), 1, 2], [0, 0])) == "Rigid(10 degrees, (1, 2) mm)"
