"""A discrete start reaches what a descent from zero does not."""
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from voxalign.core import Grid, Image, Transform
from voxalign.register import Settings, register
from voxalign.register.discrete import start
from voxalign.register.prepare import scale
from voxalign.transforms import Rigid

N = 96


def _far_moved(seed: int, farthest: float) -> tuple[Image, Image, np.ndarray, np.ndarray]:
    """A disc of fine texture, and the same deformed by up to ``farthest`` voxels (1 mm); points of the fixed one, and where they are."""
    rng = np.random.default_rng(seed)
    at = np.indices((N, N)).astype(float)
    radius = np.sqrt(((at - (N - 1) / 2) ** 2).sum(0))
    texture = gaussian_filter(rng.normal(size=(N, N)), 1.0)
    moving = (2 + texture / texture.std()) / (1 + np.exp(radius - 36))
    u = np.stack([gaussian_filter(rng.normal(size=(N, N)), 10) for _ in range(2)])
    u *= farthest / np.sqrt((u**2).sum(0)).max()
    fixed = map_coordinates(moving, at + u, order=1, mode="nearest")
    points = np.argwhere(radius < 30)[::7]
    grid = Grid((N, N), np.eye(3))
    images = [Image(data[None].astype(np.float32), grid) for data in (fixed, moving)]
    return *images, points.astype(float), points + u[(slice(None), *points.T)].T


def _error(transform: Transform, points: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(transform(points) - truth, axis=1).mean())


def test_what_moves_far_is_reached():
    errors = []
    for seed in range(4):
        fixed, moving, points, truth = _far_moved(seed, 17)
        here = Rigid.identity(2, fixed.grid.centre)
        errors.append([_error(register(fixed, moving, Settings(loss="lncc", begin=begin), here).transform, points, truth)
                       for begin in ("zero", "discrete")])
    zero, discrete = np.mean(errors, 0)
    assert discrete < 0.7 * zero < 1.5


def test_equal_images_stay_where_they_are():
    image = scale(_far_moved(1, 4)[0])
    u, grid = start(image, image)
    assert np.abs(u).max() < 0.05 and grid.spacing.min() > image.grid.spacing.min()


def test_flat_images_work():
    flat = Image(np.indices((30, 24)).sum(0)[None].astype(np.float32), Grid((30, 24), np.eye(3)))
    u, grid = start(scale(flat), scale(flat))
    assert u.shape == (2, *grid.shape) and np.isfinite(u).all()
