"""Accuracy on real images that differ in size or were made worse, with and without the preprocessing that matches.

    VOXALIGN_TEST_DATA=... python benchmarks/preprocessing.py [NAME ...] [--scale MM] [--cases slices|brains]

Slices with a known transform: mean error in mm inside the head. Two brains: mean Dice of the 30 labels usually scored, at --scale mm.
What is made worse is the moving image alone.
"""
from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import voxalign as vx
from voxalign import filters

LABELS = (2, 3, 4, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 24, 28, 31, 41, 42, 43, 46, 47, 49, 50, 51, 52, 53, 54, 60, 63)
Change = Callable[[vx.Image], vx.Image]
SEED = 3


@dataclass(frozen=True)
class Trouble:
    """What is done to the moving image, and what is done about it (to both images)."""

    spoil: Change
    cure: Change
    cure_name: str


def _same(image: vx.Image) -> vx.Image:
    return image


def _range(image: vx.Image) -> float:
    return float(np.percentile(image.data, 99.5))


def rician(part: float) -> Change:
    """Noise of magnitude images with a standard deviation of a part of the range."""
    def spoil(image: vx.Image) -> vx.Image:
        rng, sigma = np.random.default_rng(SEED), part * _range(image)
        real, imaginary = (sigma * rng.standard_normal(image.data.shape) for _ in range(2))
        return image.with_data(np.hypot(image.data + real, imaginary))
    return spoil


def speckle(part: float) -> Change:
    """Multiplicative noise with a gamma distribution of mean 1."""
    def spoil(image: vx.Image) -> vx.Image:
        return image.with_data(image.data * np.random.default_rng(SEED).gamma(1 / part**2, part**2, image.data.shape))
    return spoil


def bias(image: vx.Image) -> vx.Image:
    """A shading from 0.4 to 1.6 across the first axis and a bump."""
    places = np.meshgrid(*(np.linspace(-1, 1, n) for n in image.grid.shape), indexing="ij")
    return image.with_data(image.data * np.exp(0.7 * places[0] - 0.6 * places[1] ** 2))


def anisotropic(times: float) -> Change:
    """Thick slices along the last axis."""
    def spoil(image: vx.Image) -> vx.Image:
        spacing = image.grid.spacing * np.array([*[1.0] * (image.dim - 1), times])
        return filters.resample_to(image, spacing=tuple(spacing))
    return spoil


def coarser(times: float) -> Change:
    """Larger voxels along all axes, and so fewer."""
    return lambda image: filters.resample_to(image, spacing=tuple(image.grid.spacing * times))


def cropped(first: float, last: float) -> Change:
    """What lies between two parts of the way along each axis."""
    def spoil(image: vx.Image) -> vx.Image:
        start, stop = ([int(n * part) for n in image.grid.shape] for part in (first, last))
        return vx.Image(image.data[(slice(None), *map(slice, start, stop))], image.grid.crop(start, stop))
    return spoil


