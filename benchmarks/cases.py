"""Make benchmark cases from the real images: python cases.py IMAGES OUT NAME...   (needs SimpleITK)

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

BRAIN = (2, 3, 4, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 24, 28, 31, 41, 42, 43, 46, 47, 49, 50, 51, 52, 53, 54, 60, 63)
BRAIN_GROUPS = {
    "cortex": (3, 42),
    "white matter": (2, 41),
    "deep": (10, 49, 11, 50, 12, 51, 13, 52, 28, 60),
    "medial temporal": (17, 53, 18, 54),
    "ventricles": (4, 43, 14, 15),
    "cerebellum": (7, 46, 8, 47),
}
FAMILIES = ("brain", "mouse", "hippocampus", "spine", "prostate", "lung")
HIPPOCAMPUS_PAIRS = 20


def names() -> list[str]:
    """Every case there is."""
    mice = [f"mouse_{i}{j}" for i, j in combinations(range(1, 7), 2)]
    crops = [f"hippocampus_{k:02d}" for k in range(HIPPOCAMPUS_PAIRS)]
    return ["brain_ab", *mice, *crops, "spine_t2t1", *[f"prostate_{k:02d}" for k in range(20)], "lung_fb"]


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


BUILDERS: dict[str, Callable] = {f.__name__: f for f in (brain, mouse, hippocampus, spine, prostate, lung)}


def read(path: Path) -> sitk.Image:
    return sitk.ReadImage(str(path), sitk.sitkFloat32)


def write(folder: Path, name: str, image: sitk.Image) -> None:
    sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))


def write_labels(folder: Path, role: str, image: sitk.Image, only: tuple[int, ...] | None = None) -> None:
    array = np.rint(sitk.GetArrayFromImage(image)).astype(np.int16)
    labels = sitk.GetImageFromArray(array if only is None else np.where(np.isin(array, only), array, 0).astype(np.int16))
    labels.CopyInformation(image)
    write(folder, f"{role}_labels", labels)


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
