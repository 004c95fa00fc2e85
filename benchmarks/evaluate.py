"""The one evaluator of every method: python evaluate.py CASE OUT   (needs SimpleITK, NumPy, SciPy) prints JSON

The map is read from OUT/map.json (or transform.h5 and inverse.h5, as voxalign leaves them) as SimpleITK transforms and judged by
SimpleITK, NumPy and SciPy only, without any code of the programs under test.

dice, dice_by_label, hd95_mm   moving labels pulled back by nearest neighbour; labels that the fixed image has
dice of groups                 named in case.json
tre_mm                         mean distance of the mapped landmarks to their partners
folded_percent, sd_log_jacobian   central differences of the whole map in mm within the fixed labels; log of max(J, 0.001)
inverse_error_mm               mean and 95th percentile of |inverse(map(x)) - x| at 20 000 voxels of the fixed labels
moved_agreement                correlation of the moving image pulled back here with what the program wrote: 1 if its map is read right
"""
from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

L4 = np.diag([-1.0, -1, 1, 1])


# ---------------------------------------------------------------- reading maps
def read_map(folder: Path, names: list[str], fixed: sitk.Image) -> sitk.Transform:
    """Files in order of application; SimpleITK's composite applies the last first."""
    return sitk.CompositeTransform([read_part(folder / n, fixed) for n in names][::-1])


def read_part(path: Path, fixed: sitk.Image) -> sitk.Transform:
    if path.name.endswith("^-1"):
        return read_part(path.with_name(path.name[:-3]), fixed).GetInverse()
    if path.suffix == ".ras":  # 4x4 of world points in RAS+
        matrix = L4 @ np.loadtxt(path) @ L4
        affine = sitk.AffineTransform(3)
        affine.SetMatrix(matrix[:3, :3].ravel().tolist())
        affine.SetTranslation(matrix[:3, 3].tolist())
        return affine
    if path.suffix == ".npy":
        field = sitk.GetImageFromArray(np.load(path).astype(np.float64), isVector=True)
        field.CopyInformation(fixed)
        return sitk.DisplacementFieldTransform(field)
    if path.name.endswith(".nii.gz"):
        return sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
    return sitk.ReadTransform(str(path))


def files_of(out: Path) -> dict:
    if (out / "map.json").exists():
        return json.loads((out / "map.json").read_text())
    return {"forward": ["transform.h5"], "inverse": ["inverse.h5"]}


# ---------------------------------------------------------------- measures
def overlap(fixed: np.ndarray, moved: np.ndarray) -> dict[int, float]:
    size = int(max(fixed.max(), moved.max())) + 1
    in_fixed, in_moved, in_both = (np.bincount(v.ravel(), minlength=size) for v in (fixed, moved, fixed[fixed == moved]))
    return {int(k): 2 * float(in_both[k]) / float(in_fixed[k] + in_moved[k]) for k in np.flatnonzero(in_fixed) if k}


def hd95(fixed: np.ndarray, moved: np.ndarray, spacing: np.ndarray) -> float:
    """95 % Hausdorff distance in mm; NaN if one is empty."""
    if not fixed.any() or not moved.any():
        return float("nan")
    box = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in ndimage.find_objects((fixed | moved).astype(np.uint8))[0])
    edges = [m[box] & ~ndimage.binary_erosion(m[box]) for m in (fixed, moved)]
    away = [ndimage.distance_transform_edt(~e, sampling=spacing) for e in edges]
    return float(max(np.percentile(away[1][edges[0]], 95), np.percentile(away[0][edges[1]], 95)))


