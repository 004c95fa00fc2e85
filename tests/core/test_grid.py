import nibabel as nib
import numpy as np
import pytest
import tolerances as tol
from hypothesis import given
from hypothesis import strategies as st
from spaces import GRIDS, homogeneous, rotation

from voxalign.core import Grid, InputError


@st.composite
def grids(draw) -> Grid:
    """Any grid: turned, mirrored, anisotropic, far from the origin."""
    dim = draw(st.integers(2, 3))
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=dim, max_size=dim)))
    spacing = draw(st.lists(st.floats(0.05, 20), min_size=dim, max_size=dim))
    signs = draw(st.lists(st.sampled_from([-1, 1]), min_size=dim, max_size=dim))
    linear = rotation(tuple(draw(st.lists(st.floats(-180, 180), min_size=3, max_size=3))))
    linear = rotation((0, 0, draw(st.floats(-180, 180))))[:2, :2] if dim == 2 else linear
    origin = draw(st.lists(st.floats(-1000, 1000), min_size=dim, max_size=dim))
    return Grid(shape, homogeneous(linear @ np.diag(np.multiply(spacing, signs)), origin))


@given(grids(), st.lists(st.floats(-1000, 1000), min_size=3, max_size=3))
def test_index_and_world_are_inverse(grid, index):
    index = index[:grid.dim]
    assert np.allclose(grid.index(grid.world(index)), index, rtol=0, atol=1e-6)


@given(grids(), st.lists(st.integers(1, 12), min_size=3, max_size=3))
def test_another_shape_covers_the_same_box(grid, shape):
    other = grid.with_shape(shape[:grid.dim])
    for face in (0, 1):
        ends = [np.array(g.shape) * face - 0.5 for g in (grid, other)]
        assert np.allclose(grid.world(ends[0]), other.world(ends[1]), rtol=0, atol=tol.WORLD_MM)
    assert np.allclose(other.direction, grid.direction)
    assert np.allclose(other.extent, grid.extent)


@given(grids())
def test_axes_agree_with_nibabel(grid):
    affine = np.eye(4)
    affine[:grid.dim, :grid.dim], affine[:grid.dim, 3] = grid.affine[:-1, :-1], grid.affine[:-1, -1]
    sizes = np.sort(np.abs(grid.direction), 0)
    if np.min(sizes[-1] - sizes[-2]) < 0.05 or len(set(np.argmax(np.abs(grid.direction), 0))) < grid.dim:
        return  # nearly diagonal axes may be named either way
    assert grid.axes == "".join(nib.aff2axcodes(affine)[:grid.dim])


@pytest.mark.parametrize("name, axes", [("RAS", "RAS"), ("LAS", "LAS"), ("LPS", "LPS")])
def test_axes_of_named_grids(name, axes):
    assert GRIDS[name].axes == axes


def test_no_world_axis_is_named_twice():
    diagonal = Grid((3, 3, 3), homogeneous(rotation((45, 45, 45)), (0, 0, 0)))
    assert {{"L": "R", "P": "A", "I": "S"}.get(a, a) for a in diagonal.axes} == set("RAS")


def test_derived_values_of_an_oblique_grid():
    grid = GRIDS["oblique"]
    assert np.allclose(grid.spacing, (1.1, 0.9, 2.3))
    assert np.allclose(grid.direction @ np.diag(grid.spacing), grid.affine[:3, :3])
    assert np.allclose(grid.origin, (-3, -12, -9))
    assert np.isclose(grid.voxel_volume, 1.1 * 0.9 * 2.3)
    assert np.allclose(grid.extent, grid.spacing * grid.shape)
    assert grid.size == 16 * 18 * 9
    assert grid.is_orthogonal and not grid.is_left_handed


def test_handedness_and_shear():
    assert GRIDS["left-handed"].is_left_handed and GRIDS["LAS"].is_left_handed
    assert not GRIDS["LPS"].is_left_handed
    assert [name for name, grid in GRIDS.items() if not grid.is_orthogonal] == ["sheared"]


def test_points_are_the_world_of_every_index(grid):
    points = grid.points()
    at = tuple(n // 2 for n in grid.shape)
    assert points.shape == (*grid.shape, grid.dim)
    assert np.allclose(points[at], grid.world(at), rtol=0, atol=tol.WORLD_MM)
    assert np.allclose(points.reshape(-1, grid.dim).mean(0), grid.centre)
    assert len(grid.corners()) == 2**grid.dim
    assert grid.contains(points).all()


def test_contains_ends_at_the_outer_faces(grid):
    last = np.array(grid.shape) - 1.0
    assert grid.contains(grid.world(last + 0.499)) and grid.contains(grid.world(np.full(grid.dim, -0.499)))
    assert not grid.contains(grid.world(last + 0.501)) and not grid.contains(grid.world(np.full(grid.dim, -0.501)))


def test_spacing_is_met_as_nearly_as_whole_voxels_allow():
    grid = Grid((10, 10), np.diag([1.0, 1, 1]))
    assert grid.with_spacing(3).shape == (3, 3)
    assert grid.with_spacing((2.5, 40)).shape == (4, 1)
    assert np.allclose(grid.with_spacing(3).extent, grid.extent)
    assert grid.downsample(2) == grid.with_shape((5, 5))
    assert grid.with_spacing(grid.spacing) == grid


def test_crop_keeps_voxels_in_place(grid):
    start, stop = (2,) * grid.dim, tuple(n + 3 for n in grid.shape)
    part = grid.crop(start, stop)
    assert part.shape == tuple(n + 1 for n in grid.shape)
    assert np.allclose(part.world((0,) * grid.dim), grid.world(start))
    assert np.allclose(grid.crop((-1,) * grid.dim, grid.shape).world((1,) * grid.dim), grid.origin)


def test_value_semantics(grid):
    same = Grid(list(grid.shape), grid.affine.tolist())
    moved = homogeneous(grid.affine[:-1, :-1], grid.origin + 1e-4)
    assert same == grid and hash(same) == hash(grid) and len({same, grid}) == 1
    assert Grid(grid.shape, moved) != grid and Grid(grid.shape, moved).is_close(grid)
    assert not Grid(grid.shape, moved).is_close(grid, 1e-5)
    assert grid != grid.with_shape([n + 1 for n in grid.shape]) and grid != "grid"
    with pytest.raises(ValueError):
        grid.affine[0, 0] = 3


def test_the_callers_affine_may_change():
    affine = np.eye(4)
    grid = Grid((2, 2, 2), affine)
    affine[0, 0] = 7
    assert grid.affine[0, 0] == 1


def test_repr_says_what_a_reader_asks():
    assert repr(GRIDS["LAS"]) == "Grid(15x12x13, 1.2x1.4x1.6 mm, LAS)"


@pytest.mark.parametrize("shape, affine, words", [
    ((3, 3, 0), np.eye(4), "positive sizes"),
    ((3,), np.eye(2), "2 or 3"),
    ((3, 3, 3), np.eye(3), "affine of shape"),
    ((3, 3, 3), np.diag([1, np.nan, 1, 1]), "NaN"),
    ((3, 3, 3), np.diag([1, 0, 1, 1.0]), "singular"),
    ((2, 2), np.array([[1, 2, 0], [2, 4, 0], [0, 0, 1.0]]), "singular"),
])
def test_refused(shape, affine, words):
    with pytest.raises(InputError, match=words):
        Grid(shape, affine)
