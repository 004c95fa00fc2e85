"""Landmarks, labels and regions inside the optimisation: each does what it promises."""
import numpy as np
import pytest

from voxalign.core import Grid, Image, Points, kernels, resample
from voxalign.metrics import deformation_summary
from voxalign.phantom import Sliding, error_mm, slice_pair
from voxalign.register import Guide, Settings, register
from voxalign.register.constraints import nearest_rigid

QUICK = Settings(initial="moments", iterations=(15, 10))


@pytest.fixture(scope="module")
def pair():
    return slice_pair(seed=3, spacing=2.0)


def test_landmarks_pull_where_images_say_nothing():
    grid = Grid((48, 40), np.diag([1.0, 1, 1]))
    i, j = np.meshgrid(*map(np.arange, grid.shape), indexing="ij")
    disc = Image(((i - 24) ** 2 + (j - 20) ** 2 < 150).astype(np.float32), grid)  # its inside is flat
    fixed, moving = Points([[24.0, 20.0]]), Points([[27.0, 18.0]])
    settings = Settings(initial="none", loss="mse")
    plain = register(disc, disc, settings).transform(fixed.coordinates)
    pulled = register(disc, disc, settings, guide=Guide(points=(fixed, moving))).transform(fixed.coordinates)
    assert np.abs(plain - fixed.coordinates).max() < 0.2
    assert np.abs(pulled - moving.coordinates).max() < 0.6


def test_labels_improve_what_they_outline(pair):
    found = [register(pair.fixed, pair.moving, QUICK, guide=guide)
             for guide in (Guide(), Guide(labels=(pair.fixed_labels, pair.moving_labels)))]
    plain, guided = (error_mm(r.transform, pair.truth, pair.fixed_labels).mean() for r in found)
    assert guided < plain


def test_a_rigid_region_stays_rigid(pair):
    region = np.zeros(pair.fixed.grid.shape, np.uint8)
    region[35:60, 45:75] = 1
    labels = Image(region, pair.fixed.grid, is_label=True)
    inside = pair.fixed.grid.world(np.argwhere(region == 1))
    bent, rigid = (register(pair.fixed, pair.moving, QUICK, guide=g).transform for g in (Guide(), Guide(rigid_regions=labels)))
    off = [np.abs(nearest_rigid(inside, t(inside))(inside) - t(inside)).max() / pair.fixed.grid.spacing.min() for t in (bent, rigid)]
    assert off[1] < 0.1 < off[0]
    assert deformation_summary(rigid, pair.fixed.grid)["jacobian_min"] > 0


def test_sliding_regions_move_apart(rng):
    grid = Grid((64, 64), np.diag([1.0, 1, 1]))
    truth = Sliding(point=(32.0, 31.5), normal=(0.0, 1.0), along=(4.0, 0.0))
    texture = kernels.smooth(rng.random((1, 96, 96)).astype(np.float32), (1.5, 1.5))[0]
    big = Image(texture, Grid((96, 96), np.array([[1.0, 0, -16], [0, 1, -16], [0, 0, 1]])))
    moving = resample(big, grid)
    fixed = resample(big, grid, truth)
    points = grid.world(np.argwhere(np.ones(grid.shape)))
    regions = Image((truth(points) - points)[:, 0].reshape(grid.shape) > 0, grid, is_label=True)
    settings = Settings(initial="none", transform="deformable", loss="lncc")
    near = (np.abs(points[:, 1] - 31.5) < 6) & (points.min(1) > 10) & (points.max(1) < 54)
    errors = [np.linalg.norm(register(fixed, moving, settings, guide=g).transform(points) - truth(points), axis=1)[near].mean()
              for g in (Guide(), Guide(sliding_regions=regions))]
    assert errors[1] < 0.7 * errors[0]
