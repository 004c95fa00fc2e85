"""Other programs, one function each, run as a process of their own: python peers.py NAME CASE OUT

Each takes its published defaults or preset and leaves in OUT moved.nii.gz, like voxalign does, and map.json: the files that make up
the map, in the order in which they are applied to fixed points, and likewise the inverse. What a program needs to give the inverse,
and does not do by itself, happens in a second, unmeasured process: python peers.py NAME.inverse CASE OUT
"""
from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

THREADS = os.environ.get("BENCH_THREADS", "2")


@dataclass(frozen=True)
class Job:
    case: Path
    out: Path

    @property
    def fixed(self) -> Path:
        return self.case / "fixed.nii.gz"

    @property
    def moving(self) -> Path:
        return self.case / "moving.nii.gz"

    @property
    def multimodal(self) -> bool:
        return json.loads((self.case / "case.json").read_text())["multimodal"]

    def says(self, forward: list[str], inverse: list[str] | None = None) -> None:
        (self.out / "map.json").write_text(json.dumps({"forward": forward, "inverse": inverse}))


# ---------------------------------------------------------------- greedy (picsl_greedy)
def greedy(job: Job) -> None:
    """Affine, then deformable with NCC in 5x5x5 windows (NMI across contrasts)."""
    tool, metric = _greedy_affine(job), "NMI" if job.multimodal else "NCC 2x2x2"
    _execute(tool, f"-m {metric} -i {job.fixed} {job.moving} -it {job.out}/affine.ras -n 100x50x10 -o {job.out}/warp.nii.gz")
    _execute(tool, f"-rf {job.fixed} -rm {job.moving} {job.out}/moved.nii.gz -r {job.out}/warp.nii.gz {job.out}/affine.ras")
    job.says(["warp.nii.gz", "affine.ras"], ["affine.ras^-1", "inverse_warp.nii.gz"])


def greedy_affine(job: Job) -> None:
    tool = _greedy_affine(job)
    _execute(tool, f"-rf {job.fixed} -rm {job.moving} {job.out}/moved.nii.gz -r {job.out}/affine.ras")
    job.says(["affine.ras"], ["affine.ras^-1"])


def greedy_inverse(job: Job) -> None:
    from picsl_greedy import Greedy3D

    _execute(Greedy3D(), f"-iw {job.out}/warp.nii.gz {job.out}/inverse_warp.nii.gz")


def _greedy_affine(job: Job):
    from picsl_greedy import Greedy3D

    tool, metric = Greedy3D(), "NMI" if job.multimodal else "NCC 2x2x2"
    _execute(tool, f"-a -dof 12 -ia-image-centers -m {metric} -i {job.fixed} {job.moving} -n 100x50x10 -o {job.out}/affine.ras")
    return tool


def _execute(tool, arguments: str) -> None:
    print("greedy", arguments, flush=True)
    tool.execute(f"-d 3 -threads {THREADS} {arguments}")


# ---------------------------------------------------------------- ANTs (antspyx)
def synquick(job: Job) -> None:
    _ants(job, "antsRegistrationSyNQuick[s]")


def synquick_affine(job: Job) -> None:
    _ants(job, "antsRegistrationSyNQuick[a]")


def syn(job: Job) -> None:
    _ants(job, "antsRegistrationSyN[s]")


def _ants(job: Job, kind: str) -> None:
    import ants

    fixed, moving = ants.image_read(str(job.fixed)), ants.image_read(str(job.moving))
    result = ants.registration(fixed, moving, type_of_transform=kind, outprefix=f"{job.out}/ants_", random_seed=1)
    ants.image_write(result["warpedmovout"], str(job.out / "moved.nii.gz"))
    names = {Path(f).name for f in result["fwdtransforms"]}
    warps, affine = sorted(n for n in names if "Warp" in n), next(n for n in names if n.endswith(".mat"))
    inverse = [n.replace("Warp", "InverseWarp") for n in warps]
    job.says([*warps, affine], [f"{affine}^-1", *inverse])


# ---------------------------------------------------------------- elastix (itk-elastix)
def elastix(job: Job) -> None:
    """Rigid, affine and B-spline with mutual information only (its default B-spline map crashes with two threads)."""
    import itk
    import numpy as np

    fixed, moving = itk.imread(str(job.fixed), itk.F), itk.imread(str(job.moving), itk.F)
    stages = itk.ParameterObject.New()
    for number, name in enumerate(("rigid", "affine", "bspline")):
        stage = stages.GetDefaultParameterMap(name, 4)
        stage["AutomaticTransformInitialization"] = ["true" if number == 0 else "false"]
        if name == "bspline":
            stage["Registration"], stage["Metric"] = ["MultiResolutionRegistration"], ["AdvancedMattesMutualInformation"]
        stages.AddParameterMap(stage)
    moved, found = itk.elastix_registration_method(fixed, moving, parameter_object=stages, number_of_threads=int(THREADS))
    itk.imwrite(moved, str(job.out / "moved.nii.gz"))
    field = itk.transformix_deformation_field(moving, found)
    np.save(job.out / "field.npy", itk.array_from_image(field))  # (z, y, x, 3) LPS mm on the fixed grid
    job.says(["field.npy"])


# ---------------------------------------------------------------- convexAdam, after greedy's affine
def convexadam(job: Job) -> None:
    import nibabel as nib
    import numpy as np
    import torch
    from convexAdam.convex_adam_MIND import convex_adam_pt
    from scipy.ndimage import map_coordinates

    torch.set_num_threads(int(THREADS))
    _greedy_affine(job)
    fixed, moving = nib.load(job.fixed), nib.load(job.moving)
    affine = np.loadtxt(job.out / "affine.ras")
    steps = np.linalg.inv(moving.affine) @ affine @ fixed.affine

    def pulled(displacement: np.ndarray | float) -> np.ndarray:
        index = np.indices(fixed.shape, np.float32) + displacement
        index = np.tensordot(steps[:3, :3], index, 1) + steps[:3, 3].reshape(3, 1, 1, 1)
        return map_coordinates(moving.get_fdata(dtype=np.float32), index, order=1)

    voxels = convex_adam_pt(fixed.get_fdata(dtype=np.float32), pulled(0.0), dtype=torch.float32, device=torch.device("cpu"))
    nib.save(nib.Nifti1Image(pulled(np.moveaxis(voxels, -1, 0)), fixed.affine), job.out / "moved.nii.gz")
    lps = (voxels @ fixed.affine[:3, :3].T * (-1, -1, 1)).astype(np.float32)
    np.save(job.out / "field.npy", lps.transpose(2, 1, 0, 3))
    job.says(["field.npy", "affine.ras"])


def identity(job: Job) -> None:
    """What the headers say: the score before registration."""
    (job.out / "affine.ras").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    job.says(["affine.ras"], ["affine.ras^-1"])


KNOWN = (identity, greedy, greedy_affine, greedy_inverse, synquick, synquick_affine, syn, elastix, convexadam)

if __name__ == "__main__":
    chosen = {f.__name__: f for f in KNOWN}[sys.argv[1].replace(".", "_")]
    chosen(Job(Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve()))
