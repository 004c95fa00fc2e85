"""Images of two kinds to train on and to be tried on, for `adversarial.py`: generated heads, and real images with known maps or labels.

`phantom`    slices of generated heads, T1 and another contrast (2-D, 4 mm).
`contrasts`  slices of a real brain as T1, and its label map painted as a T2 (2-D, 3 mm). Trained on one person, tried on another.
`spine`      T1 and T2 of one neck (2-D, 1 mm, axial). Trained on the lower slices, tried on the upper ones of the same person: there is
             no other. Both volumes are laid on each other by the centres of their cords' masks, and no intensity has a say.
`prostate`   MR and ultrasound (3-D, .8 mm). Trained on fourteen patients, tried on six by landmarks and the gland; no map is known.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import ndimage

from voxalign import io
from voxalign.core import Grid, Image, Transform, resample
from voxalign.filters.geometry import crop_to_foreground, reorient, resample_to
from voxalign.io.sequence import open_series
from voxalign.metrics import dice_by_label
from voxalign.phantom import BRAIN, Motion, Scan, error_mm, head_anatomy, image_pair

Score = dict[str, float]


@dataclass(frozen=True, eq=False)
class Trial:
    """A pair that nothing was trained on, and how far a transform of its fixed points is from right: ``mm``, ``dice``."""

    fixed: Image
    moving: Image
    score: Callable[[Transform], Score]


@dataclass(frozen=True, eq=False)
class Kinds:
    """Pairs of two kinds of image.

    Parameters
    ----------
    trained : (fixed, moving) images, nearly on each other.
    tried : pairs kept aside.
    recipe : choices of the trainings that these images need.
    settings : of the engine, whatever its loss.
    """

    trained: Sequence[tuple[Image, Image]]
    tried: Sequence[Trial]
    recipe: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)


# -------------------------------------------------------------------- generated heads
def phantom(data: Path | None, moving: str = "T2") -> Kinds:
    """28 people to train on, 10 to try."""
    affine = np.diag([4.0, 4.0, 1.0])
    affine[:2, 2] = -4.0 * (np.array((48, 58)) - 1) / 2 + np.array((0, 5))
    grid = Grid((48, 58), affine)

    def made(seed: int, motion: Motion):
        truth = motion.over(grid, seed + 1)
        return image_pair(head_anatomy(np.random.default_rng(seed)), (grid, grid), truth, ("T1", moving), Scan(seed, height=15.0))

    def trial(seed: int) -> Trial:
        pair = made(seed, Motion(8.0, shift=(6.0, -5.0, 0.0), amplitude_mm=8.0, smoothness_mm=40.0))
        return Trial(pair.fixed, pair.moving, known(pair.truth, pair.fixed_labels, pair.moving_labels, [int(k) for k in BRAIN]))

    near = Motion(4.0, shift=(2.0, -2.0, 0.0), amplitude_mm=4.0, smoothness_mm=45.0)
    trained = [(pair.fixed, pair.moving) for pair in (made(seed, near) for seed in range(28))]
    return Kinds(trained, [trial(seed) for seed in range(1000, 1010)], {"start": "headers"}, {"initial": "none"})


# -------------------------------------------------------------------- a real brain and a painted one
_T2 = {380: (2, 7, 41, 46, 77, 78, 79, 85, *range(251, 256)), 1150: (4, 5, 14, 15, 24, 43, 44, 72), 480: (10, 12, 49, 51),
       500: (11, 50), 400: (13, 52), 430: (16, 28, 60), 580: (17, 18, 26, 53, 54, 58), 900: (31, 63), 560: (3, 8, 42, 47)}
_SCORED = (2, 3, 4, 10, 11, 12, 16, 41, 42, 43, 49, 50, 51)  # large enough for slices of 3 mm
_LEAST = 2500  # mm2 of brain in a slice


def contrasts(data: Path | None, moving: str = "T2") -> Kinds:
    """Slices of subject-b to train on, each in two positions; 10 of subject-a to try."""
    near = Motion(4.0, shift=(2.0, -2.0, 0.0), amplitude_mm=4.0, smoothness_mm=45.0)
    far = Motion(8.0, shift=(6.0, -5.0, 0.0), amplitude_mm=8.0, smoothness_mm=40.0)
    trained = [_brain(*slices, near, 2 * k + again) for k, slices in enumerate(_brain_slices(data / "brain/subject-b", 30))
               for again in range(2)]
    tried = [_brain(*slices, far, 1000 + k) for k, slices in enumerate(_brain_slices(data / "brain/subject-a", 10))]
    return Kinds([(one.fixed, one.moving) for one in trained], tried, {"start": "headers"}, {"initial": "none"})


def _brain_slices(folder: Path, count: int) -> list[tuple[Image, Image]]:
    image, labels = (reorient(io.load(folder / f"{name}.nii.gz", is_label=name == "labels")) for name in ("t1", "labels"))
    around = crop_to_foreground(labels, margin=18.0).grid
    image, labels = resample(image, around), resample(labels, around)
    full = [k for k in range(around.shape[2]) if (labels.array[:, :, k] > 0).sum() > _LEAST]
    kept = np.linspace(full[0], full[-1], count).round().astype(int)
    return [(plane(image, k), plane(labels, k)) for k in kept]


def _brain(image: Image, labels: Image, motion: Motion, seed: int) -> Trial:
    """A slice as it is, and painted, moved, shaded and noisy."""
    rng, truth = np.random.default_rng(seed), motion.over(labels.grid, seed)
    there = truth.inverse()
    moved = resample_to(resample(_painted(labels, rng), labels.grid, there), spacing=3.0)
    noise = rng.normal(0, 25, (2, *moved.data.shape))
    shaded = moved.data * np.exp(0.15 * _blobs(rng, moved.grid, 40.0))
    return Trial(resample_to(image, spacing=3.0), moved.with_data(np.hypot(shaded + noise[0], noise[1]).astype(np.float32)),
                 known(truth, labels, resample(labels, labels.grid, there, "nearest"), _SCORED))


def _painted(labels: Image, rng: np.random.Generator) -> Image:
    table = np.full(256, 500.0)
    table[0] = 10.0
    for value, names in _T2.items():
        table[list(names)] = value
    texture = 1 + 0.04 * _blobs(rng, labels.grid, 2.5)
    sharp = table[np.where(labels.array < 256, labels.array, 255)] * texture
    return Image(ndimage.gaussian_filter(sharp, 0.6 / labels.grid.spacing).astype(np.float32), labels.grid)


def _blobs(rng: np.random.Generator, grid: Grid, size: float) -> np.ndarray:
    """Random, of unit variance, smooth over ``size`` mm."""
    smooth = ndimage.gaussian_filter(rng.standard_normal(grid.shape), size / grid.spacing, mode="wrap")
    return (smooth - smooth.mean()) / smooth.std()


# -------------------------------------------------------------------- a neck
def spine(data: Path | None, moving: str = "T2") -> Kinds:
    """36 lower slices to train on, each in three positions; 10 of the upper ones to try."""
    fixed, other = (reorient(io.load(data / "spine" / name)) for name in ("t1/t1w.nii.gz", "t2/t2.nii.gz"))
    cords = [reorient(io.load(data / "spine" / name, is_label=True)) for name in ("t1/t1w_seg-manual.nii.gz", "t2/t2_seg-manual.nii.gz")]
    offset = _between_cords(*cords)
    low = max(image.grid.origin[2] for image in (fixed, other)) + 1
    high = min(image.grid.origin[2] + image.grid.shape[2] for image in (fixed, other)) - 2
    heights = np.arange(low, high)
    kept, aside = heights[:int(0.68 * len(heights))], heights[int(0.68 * len(heights)) + 2:]

    def trial(z: float, motion: Motion, seed: int) -> Trial:
        images = [plane(image, _slice(image, z)) for image in (fixed, other, *cords)]
        grid = Grid(images[1].grid.shape, _shifted(images[1].grid.affine, offset))
        truth = motion.over(images[0].grid, seed)
        there = truth.inverse()
        moved = [resample(Image(one.data, grid, is_label=one.is_label), grid, there) for one in (images[1], images[3])]
        return Trial(images[0], moved[0], known(truth, images[2], moved[1], (1,), images[0]))

    near = Motion(4.0, shift=(1.5, -1.5, 0.0), amplitude_mm=2.0, smoothness_mm=25.0)
    far = Motion(8.0, shift=(3.5, -3.0, 0.0), amplitude_mm=4.0, smoothness_mm=25.0)
    trained = [trial(z, near, 3 * k + again) for k, z in enumerate(kept) for again in range(3)]
    tried = [trial(z, far, 1000 + k) for k, z in enumerate(aside[np.linspace(0, len(aside) - 1, 10).round().astype(int)])]
    return Kinds([(one.fixed, one.moving) for one in trained], tried, {"start": "headers"}, {"initial": "none"})


def _slice(image: Image, z: float) -> int:
    return round((z - image.grid.origin[2]) / image.grid.spacing[2])


def _between_cords(one: Image, other: Image) -> np.ndarray:
    """Mean way (x, y) from the second cord to the first, over the heights that both show, mm."""
    centres = []
    for image in (one, other):
        points = image.grid.world(np.argwhere(image.array > 0))
        heights = np.round(points[:, 2])
        centres.append({z: points[heights == z, :2].mean(0) for z in np.unique(heights)})
    return np.mean([centres[0][z] - centres[1][z] for z in centres[0].keys() & centres[1].keys()], 0)


def _shifted(affine: np.ndarray, offset: np.ndarray) -> np.ndarray:
    affine = affine.copy()
    affine[:2, 2] += offset
    return affine


# -------------------------------------------------------------------- prostates
_PATIENTS = (14, 6)


def prostate(data: Path | None, moving: str = "US") -> Kinds:
    """14 patients to train on, 6 to try."""
    people = [data / f"prostate/case-{k:02d}" for k in range(sum(_PATIENTS))]
    pairs = [tuple(io.load(folder / f"{kind}.nii.gz") for kind in ("mr", "us")) for folder in people]
    tried = [Trial(*pair, _landmarks(folder)) for pair, folder in list(zip(pairs, people, strict=True))[_PATIENTS[0]:]]
    return Kinds(pairs[:_PATIENTS[0]], tried, {"start": "centres", "spacing": 0.8, "shape": (32, 32, 32), "batch": 1},
                 {"initial": "centres", "transform": "affine"})


def _landmarks(folder: Path) -> Callable[[Transform], Score]:
    """By the centres of what was marked in both (the gland among it), and the gland's overlap."""
    volumes = [_volumes(folder / f"{kind}-labels.nii.gz") for kind in ("mr", "us")]
    centres = [np.array([one.grid.world(np.argwhere(one.array).mean(0)) for one in many]) for many in volumes]
    glands = [many[0] for many in volumes]

    def score(transform: Transform) -> Score:
        moved = resample(glands[1], glands[0].grid, transform, "nearest")
        return {"mm": float(np.linalg.norm(transform(centres[0]) - centres[1], axis=1).mean()), "dice": dice_by_label(glands[0], moved)[1]}
    return score


