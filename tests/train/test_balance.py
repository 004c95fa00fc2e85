"""Structures that hardly count among voxels."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from tolerances import RARE

import voxalign as vx
from voxalign.nn import Prediction, weights
from voxalign.train import loop, objective, source, table
from voxalign.train.objective import Batch
from voxalign.train.randomness import generator
from voxalign.train.recipe import Recipe
from voxalign.train.tasks import Registration, choose_labels, dice_by_structure, one_hot


def scene(shift: int, rare: int) -> torch.Tensor:
    """A large disc that stays, around a rare structure (about 1 % of what is labelled) that moves."""
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    labels = ((y - 24) ** 2 + (x - 24) ** 2 < 400).short()
    labels[((y - 24) ** 2 + (x - 24 - rare - shift) ** 2) < 4] = 2
    return labels


@pytest.mark.parametrize("rare", [-6, 0, 6])
def test_balance_improves_the_dice_of_rare_structures(rare):
    fixed, moving = scene(0, rare), scene(2, rare)
    assert 0.005 < float((fixed == 2).sum() / (fixed > 0).sum()) < 0.015
    dice = {}
    for balance in (False, True):
        recipe = Recipe(image_weight=0, balance=balance, smoothness=1.0)
        empty, chosen = torch.zeros(1, 1, 48, 48), torch.tensor([1, 2])
        batch = Batch(empty, empty, *(one_hot(m, chosen)[None] for m in (fixed, moving)))
        velocity = torch.zeros(1, 2, 24, 24, requires_grad=True)
        optimizer = torch.optim.Adam([velocity], 0.02)
        for _ in range(80):
            optimizer.zero_grad()
            sum(objective.terms(Prediction(velocity, (48, 48), 2), batch, recipe).values()).backward()
            optimizer.step()
        dice[balance] = dice_by_structure(fixed, moving, objective.displacement(Prediction(velocity, (48, 48), 2)).detach()[0])
    assert dice[True][2] > dice[False][2] + RARE and dice[True][1] > 0.98


def test_rare_structures_are_drawn_as_often_as_others():
    labels = torch.zeros(100, 100, dtype=torch.int16)
    for k in range(1, 11):
        labels[10 * (k - 1): 10 * k] = k
    labels[labels == 10] = 9
    labels[99, :30] = 10  # 0.3 %
    drawn = {balance: sum(int(10 in choose_labels(generator("cpu", 3, n), labels, 3, balance).tolist()) for n in range(150))
             for balance in (True, False)}
    assert drawn[True] > 25 and drawn[False] < 8


# ---------------------------------------------------------------- a network
RECIPE = Recipe(widths=(8, 8, 8), image_weight=0, steps=150, rate=5e-3, warm_up=5, validate_every=150, augment=0.0, batch=4, average=0.95,
                start="headers", validation=0.2, test=0.2, threads=1, device="cpu")  # smoothness 1, which is the recipe's own


def people(folder, seed: int):
    """Sixteen people: a large disc, and in it, wherever it likes, a spot of 1 % of the labelled voxels."""
    rng, (y, x), grid = np.random.default_rng(seed), np.indices((40, 40)) - 19.5, vx.Grid((40, 40), np.eye(3))
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for number in range(16):
        labels, (a, b) = (y**2 + x**2 < 256).astype(np.uint8), rng.uniform(-3, 3, 2)
        labels[(y - a) ** 2 + (x - b) ** 2 < 2.9] = 2
        image = np.array([0, 0.4, 1])[labels] + 0.02 * rng.standard_normal(labels.shape)
        vx.save(vx.Image(image, grid), folder / "images" / f"p{number}.nii.gz")
        vx.save(vx.Image(labels, grid, is_label=True), folder / "labels" / f"p{number}.nii.gz")
        assert 0.005 < (labels == 2).sum() / (labels > 0).sum() < 0.015
    return folder


def dice_of_the_spot(task, network) -> float:
    """Mean over pairs of people who were not trained on."""
    found = []
    for pair in task.source.pairs["test"] + task.source.pairs["validation"]:
        fixed, moving = (task.source.store.sample(k) for k in pair)
        with torch.no_grad():
            u = objective.displacement(network(fixed.image[None], moving.image[None]))[0]
        found.append(dice_by_structure(fixed.labels, moving.labels, u)[2])
    return np.mean(found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_network_learns_to_move_a_rare_structure_if_balanced(seed, tmp_path):
    data, dice = people(tmp_path / "people", seed), {}
    for balance in (False, True):
        recipe = replace(RECIPE, balance=balance, seed=seed)
        task, out = Registration(recipe, source.from_table(table.read(data), recipe)), tmp_path / str(balance)
        out.mkdir()
        loop.train(task, loop.fresh(task.network, recipe), loop.Run(out))
        dice[balance] = dice_of_the_spot(task, weights.load(out / loop.WEIGHTS)[0])
    assert dice[True] > dice[False] + RARE
