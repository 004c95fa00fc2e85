"""A network with a memory against aligning every frame by itself and smoothing over time, on a kind of motion that nobody was trained on.

    python benchmarks/recurrent.py --steps 480 --out bench-out/recurrent

Trains two networks of one architecture on made frames (breathing, drifting, wandering, of any size, everywhere or in one place; 40 x 40):
one network on single frames first, which has nothing to remember; from there one on sequences, and one on more single frames (16 a step
for 36). Both then follow strong beating with known maps, as does the engine. What is aligned frame by frame is smoothed by a Kalman filter
of constant velocity, causal as the network is, whose ratio of noises is the one of all tried that is best on these very sequences. Errors
are those where the fixed image shows something: nobody can know how nothing moves. Needs torch.
"""
from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from voxalign import Grid, Image
from voxalign.nn import weights
from voxalign.register import Settings, register
from voxalign.train import loop, motion, source, synthesise
from voxalign.train.objective import displacement
from voxalign.train.randomness import generator
from voxalign.train.recipe import Recipe
from voxalign.train.recurrent import Sequences

SHAPE, FRAMES, SEQUENCES, SINGLE = (40, 40), 12, 9, 16  # SINGLE: frames a step, of the networks that see one at a time
RATIOS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # of the variances of motion and measurement
RECIPE = Recipe(task="sequence", synthesise=("head", "body", "shapes"), shape=SHAPE, frames=6, widths=(16, 24), batch=6,
                augment=0.0, image_weight=0.0, field_weight=1.0, smoothness=0.02, rate=3e-3, threads=1, device="cpu", average=0.995)


def trained(recipe: Recipe, folder: Path, start: Path | None = None) -> torch.nn.Module:
    """The network of a recipe, from the weights in ``start``; training goes on where it stopped."""
    folder.mkdir(parents=True, exist_ok=True)
    task = Sequences(recipe, source.from_nothing(recipe))

    def tell(progress: loop.Progress) -> None:
        if progress.step % recipe.validate_every == 0:
            scores = {name: round(value, 3) for name, value in progress.scores.items()}
            print(folder.name, progress.step, scores, file=sys.stderr, flush=True)

    loop.train(task, loop.fresh(task.network, recipe), loop.Run(folder, start), tell)
    return weights.load(folder / loop.WEIGHTS)[0]


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


@torch.no_grad()
def followed(network: torch.nn.Module, fixed: torch.Tensor, frames: torch.Tensor) -> np.ndarray:
    """(T, 2, *S) voxels, by the network with its memory."""
    return torch.cat([displacement(said) for said in network.follow(fixed[None], frames[:, None])]).numpy()


@torch.no_grad()
def one_by_one(network: torch.nn.Module, fixed: torch.Tensor, frames: torch.Tensor) -> np.ndarray:
    """The same, every frame as if it were the first."""
    return torch.cat([displacement(next(network.follow(fixed[None], [frame[None]]))) for frame in frames]).numpy()


@torch.no_grad()
def confused(network: torch.nn.Module, found: list[tuple[torch.Tensor, motion.Moving]]) -> list[np.ndarray]:
    """All sequences side by side, each with the state of another one before every frame."""
    fixed, frames = torch.stack([f for f, _ in found]), torch.stack([s.frames for _, s in found], 1)
    features, memory, said = network.features(fixed), network.begin(fixed), []
    for frame in frames:
        memory = network.step(features, network.features(frame), replace(memory, state=memory.state.roll(1, 0)))
        said.append(displacement(network.said(memory, fixed)).numpy())
    return list(np.stack(said, 1))


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


def compare(with_memory: torch.nn.Module, without: torch.nn.Module, kind: str, engine: bool = True) -> dict[str, float]:
    """Mean errors in voxels on sequences of one kind of motion."""
    found, bodies = cases(kind)
    true = [s.displacement.numpy() for _, s in found]

    def error(said: list[np.ndarray]) -> float:
        return float(np.mean([np.linalg.norm(f - t, axis=1)[:, body].mean() for f, t, body in zip(said, true, bodies, strict=True)]))

    def smoothed(said: list[np.ndarray]) -> float:
        return min(error([kalman(f, ratio) for f in said]) for ratio in RATIOS)

    alone = [one_by_one(without, f, s.frames) for f, s in found]
    table = {"not aligned": error([np.zeros_like(t) for t in true]),
             "recurrent": error([followed(with_memory, f, s.frames) for f, s in found]),
             "recurrent, memory of another sequence": error(confused(with_memory, found)),
             "recurrent, memory emptied every frame": error([one_by_one(with_memory, f, s.frames) for f, s in found]),
             "network, every frame by itself": error(alone), "the same, Kalman": smoothed(alone)}
    if engine:
        each = [by_engine(f, s.frames) for f, s in found]
        table |= {"engine, every frame by itself": error(each), "the engine, Kalman": smoothed(each)}
    return table


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
    frames = replace(recipe, frames=1, batch=SINGLE)
    trained(replace(frames, steps=max(choices.steps // 3, 1)), choices.out / "first")
    start = choices.out / "first" / loop.WEIGHTS
    memory, single = (trained(replace(one, seed=1), choices.out / name, start) for one, name in ((recipe, "memory"), (frames, "single")))
    tables = {kind: compare(memory, single, kind, not choices.no_engine) for kind in (choices.unseen, *seen)}
    (choices.out / "recurrent.json").write_text(json.dumps(tables, indent=1))
    print("| mean error, voxels | " + " | ".join(tables) + " |\n|---|" + "---|" * len(tables))
    for name in tables[choices.unseen]:
        print(f"| {name} | " + " | ".join(f"{table[name]:.2f}" for table in tables.values()) + " |")


if __name__ == "__main__":
    main()