def jacobian(transform: sitk.Transform, fixed: sitk.Image) -> np.ndarray:
    """Determinants of the whole map on the fixed grid, (z, y, x)."""
    grid = (fixed.GetSize(), fixed.GetOrigin(), fixed.GetSpacing(), fixed.GetDirection())
    u = sitk.GetArrayFromImage(sitk.TransformToDisplacementField(transform, sitk.sitkVectorFloat64, *grid))
    steps = np.array(fixed.GetDirection()).reshape(3, 3) * fixed.GetSpacing()
    matrices = np.empty((*u.shape[:3], 3, 3), np.float32)
    for component in range(3):
        for axis in range(3):  # array axes are z, y, x, columns of steps x, y, z
            matrices[..., component, axis] = np.gradient(u[..., component], axis=2 - axis) + steps[component, axis]
    return np.stack([np.linalg.det(plane) for plane in matrices]) / np.linalg.det(steps)


def inverse_error(transform: sitk.Transform, inverse: sitk.Transform, fixed: sitk.Image, mask: np.ndarray) -> np.ndarray:
    index = np.argwhere(mask)
    index = index[np.random.default_rng(0).choice(len(index), min(20000, len(index)), replace=False)][:, ::-1]
    points = [fixed.TransformIndexToPhysicalPoint(i.tolist()) for i in index]
    return np.array([np.subtract(inverse.TransformPoint(transform.TransformPoint(p)), p) for p in points])


def landmarks(transform: sitk.Transform, path: Path) -> np.ndarray:
    rows = np.array([[float(v) for v in row] for row in csv.reader(path.open())])
    lps = np.array([-1, -1, 1])
    return np.linalg.norm([np.subtract(transform.TransformPoint((r[:3] * lps).tolist()), r[3:] * lps) for r in rows], axis=1)


def agreement(out: Path, case: Path, transform: sitk.Transform, fixed: sitk.Image) -> float | None:
    if not (out / "moved.nii.gz").exists():
        return None
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "moved.nii.gz"), sitk.sitkFloat32))
    ours = sitk.GetArrayFromImage(sitk.Resample(sitk.ReadImage(str(case / "moving.nii.gz"), sitk.sitkFloat32), fixed, transform))
    return float(np.corrcoef(written.ravel(), ours.ravel())[0, 1])


# ---------------------------------------------------------------- all of them
def evaluate(case: Path, out: Path) -> dict:
    facts, files = json.loads((case / "case.json").read_text()), files_of(out)
    fixed = sitk.ReadImage(str(case / "fixed_labels.nii.gz"))
    transform = read_map(out, files["forward"], fixed)
    a = sitk.GetArrayFromImage(fixed)
    moving = sitk.ReadImage(str(case / "moving_labels.nii.gz"))
    b = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transform, sitk.sitkNearestNeighbor, 0))
    dice, spacing = overlap(a, b), np.array(fixed.GetSpacing())[::-1]
    far = {k: hd95(a == k, b == k, spacing) for k in dice}
    result = {"dice": mean(dice.values()), "hd95_mm": mean(far.values()), "dice_by_label": dice, "hd95_mm_by_label": far,
              "dice_by_group": {g: mean(dice[k] for k in labels if k in dice) for g, labels in facts.get("groups", {}).items()}}
    determinants = jacobian(transform, fixed)[a > 0]
    result |= {"folded_percent": float(100 * np.mean(determinants <= 0)),
               "sd_log_jacobian": float(np.log(np.maximum(determinants, 1e-3)).std(dtype=np.float64)),
               "jacobian_min": float(determinants.min())}
    if (case / "points.csv").exists():
        result["tre_mm"] = mean(landmarks(transform, case / "points.csv"))
    if files["inverse"]:
        error = np.linalg.norm(inverse_error(transform, read_map(out, files["inverse"], fixed), fixed, a > 0), axis=1)
        result |= {"inverse_error_mm": mean(error), "inverse_error_p95_mm": float(np.percentile(error, 95))}
    return result | {"moved_agreement": agreement(out, case, transform, fixed)}


def mean(values) -> float:
    return float(np.nanmean(list(values)))


if __name__ == "__main__":
    print(json.dumps(evaluate(Path(sys.argv[1]), Path(sys.argv[2]))))
