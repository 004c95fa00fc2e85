"""What each loss is blind to, where it is least, and that it is what its definition says."""
import numpy as np
import pytest
import tolerances as tol
from losses.images import image_pair, random_mask, shifted, smooth_image
from scipy.ndimage import convolve

from voxalign.core import InputError, UsageError, kernels
from voxalign.losses import LNCC, LOSSES, MIND, NGF, NMI, SSIM, CrossEntropy, label_cross_entropy, loss, soft_dice

NAMES = sorted(LOSSES)


@pytest.mark.parametrize("shape", [(12, 14, 13), (30, 31)])
@pytest.mark.parametrize("name", NAMES)
def test_equal_images_are_the_best(name, shape, rng):
    fixed, other = image_pair(shape, rng)
    equal = LOSSES[name]()(fixed, fixed)
    assert equal < min(LOSSES[name]()(fixed, image) for image in (other, shifted(fixed, 1.0), smooth_image(shape, rng)))


@pytest.mark.parametrize("name", ["lncc", "ncc", "ssim", "mse", "mind"])
def test_equal_images_have_no_loss(name, rng):
    fixed = smooth_image((12, 14, 13), rng)
    assert LOSSES[name]()(fixed, fixed) == pytest.approx(0, abs=tol.LNCC_FLOOR if name == "lncc" else tol.LOSS_VALUE)


@pytest.mark.parametrize("name", ["lncc", "ncc", "ngf", "mind", "mi", "nmi"])
def test_blind_to_inversion(name, rng):
    fixed, moved = image_pair((12, 14, 13), rng)
    assert LOSSES[name]()(fixed, 1 - moved) == pytest.approx(LOSSES[name]()(fixed, moved), rel=1e-3)


@pytest.mark.parametrize("name", ["lncc", "ncc", "ngf", "ssim"])
def test_symmetric(name, rng):
    fixed, moved = image_pair((12, 14, 13), rng)
    assert LOSSES[name]()(fixed, moved) == pytest.approx(LOSSES[name]()(moved, fixed), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_constant_images_give_numbers(name):
    terms = LOSSES[name]().bind(np.full((6, 7, 5), 0.5, np.float32)).terms(np.full((6, 7, 5), 0.3, np.float32))
    assert np.isfinite(terms.value) and np.isfinite(terms.residual).all() and np.isfinite(terms.curvature).all()


def test_ssim_is_its_definition(rng):
    fixed, moved = (image.astype(np.float64) for image in image_pair((9, 10, 8), rng))

    def mean(image):
        box = np.ones((5, 5, 5))
        return convolve(image, box, mode="constant") / convolve(np.ones_like(image), box, mode="constant")

    f, j = mean(fixed), mean(moved)
    ff, jj, fj = mean(fixed**2) - f * f, mean(moved**2) - j * j, mean(fixed * moved) - f * j
    wanted = (2 * f * j + 1e-4) * (2 * fj + 9e-4) / ((f * f + j * j + 1e-4) * (ff + jj + 9e-4))
    assert SSIM(2)(fixed, moved) == pytest.approx(1 - wanted.mean(), abs=tol.LOSS_VALUE)


def test_ngf_is_its_definition_away_from_the_faces(rng):
    fixed, moved = image_pair((9, 10, 8), rng)
    gradients = [np.stack(np.gradient(image.astype(np.float64), 1, 2, 4)) for image in (fixed, moved)]
    wanted = (gradients[0] * gradients[1]).sum(0) ** 2 / np.prod([(g**2).sum(0) + 0.1**2 for g in gradients], 0)
    mask = np.ones(fixed.shape, bool)
    bound = NGF(0.1, (1.0, 2.0, 4.0)).bind(fixed, mask)
    shares = kernels.ngf(bound.field, moved, bound.inverse, 0.1)[0]
    faces = np.ones(fixed.shape, bool)
    faces[1:-1, 1:-1, 1:-1] = False
    inner = kernels.gradient(moved, bound.inverse)
    found = (bound.field * inner).sum(0) ** 2 / ((inner**2).sum(0) + 0.1**2)
    assert np.abs(found - wanted)[~faces].max() < 1e-5
    assert shares == pytest.approx(found.sum(), rel=1e-5)


def test_cross_entropy_is_its_definition(rng):
    fixed, moved = image_pair((9, 10, 8), rng)
    centres = np.linspace(0, 1, 8)

    def classes(image):
        weight = np.exp(-((image[..., None] - centres) ** 2) / (2 * (0.5 / 7) ** 2))
        return weight / weight.sum(-1, keepdims=True)

    wanted = -(classes(fixed) * np.log(classes(moved))).sum(-1)
    mask = random_mask(fixed.shape, rng)
    assert CrossEntropy(8)(fixed, moved) == pytest.approx(wanted.mean(), rel=1e-5)
    assert CrossEntropy(8)(fixed, moved, mask) == pytest.approx(wanted[mask].mean(), rel=1e-5)


def test_nmi_of_a_known_histogram(rng):
    """Two independent images of two values each: 1; the spread of the moved image's window adds to neither."""
    fixed = (rng.random((40, 40, 40)) < 0.5).astype(np.float32)
    assert NMI()(fixed, (rng.random(fixed.shape) < 0.5).astype(np.float32)) == pytest.approx(1, abs=1e-3)
    assert NMI()(fixed, fixed) < 0.8


def test_mind_descriptors(rng):
    image = smooth_image((9, 10, 8), rng)
    descriptors = MIND().describe(image)
    assert descriptors.shape == (12, 9, 10, 8) and descriptors.max(0).min() == pytest.approx(1)
    assert MIND().describe(image[0]).shape == (4, 10, 8)
    assert np.abs(MIND().describe(1 - image) - descriptors).max() < 1e-3


def test_radii_of_each_axis(rng):
    fixed, moved = image_pair((9, 10, 8), rng)
    for one in (LNCC((1, 2, 3)), SSIM((1, 2, 3)), SSIM(4, "gaussian"), MIND((1, 1, 0), (1, 2, 3))):
        assert one(fixed, fixed) < one(fixed, moved)


@pytest.mark.parametrize("function", [soft_dice, label_cross_entropy])
def test_losses_of_labels(function, rng):
    fixed = np.stack([rng.random((5, 6, 4)) for _ in range(3)])
    fixed, mask = fixed / fixed.sum(0), random_mask((5, 6, 4), rng)
    moved = np.roll(fixed, 1, 1)
    value, gradient = function(fixed, moved, mask)
    direction, step = rng.normal(0, 1, moved.shape), 1e-6
    slope = (function(fixed, moved + step * direction, mask)[0] - function(fixed, moved - step * direction, mask)[0]) / (2 * step)
    assert slope == pytest.approx((gradient * direction).sum(), rel=1e-3)
    assert not gradient[:, ~mask].any()
    assert function(fixed, fixed, mask)[0] < value


def test_dice_of_label_maps():
    one = np.eye(2)[np.array([[0, 0, 1, 1], [0, 1, 1, 1]])].transpose(2, 0, 1)
    assert soft_dice(one, one)[0] == pytest.approx(0)
    assert soft_dice(one, one[::-1])[0] == pytest.approx(1)


def test_unknown_names_are_refused():
    with pytest.raises((UsageError, InputError), match="ncc"):
        loss("nccc")
