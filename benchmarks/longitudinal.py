"""Planted atrophy found again: a ball of 25 ml in a generated head loses 1 %, over many draws of noise, shading and position.

    python benchmarks/longitudinal.py --draws 20 --change 0.99 --spacing 1.5

Each draw is two images of one head in two positions, sampled anew from the continuous anatomy on a grid twice as fine and averaged, so
that voxels hold partial volumes as a scanner's do: without, the edge of the ball is known to a voxel here and there only, which alone makes
its volume uncertain by 0.25 %. Also: how often the 95 % interval holds the truth.
"""
from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np

from voxalign.core import Grid, Image, compose, resample
from voxalign.phantom import APPEARANCES, HeadLabel, Inflation, head_anatomy, image_pair, rigid, with_lesion
from voxalign.phantom.pair import Scan
from voxalign.run.longitudinal import course

MIDDLE, RADIUS, SIDE = np.array((28.0, -20.0, 30.0)), 18.0, 108.0
FINER = 2


def box(spacing: float, middle: np.ndarray) -> Grid:
    voxels = round(SIDE / spacing)
    affine = np.diag([spacing] * 3 + [1.0])
    affine[:3, 3] = middle - spacing * (voxels - 1) / 2
    return Grid((voxels,) * 3, affine)


def draw(seed: int, change: float, spacing: float):
    rng = np.random.default_rng(seed)
    moved = rigid(rng.normal(0, 4), rng.standard_normal(3), rng.normal(0, 4, 3))
    truth = compose([Inflation(tuple(MIDDLE), 1.5 * RADIUS, change ** (1 / 3)), moved])
    anatomy = with_lesion(head_anatomy(np.random.default_rng(0)), MIDDLE, RADIUS)
    usual = APPEARANCES["T1"]
    appearance = replace(usual, noise=usual.noise * FINER**1.5)  # of the averages it is the usual one
    grids = box(spacing / FINER, MIDDLE), box(spacing / FINER, truth(MIDDLE))
    pair = image_pair(anatomy, grids, truth, scan=Scan(seed, appearance))
    images = [resample(image, image.grid.downsample(FINER)) for image in (pair.fixed, pair.moving)]
    return course(images, [only_ball(pair.fixed_labels), only_ball(pair.moving_labels)])


def only_ball(labels: Image) -> Image:
    return labels.with_data(np.where(labels.data == HeadLabel.LESION, 1, 0).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--change", type=float, default=0.99)
    parser.add_argument("--spacing", type=float, default=1.5)
    arguments = parser.parse_args()
    truth = 200 * (arguments.change - 1) / (arguments.change + 1)
    found, held, began = [], 0, time.process_time()
    for seed in range(arguments.draws):
        one = draw(seed, arguments.change, arguments.spacing).structures[1].change(0, 1)
        found.append(one.value)
        held += one.low <= truth <= one.high
        print(f"draw {seed}: {one.value:+.3f} % ({one.low:+.2f} to {one.high:+.2f})", flush=True)
    print(f"truth {truth:+.3f} %: mean {np.mean(found):+.3f}, standard deviation {np.std(found):.3f}, largest error "
          f"{np.abs(np.array(found) - truth).max():.3f}; interval holds it {held}/{arguments.draws}; "
          f"{(time.process_time() - began) / arguments.draws:.1f} CPU seconds a draw")


if __name__ == "__main__":
    main()
