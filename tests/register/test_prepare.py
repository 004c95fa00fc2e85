"""Images as the stages of a registration see them."""
import numpy as np
import pytest

import voxalign as vx
from voxalign.core import Grid, Image
from voxalign.register.prepare import scale


@pytest.mark.parametrize("shape", [(9, 14, 11), (1, 12, 7), (10, 13)])
def test_one_voxel_is_the_fewest_there_can_be(shape):
    """What is smaller than a voxel of the other image (its header counts in micrometres, say) once was halved for ever."""
    tiny = scale(Image(np.random.default_rng(0).random(shape), Grid(shape, np.diag([0.01] * len(shape) + [1.0]))))
    for spacing in (0.02, 1.0, 50.0):
        coarse = tiny.at(spacing)
        assert all(1 <= n <= m for n, m in zip(coarse.grid.shape, shape, strict=True)) and np.isfinite(coarse.data).all()


def test_images_of_sizes_that_cannot_belong_together_never_pass():
    large = vx.phantom.slice_pair(2, 4.0).fixed
    small = Image(large.data, Grid(large.grid.shape, np.diag([1e-3, 1e-3, 1.0]) @ large.grid.affine))
    assert vx.register(large, small).verdict.status != "PASS"
