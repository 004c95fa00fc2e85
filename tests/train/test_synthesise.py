"""Made pairs: places, looks, and the known map between them."""
import pytest
import torch
from people import SHAPE

from voxalign.nn import fields
from voxalign.train import augment, look, place, synthesise
from voxalign.train.data import Sample
from voxalign.train.randomness import generator, smooth_noise
from voxalign.train.tasks import dice_by_structure

FAMILIES = list(synthesise.FAMILIES)


def test_noise_has_the_variance_and_the_size_that_were_asked_for():
    noise = smooth_noise(generator("cpu", 1), (60, 50, 40), 6, 8)
    assert noise.shape == (8, 60, 50, 40) and noise.var() == pytest.approx(1, abs=0.15) and noise.mean().abs() < 0.1
    lag = [float((noise[:, d:] * noise[:, : len(noise[0]) - d]).mean()) for d in (1, 6, 18)]
    assert lag[0] > 0.9 and 0.05 < lag[1] < 0.6 and abs(lag[2]) < 0.15


def test_keys_make_the_numbers():
    first = [smooth_noise(generator("cpu", 1, key), (8, 8), 3) for key in (2, 2, 3)]
    assert torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])


@pytest.mark.parametrize("shape", [(30, 26), (20, 24, 18)])
def test_places_can_be_undone(shape):
    where = place.draw(generator("cpu", 5), shape, place.Strength(), flips=(0,))
    inner = fields.lattice(shape, torch.zeros(1))[(slice(None), *(slice(6, -6) for _ in shape))]
    assert (where.back(where.positions(inner)) - inner).abs().max() < 0.1
    assert torch.linalg.det(where.matrix[:-1, :-1]) < 0  # it was mirrored


@pytest.mark.parametrize("shape", [(40, 36), (24, 28, 20)])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_known_map_is_true(family, shape):
    """Labels of the moving image, brought back along it, are those of the fixed one (but for rounding at outlines)."""
    g = generator("cpu", 7)
    made = synthesise.pair(g, synthesise.FAMILIES[family](g, shape), place.Strength(15, 0.05, 0.1, 0.05, (2.0, 0.3)))
    index = (made.field + fields.lattice(shape, made.field)).round().long()
    back = made.moving_labels[tuple(i.clamp(0, n - 1) for i, n in zip(index, shape, strict=True))]
    counts = made.counts > 0
    still = (made.moving_labels == made.fixed_labels)[counts].float().mean()
    assert (back != made.fixed_labels)[counts].float().mean() < 0.8 * (1 - still)


def test_the_known_map_is_exact_between_smooth_drawings():
    """A drawing of planes: what the map says of their places is right to a fraction of a voxel."""
    shape = (32, 30)
    ramp = fields.lattice(shape, torch.zeros(1))
    second = place.draw(generator("cpu", 3), shape, place.Strength())
    there = second.back(ramp)  # what the moving image shows at each voxel, as the index of the fixed image
    brought = place.read(there, second.positions())
    inside = (slice(None), slice(8, -8), slice(8, -8))
    assert (brought - ramp)[inside].abs().max() < 0.15


@pytest.mark.parametrize("family", FAMILIES)
def test_made_images_are_images(family):
    g = generator("cpu", 11)
    made = [synthesise.pair(g, synthesise.FAMILIES[family](g, (24, 20, 22)), place.Strength()) for _ in range(3)]
    for pair in made:
        for image in (pair.fixed, pair.moving):
            assert image.shape == (1, 24, 20, 22) and image.min() >= 0 and image.max() <= 1 and image.std() > 0.02
        assert pair.counts.mean() > 0.3 and len(pair.fixed_labels.unique()) > 4


def test_unmatched_content_does_not_count():
    missing = 0
    for seed in range(20):
        g = generator("cpu", 13, seed)
        made = synthesise.pair(g, synthesise.shapes(g, (30, 30)), place.Strength(0, 0, 0, 0, (0.0, 0.3)))
        missing += float((made.counts[3:-3, 3:-3] == 0).any())
    assert 0 < missing < 12  # some of the pairs, about 15 %


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_looks_leave_the_places(strength):
    image = torch.zeros(SHAPE)
    image[8:20, 6:18] = 0.7
    seen = look.look(generator("cpu", 2), image, strength)
    assert seen.shape == image.shape and seen.isfinite().all()
    assert torch.corrcoef(torch.stack([seen.flatten(), image.flatten()]))[0, 1] > 0.8
    assert torch.equal(seen, image) == (strength == 0)


def test_thick_slices_keep_the_mean():
    image = torch.rand(20, 24, 16, generator=torch.Generator().manual_seed(0))
    seen = look.thick_slices(generator("cpu", 1), image)
    assert seen.shape == image.shape and seen.std() < 0.9 * image.std()
    assert float(seen.mean()) == pytest.approx(float(image.mean()), abs=0.01)


def test_rician_noise():
    noise = look.rician(generator("cpu", 1), torch.zeros(60, 60), 0.1)
    assert float((noise**2).mean()) == pytest.approx(2 * 0.01, rel=0.1)
    assert float(look.rician(generator("cpu", 1), torch.ones(60, 60), 0.05).std()) == pytest.approx(0.05, rel=0.1)


def test_augmentation_takes_labels_and_points_along():
    lattice = fields.lattice((40, 40), torch.zeros(1))
    ball = ((lattice - torch.tensor([18.0, 23.0])[:, None, None]) ** 2).sum(0) < 36
    sample = Sample(ball[None].float(), ball.short(), torch.tensor([[18.0, 23.0]]))
    for seed in range(5):
        fixed, moving = augment.augmented(generator("cpu", seed), (sample, sample), 1.0)
        for seen in (fixed, moving):
            centre = lattice[:, seen.labels > 0].mean(1)
            assert (centre - seen.points[0]).norm() < 1.0
            assert torch.corrcoef(torch.stack([seen.image[0].flatten(), seen.labels.float().flatten()]))[0, 1] > 0.7
        assert not torch.equal(fixed.labels, moving.labels)


def test_no_augmentation_changes_nothing():
    pair = (Sample(torch.rand(1, 8, 8)), Sample(torch.rand(1, 8, 8)))
    assert augment.augmented(generator("cpu", 1), pair, 0.0) is pair


def test_dice_of_structures():
    fixed = torch.zeros(6, 6, dtype=torch.int16)
    fixed[1:3, 1:3] = 1
    fixed[4, 4] = 2
    moving = fixed.roll(1, 0)
    u = torch.zeros(2, 6, 6)
    assert dice_by_structure(fixed, moving, u) == {1: pytest.approx(0.5), 2: 0.0}
    u[0] = 1
    assert dice_by_structure(fixed, moving, u) == {1: 1.0, 2: 1.0}
