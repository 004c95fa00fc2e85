"""A network with a memory against aligning every frame by itself and smoothing over time, on a kind of motion that nobody was trained on.

    python benchmarks/recurrent.py --steps 480 --out bench-out/recurrent

Trains two networks of one architecture on the same made sequences (all kinds of motion but one, of any size, everywhere or in one place;
40 x 40): one that follows them with its memory, and one that looks at every frame by itself, from rest and three times as often. Both then
follow strong motion of the kind left out, with known maps and frames as noisy as in training, as does the engine. What is aligned frame by
frame is smoothed by a Kalman filter of constant velocity, causal as the network is, whose ratio of noises is the one of all tried that is
best on these very sequences. Errors are those where the fixed image shows something: nobody can know how nothing moves. Needs torch.
"""
from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from voxalign import Grid, Image
from voxalign.nn import weights
from voxalign.nn.recurrent import Memory
from voxalign.register import Settings, register
from voxalign.train import loop, motion, source, synthesise
from voxalign.train.objective import displacement, terms
from voxalign.train.randomness import generator
from voxalign.train.recipe import Recipe
from voxalign.train.recurrent import Sequences
from voxalign.train.tasks import collate

SHAPE, FRAMES, SEQUENCES = (40, 40), 12, 9
RATIOS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # of the variances of motion and measurement
RECIPE = Recipe(task="sequence", synthesise=("head", "body", "shapes"), shape=SHAPE, frames=8, widths=(16, 24), batch=6,
                augment=0.0, image_weight=0.0, field_weight=1.0, smoothness=0.02, rate=3e-3, threads=1, device="cpu", average=0.995)


class Frames(Sequences):
    """The same sequences, every frame by itself."""

    def loss(self, network: torch.nn.Module, keys: list[tuple[int, int]], chosen: int | None = None) -> dict[str, torch.Tensor]:
        """See `Task.loss`."""
        batch = collate([frame for key in keys for frame in self.sequence(self.training_generator(*key), "train", chosen)])
        return terms(network(batch.fixed, batch.moving), batch, self.recipe)


def trained(task: Sequences, folder: Path) -> torch.nn.Module:
    """The network of a task; training goes on where it stopped."""
    folder.mkdir(parents=True, exist_ok=True)

    def tell(progress: loop.Progress) -> None:
        if progress.step % task.recipe.validate_every == 0:
            scores = {name: round(value, 3) for name, value in progress.scores.items()}
            print(folder.name, progress.step, scores, file=sys.stderr, flush=True)

    loop.train(task, loop.fresh(task.network, task.recipe), loop.Run(folder), tell)
    return weights.load(folder / loop.WEIGHTS)[0].eval()


def cases(kind: str) -> tuple[list[tuple[torch.Tensor, motion.Moving]], list[np.ndarray]]:
    """Fixed images (1, *S) with a sequence each, and where there is a body."""
    made, bodies = [], []
    for number in range(SEQUENCES):
        g = generator("cpu", 77, number)
        drawing = list(synthesise.FAMILIES.values())[number % 3](g, SHAPE)
        labels = synthesise.placed(g, drawing)
        fixed = synthesise.coloured(g, labels, int(labels.max()) + 1)[None]
        made.append((fixed, motion.sequence(g, fixed, kind, FRAMES)))
        bodies.append((labels != 0).numpy())
    return made, bodies


Spoil = Callable[[Memory, Memory], Memory]  # what a network is given to remember, of what it knows and what it knew at the beginning
SPOILED: dict[str, Spoil] = {
    "its state that of another sequence": lambda memory, _: replace(memory, state=memory.state.roll(1, 0)),
    "its memory that of another sequence": lambda memory, _: replace(memory, **{name: getattr(memory, name).roll(1, 0)
                                                                               for name in ("state", "velocity", "rate")}),
    "its memory emptied before every frame": lambda _, beginning: beginning}


@torch.no_grad()
def followed(network: torch.nn.Module, fixed: torch.Tensor, frames: torch.Tensor,
             spoil: Spoil = lambda memory, _: memory) -> list[np.ndarray]:
    """(T, 2, *S) voxels of each sequence, all side by side, by the network with its memory."""
    features, beginning, said = network.features(fixed), network.begin(fixed), []
    memory = beginning
    for frame in frames:
        memory = network.step(features, network.features(frame), spoil(memory, beginning))
        said.append(displacement(network.said(memory, fixed)).numpy())
    return list(np.stack(said, 1))


