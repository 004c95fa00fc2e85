"""Sums of losses and features across modalities: what they are worth, on the phantom (mean error, mm) and on real pairs (Dice).

    python benchmarks/features.py [--cases ph-T1-T2-0 spine prostate-03 ...] [--losses "mi" "mi + mind" ...]

One affine map by mutual information, then a deformation by each loss. Real pairs need $VOXALIGN_TEST_DATA.
"""
from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from voxalign import io
from voxalign.core import Field, Grid, Image, InputError, Transform, compose, kernels, resample
from voxalign.metrics import deformation_summary, dice_by_label
from voxalign.phantom import error_mm, head_pair, thorax_pair
from voxalign.register import Settings, register
from voxalign.transforms import Displacement

CASES = ["ph-T1-T2-0", "ph-T1-T2-1", "ph-T2-T1-2", "ph-T1-CT-0", "ph-T1-CT-1", "ph-T1-PET-0", "ph-T1-PET-1", "th-CT-T1-0"]
LOSSES = ["mi", "nmi", "ngf", "mind", "mi + mind", "mi + 0.5*ngf", "mi + 0.5*ncc(gradient_magnitude)", "mi + 0.5*mse(canny)",
          "mi + 0.5*ncc(gabor)", "ncc(gradient_magnitude)"]


@dataclass(frozen=True)
class Case:
    """Two images, and how a transform between them is scored."""

    fixed: Image
    moving: Image
    score: Callable[[Transform], float]


def case(name: str) -> Case:
    family, *rest = name.split("-")
    if family in ("ph", "th"):
        make, spacing = (head_pair, 3.0) if family == "ph" else (thorax_pair, 4.0)
        pair = make(int(rest[2]), spacing, rest[0], rest[1])
        labels = {} if family == "ph" else {"labels": np.unique(pair.fixed_labels.array)[1:]}
        return Case(pair.fixed, pair.moving, lambda t: float(error_mm(t, pair.truth, pair.fixed_labels, **labels).mean()))
    folder = Path(os.environ["VOXALIGN_TEST_DATA"])
    if family == "spine":
        files, drawn = ("spine/t2/t2.nii.gz", "spine/t1/t1w.nii.gz"), ("spine/t2/t2_seg-manual.nii.gz", "spine/t1/t1w_seg-manual.nii.gz")
        labels = [io.load(folder / file, is_label=True) for file in drawn]
    else:
        files = tuple(f"prostate/case-{rest[0]}/{kind}.nii.gz" for kind in ("us", "mr"))
        drawn = [folder / f"prostate/case-{rest[0]}/{kind}-labels.nii.gz" for kind in ("us", "mr")]
        labels = [io.load(file, frame=0, is_label=True) for file in drawn]
    return Case(*(io.load(folder / file) for file in files), partial(overlap, *labels))


def overlap(fixed: Image, moving: Image, transform: Transform) -> float:
    return float(np.nanmean(list(dice_by_label(fixed, resample(moving, fixed.grid, transform, "nearest")).values())))


def kept(transform: Transform) -> Transform:
    """The same map, as one that linear stages leave alone."""
    far = Grid((2,) * transform.dim, np.diag([1e3] * transform.dim + [1.0]))
    return compose([transform, Displacement(Field(np.zeros((transform.dim, *far.shape), np.float32), far))])


def main(cases: list[str], losses: list[str]) -> None:
    kernels.set_threads(1)
    print("| case | loss | score | SD log J | CPU s |\n|---|---|---:|---:|---:|")
    for name in cases:
        pair = case(name)
        start = {}
        for loss in ("mi", "ngf", "mind"):
            start[loss] = register(pair.fixed, pair.moving, Settings(transform="affine", loss=loss)).transform
            print(f"| {name} | affine `{loss}` | {pair.score(start[loss]):.3f} | | |", flush=True)
        for loss in losses:
            begin = time.process_time()
            try:
                found = register(pair.fixed, pair.moving, Settings(loss=loss, smoothness=2.0), kept(start["mi"])).transform
            except InputError as error:
                print(f"| {name} | `{loss}` | {error} | | |", flush=True)
                continue
            seconds = time.process_time() - begin
            spread = deformation_summary(found, pair.fixed.grid)["sd_log_jacobian"]
            print(f"| {name} | `{loss}` | {pair.score(found):.3f} | {spread:.3f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", default=CASES)
    parser.add_argument("--losses", nargs="+", default=LOSSES)
    arguments = parser.parse_args()
    main(arguments.cases, arguments.losses)
