"""The training path from end to end: 126 hippocampus crops, divided by person; learned against classical, on people kept aside.

    VOXALIGN_TEST_DATA=... python benchmarks/hippocampus.py --out bench-out/hippocampus [--steps 1000] [--pairs 20] [--start WEIGHTS]
    VOXALIGN_TEST_DATA=... python benchmarks/hippocampus.py --configs training/hippocampus-{large,thin,fast}.yaml
    VOXALIGN_TEST_DATA=... python benchmarks/hippocampus.py --weights WEIGHTS [--pairs 20] [--ways learned]

Trains (or goes on; by several --configs one after the other, each from the weights of the one before; or takes weights that are there),
then registers the same test pairs with method learned and with the engine, and writes results.md: Dice as `voxalign register` reports it,
on the fixed image's own grid, and milliseconds a pair, warm, in process: by the clock, which other programs on the machine lengthen, and of
the processor.
"""
from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import voxalign as vx
from voxalign.metrics import dice_by_label
from voxalign.nn import count, weights
from voxalign.run.train import Training, recipe_of, train_files
from voxalign.train.recipe import Recipe
from voxalign.train.table import pairs_of, read, some, split

CHOICES = ("start=centres", "label_weight=2", "rate=0.002", "validate_every=50", "pairs_validated=8", "device=cpu")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--data", type=Path, default=Path(os.environ.get("VOXALIGN_TEST_DATA", ".")) / "hippocampus")
    words.add_argument("--out", type=Path, default=Path("bench-out/hippocampus"))
    words.add_argument("--configs", type=Path, nargs="+", default=[])
    words.add_argument("--steps", type=int)
    words.add_argument("--pairs", type=int, default=20)
    words.add_argument("--threads", type=int, default=0)
    words.add_argument("--set", action="append", default=[])
    words.add_argument("--start", type=Path)
    words.add_argument("--weights", type=Path)
    words.add_argument("--ways", nargs="+")
    given = words.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    recipes = recipes_of(given)
    record, file = (about(given.weights), given.weights) if given.weights else trained(given, recipes)
    rows = compare(given.data, list(recipes.values())[-1], file, given.pairs, given.ways)
    (given.out / "results.json").write_text(json.dumps({"training": record, "pairs": rows}, indent=1))
    (given.out / "results.md").write_text(table(rows, record))
    print("\n" + table(rows, record))


def recipes_of(given: argparse.Namespace) -> dict[str, Recipe]:
    """One after the other, by the name of its folder."""
    flags = {"steps": given.steps, "threads": given.threads}
    if not given.configs:
        return {"run": recipe_of(flags | {"steps": given.steps or 1000}, [*CHOICES, *given.set])}
    return {file.stem: recipe_of(flags, given.set, file) for file in given.configs}


def trained(given: argparse.Namespace, recipes: dict[str, Recipe]) -> tuple[dict, Path]:
    """What the last training records, and its weights; each begins with the weights of the one before."""
    file = given.start
    for name, recipe in recipes.items():
        record = train_files(Training(given.out / name, recipe, given.data, start=file),
                             lambda p, name=name: print(f"\r{name} {p.step} {p.scores.get('dice', 0):.4f}", end="", flush=True))
        file = given.out / name / record["weights"]
    return record, file


def about(file: Path) -> dict:
    """Of weights that are there, what `table` says of a training."""
    network, meta = weights.load(file)
    return {"steps": meta["step"], "parameters": count(network), "people": {"train": meta["people"]}}


def compare(data: Path, recipe, file: Path, most: int, chosen: list[str] | None = None) -> list[dict]:
    """Every test pair by each method."""
    scans = read(data)
    parts = split([scan.person for scan in scans.scans], recipe.validation, recipe.test, recipe.seed, 2)
    ways = {"before": None, "affine": {"transform": "affine"}, "engine": {}, "learned": {"method": "learned", "weights": str(file)},
            "learned+refine": {"method": "learned+refine", "weights": str(file)}}
    rows = []
    for f, m in some(pairs_of(scans, parts, "test"), most):
        images = [vx.load(scans.scans[k].image) for k in (f, m)]
        labels = [vx.load(scans.scans[k].labels, is_label=True) for k in (f, m)]
        for name in chosen or ways:
            rows.append({"pair": f"{scans.scans[f].person} {scans.scans[m].person}", "way": name} | one(images, labels, ways[name]))
    return rows


def one(images: list, labels: list, choices: dict | None) -> dict:
    """Dice and time of one registration."""
    if choices is None:
        moved = vx.resample(labels[1], labels[0].grid)
        return {"dice": mean(dice_by_label(labels[0], moved)), "ms": 0.0, "cpu_ms": 0.0, "folded_percent": 0.0}
    start, cpu = time.perf_counter(), time.process_time()
    result = vx.register(*images, device="cpu", **choices)
    ms, cpu_ms = 1000 * (time.perf_counter() - start), 1000 * (time.process_time() - cpu)
    moved = result.apply(labels[1])
    return {"dice": mean(dice_by_label(labels[0], moved)), "ms": ms, "cpu_ms": cpu_ms, "folded_percent": result.metrics["folded_percent"]}


def mean(dice: dict[int, float]) -> float:
    return sum(dice.values()) / len(dice)


def table(rows: list[dict], trained: dict) -> str:
    lines = [f"{trained['steps']} steps, {trained['parameters']} parameters, {trained['people']['train']} people.", "",
             "| | Dice | worst pair | folded % | ms a pair (median, warm) | CPU ms |", "|---|---|---|---|---|---|"]
    for way in dict.fromkeys(row["way"] for row in rows):
        these = [row for row in rows if row["way"] == way]
        dice = [row["dice"] for row in these]
        folded = statistics.mean(row["folded_percent"] for row in these)
        lines.append(f"| {way} | {statistics.mean(dice):.3f} | {min(dice):.3f} | {folded:.3f} | "
                     + " | ".join(f"{statistics.median(row[key] for row in these[1:] or these):.0f}" for key in ("ms", "cpu_ms")) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
