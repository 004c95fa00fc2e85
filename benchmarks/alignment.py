"""Whether two patches are aligned: the trained classifier against mutual information and local correlation, on pairs it never saw.

    python benchmarks/alignment.py --weights FILE [--people 12]

Pairs are slices of head phantoms, of one contrast and of two, moved off their true map by random deformations; "aligned" is less than 0.75
voxels, "off" so many as the column says, of the network's grid: trained on pictures of 32 pixels it sees a whole slice in about 28. Area
under the ROC curve (0.5: guessing) of single patches, and of what is said of the whole slice.
"""
from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray

import voxalign as vx
from voxalign import phantom
from voxalign.losses import loss
from voxalign.nn import Classifier
from voxalign.register.aligned import places
from voxalign.register.learned import Learned, opened, seen
from voxalign.train.randomness import generator, smooth_noise, uniform
from voxalign.train.tasks import area
from voxalign.transforms import Displacement

OFF = ((0.75, 1.5), (1.5, 2.5), (2.5, 4.0))  # voxels of the network's grid
SPACING, FADED, DRAWS = 4.0, 0.02, 4


@dataclass(frozen=True)
class Shown:
    """A slice and what lies on it, (1, *S) each, and how far off it is, voxels."""

    fixed: NDArray
    moved: NDArray
    off: float

    def patches(self) -> list[tuple[NDArray, NDArray]]:
        found = [(self.fixed[(slice(None), *place)], self.moved[(slice(None), *place)]) for place in places(self.fixed.shape[1:])]
        return [(one, other) for one, other in found if one.std() > FADED]


@cache
def slices(person: int, modalities: tuple[str, str]) -> phantom.Pair:
    return phantom.slice_pair(500 + person, SPACING, *modalities)


def shown(network: Learned, person: int, modalities: tuple[str, str], off: tuple[float, float], draw: int) -> Shown:
    pair = slices(person, modalities)
    grid, g = network.inputs.grid(pair.fixed), generator("cpu", person, draw, int(10 * off[1]))
    field = smooth_noise(g, grid.shape, 0.5 * max(grid.shape), 2).numpy()
    size = uniform(g, *off)
    field *= size / np.linalg.norm(field, axis=0).mean()
    away = Displacement.from_array(np.tensordot(grid.affine[:2, :2], field, 1), grid)
    return Shown(seen(network, pair.fixed, grid), seen(network, pair.moving, grid, vx.compose([away, pair.truth])), size)


def judges(network: Learned) -> dict[str, Callable[[NDArray, NDArray], float]]:
    """How far two patches (1, *S) look aligned, by name; more is better."""
    def said(one: NDArray, other: NDArray) -> float:
        with torch.inference_mode():
            return float(torch.sigmoid(network.module(*(torch.from_numpy(np.ascontiguousarray(a))[None] for a in (one, other)))))

    shared, windows = loss("mi"), loss("lncc", radius=3)
    return {"classifier": said, "mutual information": lambda a, b: -float(shared(a[0].copy(), b[0].copy())),
            "local correlation": lambda a, b: -float(windows(a[0].copy(), b[0].copy()))}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--weights", required=True)
    words.add_argument("--people", type=int, default=12)
    given = words.parse_args()
    network = opened(given.weights, 2, "cpu", (Classifier,))
    print("AUC of patches / of slices\n\n| contrasts | judge | " + " | ".join(f"{a:g} to {b:g} voxels" for a, b in OFF) + " |")
    print("|---" * 5 + "|")
    for modalities in (("T1", "T1"), ("T1", "T2")):
        right, *wrong = ([shown(network, person, modalities, off, draw) for person in range(given.people) for draw in range(DRAWS)]
                         for off in ((0.0, 0.75), *OFF))
        for name, judge in judges(network).items():
            def scores(slices: list[Shown], judge: Callable = judge) -> list[list[float]]:
                return [[judge(*patch) for patch in one.patches()] for one in slices]
            good, row = scores(right), []
            for slices in wrong:
                bad = scores(slices)
                patches = area(list(chain(*good)), list(chain(*bad)))
                row.append(f"{patches:.2f} / {area(list(map(np.mean, good)), list(map(np.mean, bad))):.2f}")
            print(f"| {' to '.join(modalities)} | {name} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