def hot(image: vx.Image) -> vx.Image:
    """A few voxels fifty times too bright, as beside metal."""
    data = image.data.copy()
    data.ravel()[np.random.default_rng(SEED).integers(0, data.size, data.size // 500)] *= 50
    return image.with_data(data)


TROUBLES = {
    "as it is": Trouble(_same, _same, "-"),
    "Rician noise 10 %": Trouble(rician(0.1), lambda i: filters.non_local_means(i, rician=True), "non_local_means rician=true"),
    "Rician noise 20 %": Trouble(rician(0.2), lambda i: filters.gaussian(i, sigma=1.5), "gaussian sigma=1.5"),
    "speckle 50 %": Trouble(speckle(0.5), lambda i: filters.median(i, radius=2.5), "median radius=2.5"),
    "bias field": Trouble(bias, filters.correct_bias, "correct_bias"),
    "bright spots": Trouble(hot, filters.clip_percentiles, "clip_percentiles"),
    "slices 4 times thicker": Trouble(anisotropic(4), lambda i: filters.resample_to(i, spacing=float(i.grid.spacing.min())),
                                      "resample_to (even voxels)"),
    "middle 60 % only": Trouble(cropped(0.2, 0.8), lambda i: filters.crop_to_foreground(i, margin=10), "crop_to_foreground margin=10"),
    "one corner, 70 % of each axis": Trouble(cropped(0.3, 1.0), lambda i: filters.crop_to_foreground(i, margin=10),
                                             "crop_to_foreground margin=10"),
    "voxels 2.5 times as large": Trouble(coarser(2.5), lambda i: filters.resample_to(i, spacing=float(max(i.grid.spacing.max(), 2.5))),
                                         "resample_to (of the slices, the coarser voxels)"),
}


# -------------------------------------------------------------------- cases
def slices(data: Path) -> dict[str, Callable[[Trouble, bool, str], float]]:
    """2-D slices, a proton density or T1 one as fixed image, and a proton density one moved by a known amount: error in mm."""
    folder = data / "slices2d" / "known-transform"
    moving = vx.load(folder / "BrainProtonDensitySliceShifted13x17y.png")

    def shifted(name: str) -> Callable[[Trouble, bool, str], float]:
        fixed = vx.load(folder / name)
        head = fixed.grid.world(np.argwhere(fixed.array > 0.2 * _range(fixed)))

        def error(trouble: Trouble, cured: bool, loss: str) -> float:
            found = vx.register(*_prepared(fixed, moving, trouble, cured), transform="rigid", loss=loss, device="cpu").transform
            return float(np.linalg.norm(found(head) - head - [-13.0, -17.0], axis=1).mean())
        return error
    return {"slice moved by (13, 17) mm, one contrast: mean error, mm": shifted("BrainProtonDensitySliceBorder20.png"),
            "the same, T1 to proton density: mean error, mm": shifted("BrainT1SliceBorder20.png")}


def brains(data: Path, scale: float) -> dict[str, Callable[[Trouble, bool, str], float]]:
    """Two people's brains: mean Dice."""
    pair = []
    for name in "ab":
        folder = data / "brain" / f"subject-{name}"
        image = filters.resample_to(vx.load(next(folder.glob("t1*.nii.gz"))), spacing=scale)
        pair.append((image, vx.load(folder / "labels.nii.gz", is_label=True)))
    (fixed, fixed_labels), (moving, moving_labels) = pair

    def overlap(trouble: Trouble, cured: bool, loss: str) -> float:
        found = vx.register(*_prepared(fixed, moving, trouble, cured), loss=loss, device="cpu")
        moved = vx.resample(moving_labels, fixed_labels.grid, found.transform)
        return float(np.mean(list(vx.metrics.dice_by_label(fixed_labels, moved, LABELS).values())))
    return {f"two brains at {scale:g} mm: mean Dice": overlap}


def _prepared(fixed: vx.Image, moving: vx.Image, trouble: Trouble, cured: bool) -> tuple[vx.Image, vx.Image]:
    spoilt = trouble.spoil(moving)
    return (trouble.cure(fixed), trouble.cure(spoilt)) if cured else (fixed, spoilt)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(TROUBLES))
    parser.add_argument("--scale", type=float, default=2.0)
    parser.add_argument("--loss", default="auto")
    parser.add_argument("--cases", choices=("slices", "brains"), nargs="+", default=("slices", "brains"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    data = Path(os.environ["VOXALIGN_TEST_DATA"])
    cases = slices(data) if "slices" in arguments.cases else {}
    cases |= brains(data, arguments.scale) if "brains" in arguments.cases else {}
    for title, case in cases.items():
        print(f"\n{title}\n\n| the moving image | as it is | prepared | by | CPU s |\n|---|---:|---:|---|---:|")
        for name, trouble in TROUBLES.items():
            if not arguments.names or name in arguments.names:
                start = time.process_time()
                plain, cured = (case(trouble, cure, arguments.loss) for cure in (False, True))
                print(f"| {name} | {plain:.3f} | {cured:.3f} | {trouble.cure_name} | {time.process_time() - start:.0f} |", flush=True)
