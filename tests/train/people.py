"""A few people's slices, generated: head-like, 2-D, so small that a network learns from them in seconds."""
from __future__ import annotations

from pathlib import Path

import numpy as np

import voxalign as vx
from voxalign.train import place, synthesise
from voxalign.train.randomness import generator

SHAPE = (28, 24)
TINY = {"widths": (8, 8), "threads": 1, "device": "cpu", "augment": 0.2, "window": 2, "warm_up": 2, "steps": 6, "validate_every": 3}


def folder(path: Path, people: int = 8, seed: int = 0) -> Path:
    """images/, labels/ and points/ of as many people: one drawing, each time bent otherwise and painted alike."""
    drawing = synthesise.head(generator("cpu", seed), SHAPE)
    means = np.linspace(0, 1, int(drawing.max()) + 1)
    for name in ("images", "labels", "points"):
        (path / name).mkdir(parents=True, exist_ok=True)
    for number in range(people):
        g = generator("cpu", seed, 100 + number)
        where = place.draw(g, SHAPE, place.Strength(4, 0.02, 0.05, 0.02, (2.0, 0.3)))
        labels = place.nearest(drawing, where.positions()).numpy()
        rng = np.random.default_rng((seed, number))
        grid = vx.Grid(SHAPE, np.diag([2.0, 2.0, 1.0]))
        vx.save(vx.Image(labels.astype(np.uint8), grid, is_label=True), path / "labels" / f"p{number}.nii.gz")
        vx.save(vx.Image(means[labels] + 0.02 * rng.standard_normal(SHAPE), grid), path / "images" / f"p{number}.nii.gz")
        index = where.back(place_of(SHAPE)).T.numpy()
        vx.save_points(vx.Points(grid.world(index)), path / "points" / f"p{number}.csv")
    return path


def place_of(shape: tuple[int, ...]):
    """Four points of the drawing, (D, 4)."""
    import torch

    return torch.tensor([[0.3, 0.7, 0.5, 0.5], [0.5, 0.5, 0.3, 0.7]]) * torch.tensor(shape)[:, None]