@torch.no_grad()
def seen(network: torch.nn.Module, fixed: torch.Tensor, frames: torch.Tensor) -> list[np.ndarray]:
    """The same, what each frame says by itself, before the memory is asked."""
    features, rest = network.features(fixed), network.begin(fixed)
    looks = [replace(rest, velocity=network.look(features, network.features(frame)).velocity) for frame in frames]
    return list(np.stack([displacement(network.said(look, fixed)).numpy() for look in looks], 1))


@torch.no_grad()
def one_by_one(network: torch.nn.Module, fixed: torch.Tensor, frames: torch.Tensor) -> list[np.ndarray]:
    """The same, every frame by itself."""
    return list(np.stack([displacement(network(fixed, frame)).numpy() for frame in frames], 1))


def by_engine(fixed: torch.Tensor, frames: torch.Tensor) -> np.ndarray:
    """(T, 2, *S) voxels, every frame by itself."""
    grid = Grid(SHAPE, np.eye(3))
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1).astype(float)
    settings = Settings(transform="deformable", initial="none", loss="lncc", smoothness=2.0, device="cpu")
    found = [register(Image(fixed[0].numpy(), grid), Image(frame[0].numpy(), grid), settings).transform for frame in frames]
    return np.stack([np.moveaxis(t(index) - index, -1, 0) for t in found])


def kalman(values: np.ndarray, ratio: float) -> np.ndarray:
    """(T, ...) filtered with a model of constant velocity, beginning at rest at 0; each component by itself."""
    step, drift = np.array([[1.0, 1], [0, 1]]), ratio * np.array([[1 / 3, 1 / 2], [1 / 2, 1]])
    state, spread, out = np.zeros((2, values[0].size)), np.array([[0.0, 0], [0, ratio]]), []
    for value in values:
        state, spread = step @ state, step @ spread @ step.T + drift
        gain = spread[:, 0] / (spread[0, 0] + 1)
        state = state + np.outer(gain, value.ravel() - state[0])
        spread = spread - np.outer(gain, spread[0])
        out.append(state[0].reshape(value.shape))
    return np.stack(out)


def compare(memory: torch.nn.Module, alone: torch.nn.Module, kind: str, engine: bool = True) -> dict[str, float]:
    """Mean errors in voxels on sequences of one kind of motion."""
    found, bodies = cases(kind)
    true = [s.displacement.numpy() for _, s in found]
    fixed, frames = torch.stack([f for f, _ in found]), torch.stack([s.frames for _, s in found], 1)

    def error(said: list[np.ndarray]) -> float:
        return float(np.mean([np.linalg.norm(f - t, axis=1)[:, body].mean() for f, t, body in zip(said, true, bodies, strict=True)]))

    def both(name: str, said: list[np.ndarray]) -> dict[str, float]:
        return {name: error(said), f"{name}, Kalman": min(error([kalman(f, ratio) for f in said]) for ratio in RATIOS)}

    table = {"not aligned": error([np.zeros_like(t) for t in true]), "recurrent": error(followed(memory, fixed, frames))}
    for name, spoil in SPOILED.items():
        table |= both(f"recurrent, {name}", followed(memory, fixed, frames, spoil))
    table |= both("recurrent, what frames say by themselves", seen(memory, fixed, frames))
    table |= both("network, every frame by itself", one_by_one(alone, fixed, frames))
    return table | (both("engine, every frame by itself", [by_engine(f, s.frames) for f, s in found]) if engine else {})


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=480)
    parser.add_argument("--unseen", choices=sorted(motion.MOTIONS), default="beating", help="the motion that nobody is trained on")
    parser.add_argument("--no-engine", action="store_true", help="leave out the engine, which takes most of the time")
    parser.add_argument("--out", type=Path, default=Path("bench-out/recurrent"))
    choices = parser.parse_args()
    torch.set_num_threads(1)
    seen = tuple(name for name in motion.MOTIONS if name != choices.unseen)
    recipe = replace(RECIPE, motions=seen, steps=choices.steps, validate_every=max(choices.steps // 6, 1))
    memory, single = (trained(kind(recipe, source.from_nothing(recipe)), choices.out / name)
                      for kind, name in ((Sequences, "memory"), (Frames, "alone")))
    tables = {kind: compare(memory, single, kind, not choices.no_engine) for kind in (choices.unseen, *seen)}
    (choices.out / "recurrent.json").write_text(json.dumps(tables, indent=1))
    print("| mean error, voxels | " + " | ".join(tables) + " |\n|---|" + "---|" * len(tables))
    for name in tables[choices.unseen]:
        print(f"| {name} | " + " | ".join(f"{table[name]:.2f}" for table in tables.values()) + " |")


if __name__ == "__main__":
    main()
