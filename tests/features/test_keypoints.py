import numpy as np
import pytest
from filters.inputs import FINE, blob
from spaces import homogeneous, rotation
from tolerances import KEYPOINT_MM, KEYPOINT_START_MM

from voxalign import features, phantom
from voxalign.core import Image, InputError
from voxalign.features.keypoints import fit_rigid
from voxalign.transforms import Affine


def test_blobs_are_where_they_are_and_as_large():
    found = features.keypoints(blob(FINE, (3.0, -2.0, 4.0), 4.0), scales=(2.0, 8.0))
    assert found.points[0] == pytest.approx([3, -2, 4], abs=KEYPOINT_MM)
    assert 3 < found.scale[0] < 7 and np.linalg.norm(found.descriptors[0]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("dim", [2, 3])
def test_rigid_fit(dim, rng):
    matrix = homogeneous(rotation((20, -35, 50))[:dim, :dim] if dim == 3 else rotation((0, 0, 50))[:2, :2], (3.0, -8.0, 2.0)[:dim])
    points = rng.uniform(-50, 50, (9, dim))
    assert fit_rigid(points, points @ matrix[:-1, :-1].T + matrix[:-1, -1]) == pytest.approx(matrix, abs=1e-9)


def test_a_head_turned_by_25_degrees():
    pair = phantom.head_pair(0, spacing=4.0)
    found = features.match(pair.fixed, pair.moving, scales=(4.0, 10.0))
    off = np.linalg.norm(pair.truth(found.fixed.coordinates) - found.moving.coordinates, axis=1)
    assert len(found.fixed) == len(found.moving) >= 15 and np.median(off) < KEYPOINT_START_MM
    assert phantom.error_mm(Affine(found.matrix), pair.truth, pair.fixed_labels).mean() < 1.5 * KEYPOINT_START_MM
    again = features.match(pair.fixed, pair.moving, scales=(4.0, 10.0))
    assert np.array_equal(again.matrix, found.matrix)


def test_a_slice():
    pair = phantom.slice_pair(0)
    found = features.match(pair.fixed, pair.moving)
    off = np.linalg.norm(pair.truth(found.fixed.coordinates) - found.moving.coordinates, axis=1)
    assert len(found.fixed) >= 15 and np.median(off) < KEYPOINT_START_MM


def test_masked_voxels_hold_no_keypoints():
    pair = phantom.slice_pair(0)
    mask = pair.fixed.grid.points()[..., 0] > 0
    found = features.keypoints(pair.fixed.with_mask(mask))
    assert len(found) and (found.points[:, 0] > -2).all()


def test_nothing_in_common(rng):
    noise = [Image.from_array(rng.standard_normal((40, 40, 40))) for _ in range(2)]
    with pytest.raises(InputError, match="agree on one motion"):
        features.match(*noise)
    with pytest.raises(InputError, match="fixed is 3-D"):
        features.match(noise[0], Image.from_array(np.eye(30)))
