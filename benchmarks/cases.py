"""Make benchmark cases from the real images: python cases.py IMAGES OUT NAME...   (needs SimpleITK and SciPy)

A case is a folder with fixed.nii.gz, moving.nii.gz and what is known about the pair: fixed_labels.nii.gz and
moving_labels.nii.gz, points.csv (fixed x, y, z, moving x, y, z in mm, RAS+), and case.json (family, whether the contrasts differ,
groups of labels).
"""
from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

BRAIN = (2, 3, 4, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 24, 28, 31, 41, 42, 43, 46, 47, 49, 50, 51, 52, 53, 54, 60, 63)
BRAIN_GROUPS = {
    "cortex": (3, 42),
    "white matter": (2, 41),
    "deep": (10, 49, 11, 50, 12, 51, 13, 52, 28, 60),
    "medial temporal": (17, 53, 18, 54),
    "ventricles": (4, 43, 14, 15),
    "cerebellum": (7, 46, 8, 47),
}
FAMILIES = ("brain", "warp", "mouse", "hippocampus", "spine", "prostate", "lung")
TISSUES = {  # labels of what is painted alike
    "fluid": (4, 5, 14, 15, 24, 31, 43, 44, 63, 72),
    "white": (2, 7, 16, 28, 41, 46, 60, 77, 85, 251, 252, 253, 254, 255),
    "grey": (3, 8, 42, 47),
    "deep": (10, 11, 12, 13, 17, 18, 26, 49, 50, 51, 52, 53, 54, 58),
}
CONTRASTS = {  # brightness of tissues, and noise: parts of the range
    "t2": ({"fluid": 1.0, "white": 0.35, "grey": 0.6, "deep": 0.45}, 0.03),
    "flair": ({"fluid": 0.1, "white": 0.5, "grey": 0.75, "deep": 0.62}, 0.03),
    "ct": ({"fluid": 0.3, "white": 0.45, "grey": 0.55, "deep": 0.52}, 0.05),
}
HIPPOCAMPUS_PAIRS = 20


def names() -> list[str]:
    """Every case there is."""
    mice = [f"mouse_{i}{j}" for i, j in combinations(range(1, 7), 2)]
    crops = [f"hippocampus_{k:02d}" for k in range(HIPPOCAMPUS_PAIRS)]
    warps = ["warp_t1", "warp_inverted", *(f"warp_{contrast}" for contrast in CONTRASTS)]
    return ["brain_ab", *warps, *mice, *crops, "spine_t2t1", *[f"prostate_{k:02d}" for k in range(20)], "lung_fb"]


def chosen(words: list[str]) -> list[str]:
    """Names of cases, families or ``all`` as names of cases."""
    found = []
    for word in words:
        match = [n for n in names() if word == "all" or n == word or n.split("_")[0] == word]
        if not match:
            raise SystemExit(f"no case {word!r}: choose from all, {', '.join(FAMILIES)}, or one like {names()[1]}")
        found += match
    return list(dict.fromkeys(found))


def build(images: Path, folder: Path) -> None:
    """Make the case that ``folder`` is named after; case.json comes last and says that it is whole."""
    family, which = folder.name.split("_")
    folder.mkdir(parents=True, exist_ok=True)
    facts = BUILDERS[family](images, folder, which)
    (folder / "case.json").write_text(json.dumps({"name": folder.name, "family": family, **facts}, indent=1))


def brain(images: Path, folder: Path, which: str) -> dict:
    for role, subject in zip(("fixed", "moving"), which, strict=True):
        write(folder, role, read(images / f"brain/subject-{subject}/t1.nii.gz"))
        write_labels(folder, role, read(images / f"brain/subject-{subject}/labels.nii.gz"), BRAIN)
    return {"multimodal": False, "groups": BRAIN_GROUPS}


