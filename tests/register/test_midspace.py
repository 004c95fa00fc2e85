from dataclasses import replace

import numpy as np
import pytest
import tolerances

from voxalign.core import Grid, Image, InputError, compose
from voxalign.metrics.deformation import jacobian_determinant
from voxalign.phantom import APPEARANCES, Inflation, head_anatomy, image_pair, rigid, with_lesion
from voxalign.phantom.pair import Scan
from voxalign.register.midspace import deformations, evened, mid_poses, mid_space
from voxalign.register.prepare import common_grid
from voxalign.transforms import Rigid
from voxalign.transforms.linear import decompose

MIDDLE = np.array((28.0, -20.0, 30.0))
MOVED = rigid(6, (0.3, -0.4, 1), (4, -3, 2))


def box(voxels, spacing, middle):
    affine = np.diag([*(spacing,) * 3, 1.0])
    affine[:3, 3] = middle - spacing * (voxels - 1) / 2
    return Grid((voxels,) * 3, affine)


@pytest.fixture(scope="module")
def pair():
    """A head around a ball of 25 ml that loses 4 % of its volume."""
    truth = compose([Inflation(tuple(MIDDLE), 27.0, 0.96 ** (1 / 3)), MOVED])
    anatomy = with_lesion(head_anatomy(np.random.default_rng(0)), MIDDLE, 18.0)
    grids = box(40, 3.0, MIDDLE), box(40, 3.0, truth(MIDDLE))
    return image_pair(anatomy, grids, truth, scan=Scan(2, replace(APPEARANCES["T1"], bias=0.05)))


@pytest.fixture(scope="module")
def space(pair):
    return mid_space([pair.fixed, pair.moving])


def test_small_bodies_get_small_margins():
    grid = box(48, 0.5, np.zeros(3))
    ball = Image(np.float32(np.linalg.norm(grid.points(), axis=-1) < 6)[None], grid)
    assert 12 < common_grid([ball, ball], [Rigid.identity(3)] * 2, None).extent.max() < 16


def test_the_middle_is_in_the_middle(pair, space):
    first, second = space.poses
    points = box(3, 40, MIDDLE).points().reshape(-1, 3)
    between = second(first.inverse()(points))
    assert np.linalg.norm(between - MOVED(points), axis=-1).max() < 0.6
    assert [decompose(pose).angle_degrees for pose in space.poses] == pytest.approx([3, 3], abs=0.3)


def test_order_does_not_matter(pair, space):
    other = mid_space([pair.moving, pair.fixed])
    assert other.grid == space.grid
    points = space.grid.corners()
    for mine, theirs in zip(space.poses, reversed(other.poses), strict=True):
        assert np.abs(mine(points) - theirs(points)).max() < tolerances.ORDER_MM


def test_planted_change_of_volume_is_found(pair, space):
    jacobians = [jacobian_determinant(one, space.grid) for one in deformations(space)]
    inside = np.linalg.norm(space.poses[0](space.grid.points()) - MIDDLE, axis=-1) < 18
    change = 100 * np.log(jacobians[1][inside].mean() / jacobians[0][inside].mean())
    assert change == pytest.approx(100 * np.log(0.96), abs=1.0)
    outside = np.linalg.norm(space.poses[0](space.grid.points()) - MIDDLE, axis=-1) > 35
    assert abs(100 * np.log(jacobians[1][outside].mean() / jacobians[0][outside].mean())) < 1.5


def test_poses_of_a_circle_of_pairs_agree_with_all():
    truth = [rigid(a, (1, 2, 3), (a, -a / 2, 3)) for a in (0, 10, -6)]
    pairs = {(i, j): truth[j].matrix @ np.linalg.inv(truth[i].matrix) for i in range(3) for j in range(3) if i != j}
    poses = mid_poses(pairs, [np.zeros(3)] * 3)
    for (i, j), matrix in pairs.items():
        assert np.allclose(poses[j].matrix @ np.linalg.inv(poses[i].matrix), matrix, atol=1e-8)
    turned = mid_poses({(2 - i, 2 - j): matrix for (i, j), matrix in pairs.items()}, [np.zeros(3)] * 3)
    assert all(np.allclose(a.matrix, b.matrix, atol=1e-8) for a, b in zip(poses, reversed(turned), strict=True))
    vectors = np.sum([pose.params for pose in poses], 0)
    assert np.abs(vectors).max() < 1e-6


def test_shading_is_evened_out(pair):
    x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None, None]
    shaded = pair.fixed.with_data(pair.fixed.data * np.exp(0.3 * x))
    before = np.abs(np.log((shaded.array + 1) / (pair.fixed.array + 1))).mean()
    one, other = evened([pair.fixed, shaded])
    body = one.array > 0.3
    assert np.abs(np.log(one.array[body] / other.array[body])).mean() < 0.2 * before


def test_refusals(pair):
    with pytest.raises(InputError, match="at least two"):
        mid_space([pair.fixed])
