"""Every loss of `LOSSES` keeps its contract: the residual is the derivative of the value, the curvature is positive, masks mask."""
from functools import partial

import numpy as np
import pytest
import tolerances as tol
from losses.images import SHAPES, image_pair, random_mask, shifted, smooth_image

from voxalign.core import kernels
from voxalign.losses import LNCC
from voxalign.losses import LOSSES as BY_NAME

LOSSES = BY_NAME | {"lncc of some windows": partial(LNCC, 4, "gaussian", 0.1, 2)}
NAMES = sorted(LOSSES)
IDS = {"ids": lambda shape: "x".join(map(str, shape))}


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("shape", SHAPES, **IDS)
@pytest.mark.parametrize("name", NAMES)
def test_residual_is_the_derivative(name, shape, masks, rng):
    fixed, moved = image_pair(shape, rng)
    mask = random_mask(shape, rng) if masks else None
    bound = LOSSES[name]().bind(fixed, mask)
    residual = bound.terms(moved).residual.astype(np.float64).copy()
    voxels = mask.sum() if masks else moved.size
    scale = np.linalg.norm(residual) + 1e-12
    for direction in (residual / scale, rng.normal(0, 1, shape), smooth_image(shape, rng) - 0.5):  # along the gradient, and across
        direction = direction / np.linalg.norm(direction)
        found = _slope(lambda t, d=direction: bound.terms((moved + t * d).astype(np.float32)).value, _step(name, moved))
        assert abs(found + 2 / voxels * (residual * direction).sum()) < tol.LOSS_DERIVATIVE * 2 / voxels * scale


def _step(name: str, moved: np.ndarray) -> float:
    """Large against float32 values, small against where descriptors have kinks."""
    return (0.02 if name != "mind" else 0.0004) * moved.size**0.5 / 10


def _slope(value, step: float) -> float:
    """Central differences, extrapolated to step 0 (Richardson)."""
    coarse, fine = ((value(h) - value(-h)) / (2 * h) for h in (step, step / 2))
    return (4 * fine - coarse) / 3


@pytest.mark.parametrize("name", NAMES)
def test_curvature_is_positive_and_terms_are_zero_outside_the_mask(name, rng):
    fixed, moved = image_pair((9, 11, 7), rng)
    mask = random_mask(fixed.shape, rng)
    terms = LOSSES[name]().bind(fixed, mask).terms(moved)
    assert terms.residual.dtype == terms.curvature.dtype == np.float32
    assert (terms.curvature >= 0).all() and terms.curvature[mask].mean() > 0
    assert not terms.residual[~mask].any() and not terms.curvature[~mask].any()


@pytest.mark.parametrize("name", NAMES)
def test_values_behind_the_mask_change_nothing(name, rng):
    fixed, moved = image_pair((9, 11, 7), rng)
    mask = random_mask(fixed.shape, rng)
    loss = LOSSES[name]()
    other = [np.where(mask, image, rng.random(image.shape)).astype(np.float32) for image in (fixed, moved)]
    assert loss(fixed, moved, mask) == loss(*other, mask)


@pytest.mark.parametrize("shape", [(9, 11, 10), (13, 12)], **IDS)
@pytest.mark.parametrize("name", sorted(BY_NAME))  # of windows about some voxels only, other ones are cut
def test_a_mask_is_as_good_as_a_crop(name, shape, rng):
    fixed, moved = image_pair(shape, rng)
    box = tuple(slice(2, n - 1) for n in shape)
    mask = np.zeros(shape, bool)
    mask[box] = True
    loss = LOSSES[name]()
    masked, cropped = loss.bind(fixed, mask).terms(moved), loss.bind(fixed[box].copy()).terms(moved[box].copy())
    assert masked.value == pytest.approx(cropped.value, abs=tol.LOSS_VALUE)
    for whole, part in ((masked.residual, cropped.residual), (masked.curvature, cropped.curvature)):
        assert np.abs(whole[box] - part).max() <= tol.LOSS_TERMS * np.abs(part).max()


@pytest.mark.parametrize("name", NAMES)
def test_the_best_small_change_is_about_residual_over_curvature(name, rng):
    """How far to shift an image, by Gauss-Newton on its gradient as registration does: right within a factor."""
    fixed = smooth_image((20, 22, 24), rng, 2.0)
    terms = LOSSES[name]().bind(fixed).terms(shifted(fixed, 0.3))
    gradient = np.gradient(shifted(fixed, 0.3), axis=-1)
    step = (terms.residual * gradient).sum() / (terms.curvature * gradient**2).sum()
    assert -0.3 * tol.LOSS_STEP < step < -0.3 / tol.LOSS_STEP


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_threads_changes_no_bit(name, rng):
    fixed, moved = image_pair((17, 12, 15), rng)
    found = []
    try:
        for threads in (1, 3):
            kernels.set_threads(threads)
            terms = LOSSES[name]().bind(fixed).terms(moved)
            found.append((terms.value, terms.residual.tobytes(), terms.curvature.tobytes()))
    finally:
        kernels.set_threads(None)
    assert found[0] == found[1]