def warp(images: Path, folder: Path, which: str) -> dict:
    """One brain bent by a known smooth map (3 mm on average), with fresh noise: T1 to T1 at 1 mm, T1 to what it would be in another
    contrast, painted from its labels, at 2 mm. The true places of 3000 points are known."""
    t1, labels = (read(images / f"brain/subject-a/{name}.nii.gz") for name in ("t1", "labels"))
    rng, spacing = np.random.default_rng(7), 1.0 if which == "t1" else 2.0
    grid = coarser(t1, spacing)
    bend = smooth_map(t1, rng)
    fixed = sitk.Resample(t1, grid, bend, sitk.sitkBSpline)
    body = sitk.Resample(t1, grid, bend) > 0.02 * float(np.percentile(sitk.GetArrayViewFromImage(t1), 99.9))
    write(folder, "fixed", noisy(fixed, body, 0.02, rng))
    write(folder, "moving", in_contrast(t1, labels, which, grid, rng))
    for role, map_ in (("fixed", bend), ("moving", sitk.Transform())):
        write_labels(folder, role, sitk.Resample(labels, grid, map_, sitk.sitkNearestNeighbor), BRAIN)
    inside = np.argwhere(sitk.GetArrayFromImage(body) > 0)[:, ::-1]
    chosen_ones = rng.choice(inside, 3000, replace=False).tolist()
    points = [fixed.TransformIndexToPhysicalPoint([int(i) for i in index]) for index in chosen_ones]
    write_points(folder, *([np.array(p) * (-1, -1, 1) for p in q] for q in (points, [bend.TransformPoint(p) for p in points])))
    return {"multimodal": which != "t1", "groups": BRAIN_GROUPS}


def mouse(images: Path, folder: Path, which: str) -> dict:
    for role, animal in zip(("fixed", "moving"), which, strict=True):
        write(folder, role, read(images / f"mouse/animal-{animal}/mr.nii.gz"))
        write_labels(folder, role, read(images / f"mouse/animal-{animal}/labels.nii.gz"))
    return {"multimodal": False}


def hippocampus(images: Path, folder: Path, which: str) -> dict:
    files = sorted((images / "hippocampus/images").glob("*.nii.gz"))
    pair = list(pairwise(files))[2 * int(which)]
    for role, file in zip(("fixed", "moving"), pair, strict=True):
        write(folder, role, read(file))
        write_labels(folder, role, read(images / "hippocampus/labels" / file.name))
    return {"multimodal": False, "subjects": [f.name for f in pair]}


def spine(images: Path, folder: Path, which: str) -> dict:
    """Only the outline of the cord is known; the headers are about 2 mm off."""
    for role, contrast in (("fixed", "t2/t2"), ("moving", "t1/t1w")):
        write(folder, role, read(images / f"spine/{contrast}.nii.gz"))
        write_labels(folder, role, read(images / f"spine/{contrast}_seg-manual.nii.gz"))
    return {"multimodal": True}


def prostate(images: Path, folder: Path, which: str) -> dict:
    """The first label volume is the gland, the others are landmarks of which the centres are compared."""
    centres = []
    for role, kind in (("fixed", "mr"), ("moving", "us")):
        write(folder, role, read(images / f"prostate/case-{which}/{kind}.nii.gz"))
        volumes = read(images / f"prostate/case-{which}/{kind}-labels.nii.gz")
        volumes = [volumes[..., k] for k in range(volumes.GetSize()[3])] if volumes.GetDimension() == 4 else [volumes]
        write_labels(folder, role, volumes[0])
        centres.append([centre_of(v) for v in volumes[1:]])
    write_points(folder, *centres)
    return {"multimodal": True}


def lung(images: Path, folder: Path, which: str) -> dict:
    for role, name in (("fixed", "baseline"), ("moving", "followup")):
        write(folder, role, read(images / f"lung/{name}.mha"))
        write_labels(folder, role, read(images / f"lung/{name}_mask.mha"))
    return {"multimodal": False}


BUILDERS: dict[str, Callable] = {f.__name__: f for f in (brain, warp, mouse, hippocampus, spine, prostate, lung)}


def read(path: Path) -> sitk.Image:
    return sitk.ReadImage(str(path), sitk.sitkFloat32)


def write(folder: Path, name: str, image: sitk.Image) -> None:
    sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))


