"""Federated averaging and differential privacy on the hippocampus set, each beside the training that keeps nothing apart.

    VOXALIGN_TEST_DATA=... python benchmarks/privacy.py --out bench-out/privacy [--steps 120] [--rounds 6] [--noise 1.0]

Everybody is registered to one atlas, a person of the training part. All trainings start from nothing, with the same small network and the
same number of people a step: on all people together (pooled); at three sites with a third of them each, whose weights are averaged after
every round (federated: as many steps at each site as pooled; a third: as many in all as pooled); and with noise (private). Dice is that of
people of the test part, on the atlas's own grid.
"""
from __future__ import annotations

import argparse
import csv
import json
import math
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import voxalign as vx
from voxalign.metrics import dice_by_label
from voxalign.run.train import Training, average_files, recipe_of, train_files
from voxalign.train.data import shift
from voxalign.train.recipe import Recipe
from voxalign.train.table import Scan, read, split

CHOICES = ("spacing=2", "widths=8,16,16", "hidden=16", "image_weight=0", "label_weight=1", "smoothness=0.2", "accumulate=8", "rate=0.004",
           "warm_up=10", "average=0.9", "validation=0", "test=0", "device=cpu")
SITES = 3


@dataclass(frozen=True)
class Study:
    """Who there is, and where results go."""

    out: Path
    recipe: Recipe
    atlas: Scan
    people: tuple[Scan, ...]
    test: tuple[Scan, ...]

    def training(self, name: str, recipe: Recipe, people: Sequence[Scan], start: Path | None = None) -> dict:
        """Train on some of the people; what the training says of itself."""
        table = self.out / f"{name}.csv"
        with open(table, "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("image", "labels", "person"))
            rows.writerows((scan.image, scan.labels, scan.person) for scan in people)
        job = Training(self.out / name, replace(recipe, validate_every=recipe.steps), table, self.atlas.image, self.atlas.labels, start,
                       overwrite=True)
        return train_files(job)

    def federated(self, name: str, rounds: int, steps: int) -> Path:
        """Weights after so many rounds of ``steps`` steps at each site, one site after the other; rates fall as they do pooled."""
        mean = None
        for number in range(rounds):
            rate = self.recipe.rate * (1 + math.cos(math.pi * (number + 0.5) / rounds)) / 2
            files = []
            for site in range(SITES):
                recipe = replace(self.recipe, steps=steps, rate=rate, schedule="constant", warm_up=0 if number else self.recipe.warm_up,
                                 seed=self.recipe.seed if mean is None else 1000 * number + site)
                self.training(f"{name}-site{site}", recipe, self.people[site::SITES], mean)
                files.append(self.out / f"{name}-site{site}" / "weights.safetensors")
            mean = self.out / f"{name}.safetensors"
            average_files(files, mean, overwrite=True)
        return mean

    def dice(self, weights: Path | None) -> list[float]:
        """Of every person of the test part, labels moved to the atlas."""
        fixed, truth = vx.load(self.atlas.image), vx.load(self.atlas.labels, is_label=True)
        found = []
        for scan in self.test:
            labels = vx.load(scan.labels, is_label=True)
            if weights is None:
                moved = vx.resample(labels, truth.grid, shift(labels.grid.centre - truth.grid.centre))
            else:
                moved = vx.register(fixed, vx.load(scan.image), method="learned", weights=str(weights), device="cpu").apply(labels)
            found.append(statistics.mean(dice_by_label(truth, moved).values()))
        return found


def study(data: Path, out: Path, recipe: Recipe) -> Study:
    scans = {scan.person: scan for scan in read(data).scans}
    parts = split(list(scans), 0.15, 0.15, 0, 2)
    train = [scans[person] for person in sorted(scans) if parts[person] == "train"]
    test = tuple(scans[person] for person in sorted(scans) if parts[person] == "test")
    out.mkdir(parents=True, exist_ok=True)
    return Study(out, recipe, train[0], tuple(train[1:]), test)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--data", type=Path, default=Path(os.environ.get("VOXALIGN_TEST_DATA", ".")) / "hippocampus")
    words.add_argument("--out", type=Path, default=Path("bench-out/privacy"))
    words.add_argument("--steps", type=int, default=120)
    words.add_argument("--rounds", type=int, default=6)
    words.add_argument("--noise", type=float, nargs="*", default=[1.0])
    words.add_argument("--clip", type=float, default=0.03)
    words.add_argument("--threads", type=int, default=0)
    words.add_argument("--only", nargs="*", default=["before", "pooled", "federated", "third", "private"])
    words.add_argument("--set", action="append", default=[])
    given = words.parse_args()
    recipe = recipe_of({"steps": given.steps, "threads": given.threads}, [*CHOICES, *given.set])
    this, rows = study(given.data, given.out, recipe), []

    def told(name: str, weights: Path | None, **more: float) -> None:
        dice = this.dice(weights)
        rows.append({"way": name, "dice": statistics.mean(dice), "worst": min(dice), "cpu_s": time.process_time()} | more)
        print(json.dumps(rows[-1]), flush=True)
        (given.out / "results.json").write_text(json.dumps(rows, indent=1))

    print(f"{len(this.people)} people, {len(this.test)} of the test part")
    if "before" in given.only:
        told("before", None)
    if "pooled" in given.only:
        this.training("pooled", recipe, this.people)
        told("pooled", given.out / "pooled" / "weights.safetensors")
    if "federated" in given.only:
        told("federated", this.federated("federated", given.rounds, given.steps // given.rounds))
    if "third" in given.only:
        told("federated, a third of the steps", this.federated("third", given.rounds, given.steps // given.rounds // SITES))
    for noise in given.noise if "private" in given.only else ():
        name = f"private-{noise:g}"
        record = this.training(name, replace(recipe, noise_multiplier=noise, sample_clip=given.clip), this.people)
        told(f"private, noise {noise:g}", given.out / name / "weights.safetensors", epsilon=record["epsilon"], delta=record["delta"])


if __name__ == "__main__":
    main()
