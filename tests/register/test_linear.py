"""Linear stages where little of the fixed image counts."""
import numpy as np
import pytest

from voxalign.core import Image
from voxalign.phantom import head_pair
from voxalign.phantom.pair import Motion
from voxalign.register import Settings, register


@pytest.mark.parametrize("loss", ["lncc", "ngf"])
def test_a_small_region_of_a_large_image_is_followed(loss):
    """A mask of two per cent of the voxels: the images are aligned there, from coarse to fine."""
    pair = head_pair(3, 3.0, motion=Motion(6, (0, 0, 1), (4.0, 3.0, -2.0), 0))
    grid = pair.fixed.grid
    middle = np.argwhere(pair.fixed_labels.array > 0).mean(0)
    near = np.abs(np.indices(grid.shape) - middle.reshape(3, 1, 1, 1)).max(0) < 10
    fixed = Image(pair.fixed.data, grid, near)
    assert near.mean() < 0.03
    found = register(fixed, pair.moving, Settings(transform="rigid", initial="headers", loss=loss)).transform
    points = grid.world(np.argwhere(near)[::9])
    before, after = (np.linalg.norm(map_(points) - pair.truth(points), axis=1).mean() for map_ in (lambda p: p, found))
    assert before > 5 and after < 0.5
