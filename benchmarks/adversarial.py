"""Networks trained against a critic, tried beside losses for two kinds of image and learned features, on pairs that nothing was trained on.

    python benchmarks/adversarial.py --on contrasts --data /path/of/the/real/images --out bench-out/adversarial

`two_kinds.py` says what there is to try (phantom, contrasts, spine, prostate). What is tried:

- the engine on the images as they are: ncc, lncc, mi, mind, both, and on features of a network trained for any contrast (the shipped
  one in 3-D; in 2-D one trained here on drawings);
- (a) `translate`: the moving image translated, then the engine with a mono-modal loss;
- (b) `adversarial`, (c) `generate`, (d) pairs made by the translator: networks, of which (b) has no other similarity than its critic's;
  they predict in one pass, after the same start.

Each training is what `voxalign train` does with the same choices, and goes on where it stopped. Needs torch; two cores take some minutes
a kind.
"""
from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from two_kinds import KINDS, Kinds, Trial

import voxalign as vx
from voxalign.core import Identity, Transform
from voxalign.run.train import Training, train_files
from voxalign.train import loop
from voxalign.train.recipe import Recipe

COMMON = {"widths": (12, 16, 24), "batch": 4, "rate": 3e-3, "average": 0.95, "threads": 1, "device": "cpu", "test": 0.0}
MADE = {"apart": 1.5, "image_weight": 0.0, "smoothness": 0.1}  # of pairs that the translator makes
TASKS = {
    "translate": {"task": "translate"},
    "adversarial": MADE | {"task": "adversarial", "critic_weight": 1.0},
    "generate": MADE | {"task": "generate", "critic_weight": 1.0, "image_weight": 1.0},
    "pairs": MADE | {"task": "registration", "field_weight": 1.0},
}
ANY = {"synthesise": ("shapes", "body", "head"), "field_weight": 1.0, "image_weight": 0.0, "label_weight": 1.0, "feature_weight": 0.2,
       "smoothness": 0.1, "apart": 2.0, "shape": (64, 64)}
LOSSES = {"ncc": "ncc", "lncc": "lncc", "mi": "mi", "mind": "mind", "mi + mind": "mi + mind"}


def written(pairs: Sequence[tuple[vx.Image, vx.Image]], folder: Path) -> dict[str, Path]:
    """Tables of the pairs, ``forth`` as they are and ``back`` the other way round; each twelfth is another person."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [(f"{k}_fixed.nii.gz", f"{k}_moving.nii.gz") for k in range(len(pairs))]
    for pair, files in zip(pairs, names, strict=True):
        for image, name in zip(pair, files, strict=True):
            if not (folder / name).exists():
                vx.save(image, folder / name)
    tables = {"forth": names, "back": [pair[::-1] for pair in names]}
    for name, rows in tables.items():
        with open(folder / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows([("fixed", "moving", "person"), *((*row, k * 12 // len(rows)) for k, row in enumerate(rows))])
    return {name: folder / f"{name}.csv" for name in tables}


def trained(name: str, out: Path, choices: dict, **files: Path) -> Path:
    """Weights of a training, which goes on where it stopped."""
    recipe, began = Recipe(**COMMON | choices), time.process_time()

    def tell(progress: loop.Progress) -> None:
        if progress.step % recipe.validate_every == 0:
            said = ", ".join(f"{key} {value:.3f}" for key, value in (progress.losses | progress.scores).items())
            print(f"{name} {progress.step}: {said} ({time.process_time() - began:.0f} CPU s)", file=sys.stderr, flush=True)

    if not (out / "training.json").exists():
        train_files(Training(out, recipe, **files), tell)
    return out / loop.WEIGHTS


def trainings(kinds: Kinds, out: Path, tasks: Sequence[str], steps: int) -> dict[str, Path]:
    """Weights of every task, by name; the translator first, which the others' pairs are made by."""
    tables = written(kinds.trained, out / "images")
    found = {"translate": trained("translate", out / "translate", lasting(steps) | kinds.recipe | TASKS["translate"], data=tables["forth"])}
    for task in tasks:
        if task not in found:
            choices = lasting(steps // 2) | kinds.recipe | TASKS[task]
            found[task] = trained(task, out / task, choices, data=tables["back"], translator=found["translate"])
    return found


def lasting(steps: int) -> dict:
    """Choices of a training of so many steps."""
    return {"steps": steps, "validate_every": max(steps // 3, 1)}


def any_contrast(dim: int, out: Path, steps: int) -> str | None:
    """Weights for any contrast: None, which stands for the shipped ones, or a file."""
    if dim == 3:
        return None
    return str(trained("any contrast", out / "any", ANY | lasting(steps)))


def ways(kinds: Kinds, weights: dict[str, Path], any_weights: str | None) -> dict[str, dict]:
    """Choices of `vx.register` by name."""
    engine = {name: {"loss": loss} for name, loss in LOSSES.items()}
    found = engine | {"learned features": {"method": "features", "weights": any_weights, "transform": "deformable"}}
    found |= {f"translated, {name}": engine[name] | {"translate": str(weights["translate"])} for name in ("ncc", "lncc", "mi")}
    return found | {name: {"method": "learned", "weights": str(path), "transform": "deformable"} for name, path in weights.items()
                    if name != "translate"}


def found_by(trial: Trial, way: dict, settings: dict) -> Transform:
    """Fixed points -> moving points. The networks of two kinds were trained the other way round, so that theirs is inverted."""
    if way.get("method") != "learned":
        return vx.register(trial.fixed, trial.moving, **{"threads": 1, "device": "cpu"} | settings | way).transform
    return vx.register(trial.moving, trial.fixed, **{"threads": 1, "device": "cpu"} | settings | way).transform.inverse()


def compared(kinds: Kinds, tried: dict[str, dict]) -> dict[str, dict[str, float]]:
    """Scores by way."""
    scores = {"not aligned": [trial.score(Identity(trial.fixed.dim)) for trial in kinds.tried]}
    for name, way in tried.items():
        scores[name] = [trial.score(found_by(trial, way, kinds.settings)) for trial in kinds.tried]
        print(name, " ".join(f"{one['mm']:.1f}" for one in scores[name]), file=sys.stderr, flush=True)
    return {name: {"mm": float(np.mean([one["mm"] for one in many])), "worst_mm": float(np.max([one["mm"] for one in many])),
                   "dice": float(np.mean([one["dice"] for one in many]))} for name, many in scores.items()}


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--on", default="phantom", choices=KINDS)
    parser.add_argument("--data", type=Path, help="folder of the real images")
    parser.add_argument("--tasks", nargs="*", default=["adversarial", "generate", "pairs"], choices=[*TASKS])
    parser.add_argument("--steps", type=int, default=300, help="of the translator; the others take half as many")
    parser.add_argument("--out", type=Path, default=Path("bench-out/adversarial"))
    choices = parser.parse_args()
    torch.set_num_threads(1)
    kinds, out = KINDS[choices.on](choices.data), choices.out / choices.on
    weights = trainings(kinds, out, choices.tasks, choices.steps)
    result = compared(kinds, ways(kinds, weights, any_contrast(kinds.tried[0].fixed.dim, choices.out, choices.steps)))
    (out / "compared.json").write_text(json.dumps(result, indent=1))
    print(f"| {choices.on} | mean, mm | worst, mm | Dice |\n|---|---|---|---|")
    for name, values in result.items():
        print(f"| {name} | {values['mm']:.2f} | {values['worst_mm']:.2f} | {values['dice']:.2f} |")


if __name__ == "__main__":
    main()
