import numpy as np
import pytest
import SimpleITK as sitk
from filters.inputs import CUBIC, FINE, FLAT, THICK, box, itk, noisy, of_itk
from scipy import ndimage
from skimage import feature
from tolerances import EDGE_MM, EDGES_OF_OTHERS

from voxalign import features
from voxalign.core import Image, UsageError


def ball(grid, radius=9.0, centre=(1.0, -1.0, 0.5)) -> Image:
    """A ball with a soft edge, in the world."""
    return Image(100 / (1 + np.exp(np.linalg.norm(grid.points() - np.array(centre)[:grid.dim], axis=-1) - radius)), grid)


def near(edges, others, reach=1):
    """The part of the edges that has one of the others among its neighbours."""
    wide = ndimage.binary_dilation(others, np.ones((3,) * edges.ndim), iterations=reach)
    return (edges & wide).sum() / max(edges.sum(), 1)


def test_2d_as_scikit_image():
    image = Image.from_array(noisy(FLAT).array + ball(FLAT).array)
    expected = feature.canny(image.array, sigma=2.0, low_threshold=0.3, high_threshold=0.6, use_quantiles=False)
    gradient = features.gradient_magnitude(image, sigma=2.0).array
    top = np.percentile(gradient[gradient > 0], 99.5)
    sobel = 4.0  # its gradient is four times as long (Sobel's weights, over two voxels twice)
    found = features.canny(image, sigma=2.0, low=0.3 / sobel / top, high=0.6 / sobel / top).array > 0
    expected = feature.canny(image.array, sigma=2.0, low_threshold=0.3 / sobel, high_threshold=0.6 / sobel)
    assert min(near(found, expected), near(expected, found)) > EDGES_OF_OTHERS


def test_3d_as_itk():
    image = ball(CUBIC)
    expected = of_itk(sitk.CannyEdgeDetection(itk(image), lowerThreshold=2.0, upperThreshold=8.0, variance=[2.25] * 3)) > 0
    found = features.canny(image, sigma=1.5).array > 0
    assert min(near(found, expected), near(expected, found)) > EDGES_OF_OTHERS


@pytest.mark.parametrize("grid", [FINE, THICK, FLAT], ids=["fine", "thick", "2-D"])
def test_edges_lie_on_the_surface(grid):
    image = ball(grid)
    edges = grid.world(np.argwhere(features.canny(image, sigma=1.0).array))
    off = np.abs(np.linalg.norm(edges - np.array([1.0, -1.0, 0.5])[:grid.dim], axis=1) - 9)
    assert len(edges) > 40 and off.mean() < EDGE_MM * grid.spacing.max() and off.max() < 1.01 * grid.spacing.max()


def test_edges_are_thin_and_closed():
    grid = box((1.0, 1.0), (50, 50))
    edges = features.canny(ball(grid, 12.0, (0.3, 0.2))).array > 0
    assert 60 < edges.sum() < 2 * np.pi * 12 * 1.3
    filled = ndimage.binary_fill_holes(ndimage.binary_closing(edges))
    assert filled.sum() > 0.9 * np.pi * 12**2


def test_the_mask_has_no_edge_of_its_own():
    image = ball(FINE)
    mask = FINE.points()[..., 0] > 1.0
    edges = features.canny(image.with_mask(mask)).array > 0
    away = np.abs(np.linalg.norm(FINE.points() - [1, -1, 0.5], axis=-1) - 9) > 2
    assert not edges[away].any() and not edges[~mask].any() and edges.any()


def test_thresholds_in_order():
    with pytest.raises(UsageError, match="low"):
        features.canny(ball(FLAT), low=0.5, high=0.2)