def _volumes(path: Path) -> list[Image]:
    return [Image((frame.array > 0.5).astype(np.uint8), frame.grid, is_label=True) for frame in open_series([path])]


# -------------------------------------------------------------------- shared
def known(truth: Transform, fixed: Image, moving: Image, names: Sequence[int], body: Image | None = None) -> Callable[[Transform], Score]:
    """By a known map in the labels of the fixed image (or where ``body`` is bright and the map stays in the moving image), and by Dice."""
    marked = fixed.array > 0 if body is None else body.array > 0.3 * np.percentile(body.array, 95)
    points = (fixed if body is None else body).grid.world(np.argwhere(marked))
    points = points[moving.grid.contains(truth(points))]

    def score(transform: Transform) -> Score:
        dice = dice_by_label(fixed, resample(moving, fixed.grid, transform, "nearest"), names).values()
        return {"mm": float(error_mm(transform, truth, points).mean()), "dice": float(np.nanmean(list(dice)))}
    return score


def plane(image: Image, k: int) -> Image:
    """Axial slice ``k`` of a volume with axes RAS."""
    affine = np.eye(3)
    affine[:2, :2], affine[:2, 2] = image.grid.affine[:2, :2], image.grid.affine[:2, 3]
    return Image(np.ascontiguousarray(image.array[:, :, k]), Grid(image.grid.shape[:2], affine), is_label=image.is_label)


KINDS: dict[str, Callable[..., Kinds]] = {"phantom": phantom, "contrasts": contrasts, "spine": spine, "prostate": prostate}
