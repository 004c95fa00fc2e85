import numpy as np
import pytest

from voxalign import phantom
from voxalign.metrics import jacobian_determinant
from voxalign.phantom import HeadLabel, LimbLabel


def test_the_whole_lesion_grows_by_what_was_planted(growth=1.2):
    pair = phantom.follow_up_pair(0, spacing=4.0, growth=growth, radius=16.0)
    maps = pair.fixed_labels, pair.moving_labels
    before, after = ((labels.array == HeadLabel.LESION).sum() * labels.grid.voxel_volume for labels in maps)
    assert after / before == pytest.approx(growth, rel=0.05)  # voxels are counted
    inside = pair.fixed_labels.array == HeadLabel.LESION
    assert np.allclose(jacobian_determinant(pair.truth, pair.fixed.grid)[inside], growth, rtol=2e-3)


def test_a_tumour_is_the_same_for_all_scanners():
    volumes = []
    for kind in ("CT", "PET"):
        pair = phantom.tumour_pair(kind, 0, spacing=6.0, radius=20.0)
        moved = pair.truth(pair.fixed.grid.world(np.argwhere(pair.fixed_labels.array == HeadLabel.LESION)))
        there = pair.moving.grid.world(np.argwhere(pair.moving_labels.array == HeadLabel.LESION))
        assert np.linalg.norm(moved.mean(0) - there.mean(0)) < 1.0
        volumes.append((pair.fixed_labels.array == HeadLabel.LESION).sum())
    assert volumes[0] == volumes[1] > 50


def test_shafts_move_as_wholes_when_the_leg_bends():
    pair = phantom.limb_change_pair(0, spacing=5.0, joint_angle_degrees=30.0, muscle=0.99)
    shafts = phantom.shafts(pair.fixed_labels)
    assert set(np.unique(shafts.array)) == {0, 1, 2}
    for name in (1, 2):
        points = shafts.grid.world(np.argwhere(shafts.array == name))
        apart = [np.linalg.norm(p[:, None] - p, axis=-1) for p in (points[::40], pair.truth(points[::40]))]
        assert np.abs(apart[0] - apart[1]).max() < 0.1
    assert (pair.fixed_labels.array == LimbLabel.QUADRICEPS).any()
