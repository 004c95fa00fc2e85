"""What is minimised, and when."""
import math

import numpy as np
import pytest
import torch

from voxalign.nn import Prediction, fields
from voxalign.train import objective
from voxalign.train.objective import Batch, overlap, roughness
from voxalign.train.recipe import Recipe
from voxalign.train.schedule import Course, rate_at


def one_hot(seed: int, count: int = 3, shape: tuple[int, ...] = (9, 8)) -> torch.Tensor:
    labels = torch.randint(0, count + 1, shape, generator=torch.Generator().manual_seed(seed))
    return torch.stack([labels == k for k in range(1, count + 1)])[None].float()


@pytest.mark.parametrize("balance", [True, False])
def test_overlap_is_nothing_for_equal_maps_and_one_for_others(balance):
    fixed = one_hot(1)
    assert float(overlap(fixed, fixed, None, balance)) == 0
    assert float(overlap(fixed, torch.zeros_like(fixed), None, balance)) == pytest.approx(1)


def test_balance_counts_structures_and_not_voxels():
    fixed = torch.zeros(1, 2, 100)
    fixed[0, 0, :99], fixed[0, 1, 99] = 1, 1
    moved = fixed.clone()
    moved[0, 1] = 0  # the small one is missed altogether
    assert float(overlap(fixed, moved, None, True)) == pytest.approx(0.5)
    assert float(overlap(fixed, moved, None, False)) < 0.01


def test_overlap_does_not_see_what_does_not_count():
    fixed, counts = one_hot(2), torch.ones(1, 9, 8)
    counts[:, :3] = 0
    moved = fixed.clone()
    moved[:, :, :3] = 0.5
    assert float(overlap(fixed, moved, counts)) == 0 < float(overlap(fixed, moved))


@pytest.mark.parametrize("seed", range(5))
def test_roughness_is_blind_to_shifts_and_bending_to_linear_maps(seed):
    shift = torch.randn(2, generator=torch.Generator().manual_seed(seed)).reshape(1, 2, 1, 1)
    ramp = fields.lattice((7, 6), torch.zeros(1))[None] * shift
    assert float(roughness(shift.expand(1, 2, 7, 6))) == 0
    assert float(roughness(ramp, "bending")) == pytest.approx(0, abs=1e-9) and float(roughness(ramp)) > 0


def test_folding_counts_what_is_turned_inside_out():
    x = fields.lattice((12, 12), torch.zeros(1))[None]
    assert float(objective.folding(0.3 * torch.sin(x))) == 0
    assert float(objective.folding(-2 * x)) == pytest.approx(0, abs=1e-6)  # turned by half a circle: not inside out in 2-D
    mirrored = torch.stack([-2 * x[:, 0], 0 * x[:, 1]], 1)
    assert float(objective.folding(mirrored)) == pytest.approx(1, rel=1e-5)


def blob(shift: float) -> torch.Tensor:
    x = fields.lattice((20, 18), torch.zeros(1)) - torch.tensor([9 + shift, 9.0])[:, None, None]
    return torch.exp(-(x**2).sum(0) / 18)[None, None]


@pytest.mark.parametrize("loss", ["lncc", "ncc", "mse", "ssim", "mi", "ngf", "mind"])
def test_steps_along_the_gradient_of_every_similarity_bring_images_together(loss):
    """The engine's own losses, inside autograd."""
    batch, recipe = Batch(blob(0), blob(1.5)), Recipe(loss=loss, smoothness=0.1)
    velocity = torch.zeros(1, 2, 10, 9, requires_grad=True)
    optimizer = torch.optim.Adam([velocity], 0.03)
    values = []
    for _ in range(25):
        optimizer.zero_grad()
        parts = objective.terms(Prediction(velocity, (20, 18), 2), batch, recipe)
        sum(parts.values()).backward()
        optimizer.step()
        values.append(float(parts["image"].detach()))
    u = objective.displacement(Prediction(velocity, (20, 18), 2)).detach()
    slope = (batch.moving.roll(-1, 2) - batch.moving.roll(1, 2))[0, 0].abs()
    assert values[-1] < values[0] and float((u[0, 0] * slope).sum() / slope.sum()) > 0.2  # of 1.5


def test_points_and_known_fields_are_in_mm():
    u = torch.zeros(1, 2, 6, 6)
    batch = Batch(torch.zeros(1, 1, 6, 6), torch.zeros(1, 1, 6, 6), None, None, [torch.tensor([[2.0, 2]])], [torch.tensor([[5.0, 6]])],
                  torch.full((1, 2, 6, 6), 1.0))
    recipe = Recipe(image_weight=0, point_weight=1, field_weight=1, smoothness=0)
    found = objective.terms(Prediction(u, (6, 6)), batch, recipe, spacing=2.0)
    assert float(found["points"]) == pytest.approx(25 * 4) and float(found["field"]) == pytest.approx(2 * (np.sqrt(2 + 0.1**2) - 0.1))


