"""Made pairs: places, looks, and the known map between them."""
import numpy as np
import pytest
import torch
from people import SHAPE

import voxalign as vx
from voxalign.core import Grid, Image
from voxalign.nn import fields
from voxalign.train import augment, look, place, source, synthesise, table
from voxalign.train.data import Sample
from voxalign.train.randomness import generator, smooth_noise
from voxalign.train.recipe import Recipe
from voxalign.train.tasks import Registration, dice_by_structure
from voxalign.transforms import Affine

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
    made = synthesise.pair(g, synthesise.FAMILIES[family](g, shape), place.Strength(15, 0.05, 0.1, 0.05, (2.0, 0.3)), alike=0.35)
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
    made = [synthesise.pair(g, synthesise.FAMILIES[family](g, (24, 20, 22)), place.Strength(), alike=0.35) for _ in range(3)]
    for pair in made:
        for image in (pair.fixed, pair.moving):
            assert image.shape == (1, 24, 20, 22) and image.min() >= 0 and image.max() <= 1 and image.std() > 0.02
        assert pair.counts.mean() > 0.3 and len(pair.fixed_labels.unique()) > 4


def test_unmatched_content_does_not_count():
    missing = 0
    for seed in range(20):
        g = generator("cpu", 13, seed)
        made = synthesise.pair(g, synthesise.shapes(g, (30, 30)), place.Strength(0, 0, 0, 0, (0.0, 0.3)), alike=0.35)
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


# ---------------------------------------------------------------- label maps of several people
SPOTS = np.array([[5.0, 6, 7], [20, 8, 9], [7, 22, 10], [19, 21, 20], [8, 9, 22], [14, 14, 14]])


@pytest.fixture
def two_maps(tmp_path):
    """Spots of two people, on different grids, the second's moved by a known affine map (mm); and that map."""
    matrix = np.eye(4)
    matrix[:3] = [[1.1, 0.05, 0, 4], [0, 0.95, -0.04, -3], [0.03, 0, 1.05, 2]]
    (tmp_path / "labels").mkdir()
    for name, centres, spacing in (("ann", SPOTS, 1.0), ("ben", SPOTS @ matrix[:3, :3].T + matrix[:3, 3], 0.8)):
        grid = Grid((46, 42, 48), np.diag([spacing, spacing, spacing, 1.0]))
        away = np.linalg.norm(grid.points()[..., None, :] - centres, axis=-1)
        vx.save(Image(np.where(away.min(-1) < 2.5, away.argmin(-1) + 1, 0).astype(np.int16)[None], grid, None, True),
                tmp_path / "labels" / f"{name}.nii.gz")
    return tmp_path, Affine(matrix)


def test_people_are_laid_on_each_other_by_their_structures(two_maps):
    folder, truth = two_maps
    first, second = source.by_structures(table.read(folder)).values()
    here = first.inverse()(SPOTS)
    assert np.abs(second(here) - truth(SPOTS)).max() < 0.3  # centres of spots of voxels
    assert np.abs(here.mean(0)).max() < 3  # about the middle of the common space


@pytest.mark.parametrize("family", ["maps", "people"])
def test_pairs_of_label_maps(two_maps, family):
    recipe = Recipe(synthesise=(family,), stripped=(6,), shape=(24, 24, 24), spacing=1.5, validation=0, test=0, apart=0.1)
    made = Registration(recipe, source.from_table(table.read(two_maps[0]), recipe))
    drawn = [made.pair(made.training_generator(step, 0)) for step in range(8)]
    assert {known is None for _, _, known, _ in drawn} == {family == "people"}
    has_spot = {bool((fixed.labels == 6).any()) for fixed, *_ in drawn}
    assert has_spot == {True, False}  # half of them are stripped of it, both images alike
    assert all((fixed.labels == 6).any() == (moving.labels == 6).any() for fixed, moving, *_ in drawn)
    overlap = np.mean([list(dice_by_structure(f.labels, m.labels, torch.zeros(3, 24, 24, 24)).values()) for f, m, *_ in drawn
                       if not (f.labels == 6).any()])
    assert overlap > 0.4  # they lie on each other


def test_like_contrasts_are_functions_of_each_other():
    """Ranks of the means of labels agree or are reversed if contrasts are alike, and seldom if not."""
    def agreement(alike, number):
        ranks = [means[1:].argsort().argsort().float() for means in synthesise._contrasts(generator("cpu", number), 12, alike)]
        return abs(float(torch.corrcoef(torch.stack(ranks))[0, 1]))

    for number in range(5):
        assert agreement(1.0, number) == pytest.approx(1) and agreement(0.0, number) < 0.9
