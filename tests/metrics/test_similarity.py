import numpy as np
import pytest
import SimpleITK as sitk
import tolerances as tol
from pairs import blobs
from scipy.stats import entropy
from skimage.metrics import normalized_mutual_information, structural_similarity
from spaces import GRIDS

from voxalign.core import Image, InputError
from voxalign.metrics import mutual_information_nats, ncc, ssim


@pytest.fixture
def pair(rng):
    a = blobs()
    return a, a.with_data(0.5 * a.array + 5 * rng.standard_normal(a.grid.shape))


def test_correlation_equals_simpleitk(pair):
    theirs = sitk.ImageRegistrationMethod()
    theirs.SetMetricAsCorrelation()
    theirs.SetInterpolator(sitk.sitkNearestNeighbor)
    theirs.SetInitialTransform(sitk.Transform(3, sitk.sitkIdentity))
    images = [sitk.GetImageFromArray(image.array.astype(np.float32)) for image in pair]
    assert ncc(*pair) ** 2 == pytest.approx(-theirs.MetricEvaluate(*images), abs=tol.SIMILARITY)  # theirs is the square


def test_mutual_information_equals_scikit_image(pair):
    a, b = (image.array.ravel().astype(float) for image in pair)
    together = entropy(np.histogram2d(a, b, 64)[0].ravel())
    theirs = (normalized_mutual_information(a, b, bins=64) - 1) * together
    assert mutual_information_nats(*pair) == pytest.approx(theirs, abs=tol.SIMILARITY)


def test_structural_similarity_equals_scikit_image(rng):
    """The images differ in the middle only: what happens to windows at the edge plays no part."""
    a, noise = blobs(), np.zeros(blobs().grid.shape)
    noise[8:-8, 8:-8, 8:-8] = 60 * rng.random((12, 14, 10))
    b = a.with_data(a.array + noise)
    x, y = (((i.array - low) / (high - low)).clip(0, 1) for i, (low, high) in ((i, np.percentile(i.array, (0.5, 99.5))) for i in (a, b)))
    theirs = structural_similarity(x, y, win_size=7, data_range=1, use_sample_covariance=False, full=True)[1].mean()
    assert 0.5 < theirs < 0.98 and ssim(a, b) == pytest.approx(theirs, abs=tol.SSIM_EDGE)


def test_same_images(grid, rng):
    image = Image(rng.random(grid.shape), grid)
    assert ncc(image, image) == pytest.approx(1) == ssim(image, image)
    assert ncc(image, image.with_data(3 - 2 * image.data)) == pytest.approx(-1)
    assert ssim(image, image.with_data(7 * image.data + 100)) == pytest.approx(1, abs=tol.SIMILARITY)


def test_only_what_counts_in_both_counts(rng):
    grid = GRIDS["RAS"]
    image, half = Image(rng.random(grid.shape), grid), np.zeros(grid.shape, bool)
    half[:7] = True
    spoilt = image.with_data(np.where(half, image.data, rng.random(grid.shape)))
    for measure in (ncc, ssim):
        assert measure(image, spoilt.with_mask(half)) == pytest.approx(1) == measure(image.with_mask(half), spoilt)
        assert measure(image, spoilt) < 0.9
    assert mutual_information_nats(image, spoilt.with_mask(half)) > 2 * mutual_information_nats(image, spoilt.with_mask(~half))


def test_constant_images_have_no_correlation():
    grid = GRIDS["RAS"]
    assert np.isnan(ncc(Image(np.ones(grid.shape), grid), Image(np.ones(grid.shape), grid)))


def test_refused(rng):
    grid = GRIDS["RAS"]
    image = Image(rng.random(grid.shape), grid)
    with pytest.raises(InputError, match="two grids"):
        ncc(image, blobs())
    with pytest.raises(InputError, match="label map"):
        ssim(image, Image(np.zeros(grid.shape, int), grid, is_label=True))
    with pytest.raises(InputError, match="no voxel counts"):
        mutual_information_nats(image.with_mask(np.zeros(grid.shape, bool)), image)