@pytest.mark.parametrize("shape", [(12, 10), (11, 9), (8, 7, 6)])
def test_a_coarser_batch_means_the_same(shape):
    """Points and maps go on to the same places; labels keep their volume where the sizes divide."""
    dim = len(shape)
    field = torch.full((1, dim, *shape), 3.0)
    point = torch.tensor([[4.0] * dim])
    coarse = Batch(torch.rand(1, 1, *shape), torch.rand(1, 1, *shape), None, None, [point], [point + 3], field).coarser(2)
    assert coarse.fixed.shape[2:] == tuple((n + 1) // 2 for n in shape)
    assert torch.allclose(coarse.field, torch.tensor(1.5))
    assert torch.allclose(coarse.moving_points[0] - coarse.fixed_points[0], torch.tensor(1.5))
    assert torch.allclose(coarse.fixed_points[0], torch.tensor(1.75))  # voxel 4 lies a quarter before the middle of voxels 4 and 5


def test_labels_alone_are_compared_on_the_lattice_of_the_velocity():
    """The velocity that brings a square back has the least loss, on either way of comparing."""
    labels = [torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)]
    labels[0][..., 4:10, 4:10], labels[1][..., 6:12, 4:10] = 1, 1
    batch = Batch(*labels, *labels)
    for weight in (0.0, 1e-9):  # with any weight on intensities at full resolution, else on the lattice
        recipe = Recipe(image_weight=weight, loss="mse", smoothness=0)
        found = []
        for voxels in (0.0, 1.0, 2.0):
            velocity = torch.zeros(1, 2, 8, 8)
            velocity[:, 0] = voxels / 2
            found.append(float(objective.terms(Prediction(velocity, (16, 16), 2), batch, recipe)["labels"]))
        assert found[0] > found[1] > found[2] and found[2] == pytest.approx(0, abs=1e-5)


def test_features_that_tell_places_apart_are_not_confused():
    g = torch.Generator().manual_seed(0)
    here = torch.nn.functional.normalize(torch.randn(1, 16, 8, 8, generator=g), dim=1)
    moved = here.roll(2, 2)  # what is at x lies at x + 2 voxels of the lattice, 4 of the images
    images, counts = torch.zeros(1, 1, 16, 16), torch.ones(1, 16, 16)
    counts[:, 12:] = 0  # leaves the image
    field = torch.zeros(1, 2, 16, 16)
    field[:, 0] = 4
    right, wrong = (float(objective.confusion([torch.cat([here, moved])], Batch(images, images, field=f, counts=counts)))
                    for f in (field, 0 * field))
    assert right < 0.5 < wrong
    assert float(objective.confusion([torch.ones(2, 4, 8, 8) / 2], Batch(images, images, field=field, counts=counts))) == pytest.approx(
        math.log(48), rel=1e-3)  # features that are all alike: no better than chance


def test_smoothness_weighs_what_the_network_was_told():
    prediction = Prediction(torch.randn(1, 2, 6, 6, generator=torch.Generator().manual_seed(1)), (6, 6))
    batch = Batch(torch.zeros(1, 1, 6, 6), torch.zeros(1, 1, 6, 6))
    found = [float(objective.terms(prediction, batch, Recipe(image_weight=0, smoothness=0.5), s)["smoothness"]) for s in (1.0, 3.0)]
    assert found[1] == pytest.approx(3 * found[0]) and found[0] == pytest.approx(0.5 * float(roughness(prediction.velocity)))


@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
def test_the_rate_rises_and_then_follows_its_schedule(schedule):
    recipe = Recipe(rate=0.01, warm_up=5, steps=50, schedule=schedule)
    rates = [rate_at(k, recipe, Course(factor=0.25)) for k in range(50)]
    assert rates[:5] == pytest.approx([0.002, 0.004, 0.006, 0.008, 0.01])
    last = {"constant": 0.01, "cosine": 0.01 * (0.01 + 0.99 * (1 + math.cos(math.pi * 44 / 45)) / 2), "plateau": 0.0025}[schedule]
    assert rates[-1] == pytest.approx(last)


def test_a_plateau_halves_the_rate_and_patience_ends_it():
    course = Course()
    for step, score in enumerate([1, 2, 1, 1, 1, 1, 1, 1]):
        course = course.after(score, step, "plateau")
    assert course == Course(2, 1, 6, 0.25) and course.is_over(6) and not course.is_over(7) and not course.is_over(0)
    assert course.after(3, 9, "plateau") == Course(3, 9, 0, 0.25)
