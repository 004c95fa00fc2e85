"""The moving image translated into the fixed one's contrast, then a mono-modal loss, against multimodal losses on the images as they are.

    python benchmarks/adversarial.py --moving T2 --steps 400 --out bench-out/adversarial

Slices of generated heads in two contrasts (2-D, 4 mm). The translator is trained on pairs that do not lie on each other, and knows no map;
all ways then register heads it never saw, whose maps are known. Needs torch; two cores do it in some minutes.
"""
from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np
import torch

import voxalign as vx
from voxalign import phantom
from voxalign.core import Identity
from voxalign.phantom import BRAIN, Motion, Pair, Scan, error_mm, head_anatomy, image_pair
from voxalign.train import catalogue, loop, source, table
from voxalign.train.recipe import Recipe

TRAINED_ON, TESTED_ON = 28, 10
TRAINED = Motion(4.0, shift=(2.0, -2.0, 0.0), amplitude_mm=4.0, smoothness_mm=45.0)
TESTED = Motion(8.0, shift=(6.0, -5.0, 0.0), amplitude_mm=8.0, smoothness_mm=40.0)
WAYS = {"ncc": {"loss": "ncc"}, "lncc": {"loss": "lncc"}, "mi": {"loss": "mi"}, "mind": {"loss": "mind"}}
TRANSLATED = {f"translated, {name}": WAYS[name] for name in ("ncc", "lncc", "mi")}


def made(seed: int, moving: str, motion: Motion) -> Pair:
    """A slice of a head twice, T1 and another contrast, on one grid."""
    spacing = 4.0
    affine = np.diag([spacing, spacing, 1.0])
    affine[:2, 2] = -spacing * (np.array((48, 58)) - 1) / 2 + np.array((0, 5))
    grid = vx.Grid((48, 58), affine)
    anatomy, truth = head_anatomy(np.random.default_rng(seed)), motion.over(grid, seed + 1)
    return image_pair(anatomy, (grid, grid), truth, ("T1", moving), Scan(seed, height=15.0))


def written(folder: Path, moving: str) -> Path:
    """A table of the pairs to train on."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [("fixed", "moving", "person")]
    for seed in range(TRAINED_ON):
        rows.append((f"{seed}_fixed.nii.gz", f"{seed}_moving.nii.gz", str(seed)))
        if not (folder / rows[-1][1]).exists():
            pair = made(seed, moving, TRAINED)
            for image, name in zip((pair.fixed, pair.moving), rows[-1], strict=False):
                vx.save(image, folder / name)
    with open(folder / "pairs.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "pairs.csv"


def trained(pairs: Path, folder: Path, steps: int) -> Path:
    """Weights of a translator; training goes on where it stopped."""
    recipe = Recipe(task="translate", start="headers", widths=(12, 16, 24), batch=4, steps=steps, rate=3e-3, average=0.95, threads=1,
                    device="cpu", validate_every=max(steps // 5, 1), test=0.0)
    task = catalogue.TASKS[recipe.task](recipe, source.from_table(table.read(pairs), recipe))
    folder.mkdir(parents=True, exist_ok=True)

    def tell(progress: loop.Progress) -> None:
        if progress.step % recipe.validate_every == 0:
            print(progress.step, {name: round(value, 3) for name, value in progress.scores.items()}, file=sys.stderr, flush=True)

    inputs = task.source.store.inputs.as_dict()
    loop.train(task, loop.fresh(task.network, recipe), loop.Run(folder, about={"inputs": inputs}), tell)
    return folder / loop.WEIGHTS


def compared(moving: str, translator: Path) -> dict[str, dict[str, float]]:
    """Mean and largest of the mean errors in the brain, mm, by way."""
    errors: dict[str, list[float]] = {}
    ways = WAYS | {name: way | {"translate": str(translator)} for name, way in TRANSLATED.items()}
    for seed in range(1000, 1000 + TESTED_ON):
        pair = made(seed, moving, TESTED)
        points = pair.fixed.grid.world(np.argwhere(np.isin(pair.fixed_labels.array, np.asarray(BRAIN))))
        errors.setdefault("not aligned", []).append(float(error_mm(Identity(2), pair.truth, points).mean()))
        for name, way in ways.items():
            found = vx.register(pair.fixed, pair.moving, initial="none", threads=1, device="cpu", **way)
            errors.setdefault(name, []).append(float(error_mm(found.transform, pair.truth, points).mean()))
    return {name: {"mean_mm": float(np.mean(e)), "worst_mm": float(np.max(e))} for name, e in errors.items()}


def main() -> None:
    """Make, train, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moving", default="T2", choices=phantom.MODALITIES)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path("bench-out/adversarial"))
    choices = parser.parse_args()
    torch.set_num_threads(1)
    folder = choices.out / choices.moving
    result = compared(choices.moving, trained(written(folder / "pairs", choices.moving), folder / "run", choices.steps))
    (folder / "compared.json").write_text(json.dumps(result, indent=1))
    print(f"| T1 and {choices.moving} | mean, mm | worst, mm |\n|---|---|---|")
    for name, values in result.items():
        print(f"| {name} | {values['mean_mm']:.2f} | {values['worst_mm']:.2f} |")


if __name__ == "__main__":
    main()
