"""Structures that hardly count among voxels."""
import pytest
import torch
from tolerances import RARE

from voxalign.nn import Prediction
from voxalign.train import objective
from voxalign.train.objective import Batch
from voxalign.train.randomness import generator
from voxalign.train.recipe import Recipe
from voxalign.train.tasks import choose_labels, dice_by_structure, one_hot


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
