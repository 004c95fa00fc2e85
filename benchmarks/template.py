"""How well label maps agree through a template: every image's labels brought to every other's grid by way of it.

    voxalign template animal-*/mr.nii.gz -o mice
    python benchmarks/template.py mice animal-*/labels.nii.gz
    python benchmarks/template.py --direct mice-direct animal-*/labels.nii.gz     transforms/I-J.h5 of pairs instead, made by anything

Mean Dice of all labels that both have, over all ordered pairs; nearest neighbours.
"""
from __future__ import annotations

import argparse
from itertools import permutations
from pathlib import Path

import numpy as np

from voxalign import io
from voxalign.core import Transform, compose, resample
from voxalign.metrics import dice_by_label


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("labels", type=Path, nargs="+")
    parser.add_argument("--direct", action="store_true")
    arguments = parser.parse_args()
    labels = [io.load(path, is_label=True) for path in arguments.labels]
    folder = arguments.folder / "transforms"
    ways: dict[int, Transform] = {}
    if not arguments.direct:
        ways = {k: io.load_transform(folder / f"{k + 1:04d}.h5") for k in range(len(labels))}
        backs = {k: way.inverse() for k, way in ways.items()}
    scores = []
    for i, j in permutations(range(len(labels)), 2):
        way = io.load_transform(folder / f"{i + 1}-{j + 1}.h5") if arguments.direct else compose([backs[i], ways[j]])
        dice = dice_by_label(labels[i], resample(labels[j], labels[i].grid, way, "nearest"))
        scores.append(float(np.mean([value for value in dice.values() if value == value])))
        print(f"{i + 1} <- {j + 1}: {scores[-1]:.4f}", flush=True)
    print(f"mean pairwise Dice {np.mean(scores):.4f} over {len(scores)} pairs, lowest {np.min(scores):.4f}")


if __name__ == "__main__":
    main()