def write_labels(folder: Path, role: str, image: sitk.Image, only: tuple[int, ...] | None = None) -> None:
    array = np.rint(sitk.GetArrayFromImage(image)).astype(np.int16)
    labels = sitk.GetImageFromArray(array if only is None else np.where(np.isin(array, only), array, 0).astype(np.int16))
    labels.CopyInformation(image)
    write(folder, f"{role}_labels", labels)


def coarser(image: sitk.Image, spacing: float) -> sitk.Image:
    """An empty image over the same box."""
    size = [round(n * s / spacing) for n, s in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    out = sitk.Image(size, sitk.sitkFloat32)
    out.SetSpacing([spacing] * 3)
    out.SetDirection(image.GetDirection())
    out.SetOrigin(image.TransformContinuousIndexToPhysicalPoint([0.5 * spacing / s - 0.5 for s in image.GetSpacing()]))
    return out


def smooth_map(image: sitk.Image, rng: np.random.Generator) -> sitk.Transform:
    """A displacement of 3 mm on average that varies over 1 to 3 cm."""
    total = np.zeros((*image.GetSize()[::-1], 3))
    for sigma, share in ((10.0, 0.5), (25.0, 0.5)):
        for axis in range(3):
            smooth = gaussian_filter(rng.normal(size=image.GetSize()[::-1]), sigma, mode="wrap")
            total[..., axis] += share * smooth / np.sqrt((smooth**2).mean())
    total *= 3.0 / np.sqrt((total**2).sum(-1)).mean()
    field = sitk.GetImageFromArray(total, isVector=True)
    field.CopyInformation(image)
    return sitk.DisplacementFieldTransform(field)


def in_contrast(t1: sitk.Image, labels: sitk.Image, contrast: str, grid: sitk.Image, rng: np.random.Generator) -> sitk.Image:
    """The brain as it lies, in another contrast (``t1``: as it is; ``inverted``: bright is dark), with noise."""
    values, names = sitk.GetArrayFromImage(t1), np.rint(sitk.GetArrayFromImage(labels)).astype(int)
    values, body, noise = values / np.percentile(values, 99.9), values > 0, 0.02
    if contrast == "inverted":
        values = np.where(body, 1.05 - np.clip(values, 0, 1), 0)
    elif contrast != "t1":
        shades, noise = CONTRASTS[contrast]
        values = sum(shades[tissue] * np.isin(names, TISSUES[tissue]) for tissue in TISSUES).astype(np.float32)
        body = values > 0
    image = sitk.GetImageFromArray(values.astype(np.float32))
    image.CopyInformation(t1)
    there = sitk.GetImageFromArray(body.astype(np.float32))
    there.CopyInformation(t1)
    blurred = sitk.Resample(sitk.SmoothingRecursiveGaussian(image, 0.7) if contrast in CONTRASTS else image, grid)
    return noisy(blurred, sitk.Resample(there, grid) > 0.5, noise, rng)


def noisy(image: sitk.Image, where: sitk.Image, part: float, rng: np.random.Generator) -> sitk.Image:
    """With normal noise, a part of the range, within the body; 0 outside."""
    values, body = sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(where) > 0
    values = np.where(body, np.maximum(values + rng.normal(0, part * np.percentile(values, 99.9), values.shape), 0), 0)
    out = sitk.GetImageFromArray(values.astype(np.float32))
    out.CopyInformation(image)
    return out


def centre_of(mask: sitk.Image) -> np.ndarray:
    """Centre of gravity, mm RAS+."""
    index = np.argwhere(sitk.GetArrayFromImage(mask) > 0.5).mean(0)[::-1]
    return np.array(mask.TransformContinuousIndexToPhysicalPoint(index.tolist())) * (-1, -1, 1)


def write_points(folder: Path, fixed: list, moving: list) -> None:
    if fixed:
        with open(folder / "points.csv", "w", newline="") as file:
            csv.writer(file).writerows([*f, *m] for f, m in zip(fixed, moving, strict=True))


if __name__ == "__main__":
    for name in sys.argv[3:]:
        build(Path(sys.argv[1]), Path(sys.argv[2]) / name)
