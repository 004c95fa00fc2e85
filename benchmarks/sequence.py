"""How exactly motion is found in sequences, and how fast frames are followed.

    python benchmarks/sequence.py phantom                     error on generated heads that move (mean, 95 %, largest; voxels)
    python benchmarks/sequence.py injected fmri.nii.gz ...    motion injected into real series: error against what was injected (voxels);
                                                              --ants: the same by ANTs' motion correction (needs antspyx)
    python benchmarks/sequence.py speed --frames 180          seconds for a series of 64 x 64 x 36, from file to files
    python benchmarks/sequence.py live                        latency of vx.track: percentiles for 256 x 256 and 128 x 128 x 128

Injected: every frame is moved by a known motion (2 degrees and 2 voxels, standard deviations) with cubic splines. The whole series is
aligned twice, as it is and moved; what is found must differ by what was injected, up to one motion that all frames share (both are
aligned to means of their own). Errors are those of the bright voxels, within the slices where there are few of them; they hold those of
both alignments.
"""
from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from voxalign import phantom
from voxalign.core import Grid, Image, resample
from voxalign.io import itk, save
from voxalign.io.sequence import open_series, writing
from voxalign.register.follow import free_motions, suited_model
from voxalign.register.prepare import otsu, scale
from voxalign.register.sequence import Motion, follow, mean_image, settled
from voxalign.register.track import Tracker
from voxalign.transforms import Rigid


def head_grid(voxels: int | tuple[int, ...], extent: float = 192.0) -> Grid:
    shape = (voxels,) * 3 if isinstance(voxels, int) else voxels
    affine = np.diag([*(extent / shape[0],) * len(shape), 1.0])
    affine[:-1, -1] = -np.array(shape) * extent / shape[0] / 2
    return Grid(shape, affine)


def shown(errors: list[float]) -> str:
    return f"mean {np.mean(errors):.3f}, 95 % {np.percentile(errors, 95):.3f}, largest {np.max(errors):.3f} voxels"


def on_phantoms(arguments: argparse.Namespace) -> None:
    for name, grid in (("3-D, 4 mm", head_grid(48)), ("2-D, 1.5 mm", head_grid((128, 144)))):
        errors: list[float] = []
        for seed in range(arguments.seeds):
            frames = list(phantom.sequence("drifting", 8, grid, seed))
            fits = list(follow((frame.image for frame in frames), frames[0].image, "rigid"))
            errors += [phantom.error_mm(fit.transform, frame.truth, frames[0].labels).mean() / grid.spacing.min()
                       for fit, frame in zip(fits[1:], frames[1:], strict=True)]
        print(f"{name}: {shown(errors)}", flush=True)


def aligned(frames: list[Image], model: str) -> Motion:
    mean = mean_image(frames, model)
    return settled(follow(frames, mean, model))


def aligned_by_ants(frames: list[Image], model: str) -> Motion:
    """ants.motion_correction as it comes (rigid, in all directions), to the mean that ours go to."""
    import ants

    with tempfile.TemporaryDirectory() as folder:
        series, fixed = (Path(folder) / f"{name}.nii.gz" for name in ("series", "fixed"))
        with writing(series, len(frames), 1.0) as append:
            for frame in frames:
                append(frame)
        save(mean_image(frames, model), fixed)
        found = ants.motion_correction(ants.image_read(str(series)), ants.image_read(str(fixed)), outprefix=f"{folder}/")
        transforms = tuple(itk.decode(itk.read_mat(Path(names[0]))) for names in found["motion_parameters"])
    return Motion(transforms, np.ones(len(frames)), np.zeros(len(frames), bool))


def on_injected(arguments: argparse.Namespace) -> None:
    align = aligned_by_ants if arguments.ants else aligned
    for path in arguments.files:
        frames = list(open_series([path]))
        grid, model = frames[0].grid, suited_model(frames[0].grid)
        free, rng = free_motions(model, grid), np.random.default_rng(0)
        amounts = np.array([np.radians(2)] * (len(free) - free[:, -3:].any(1).sum()) + [2 * grid.spacing.min()] * free[:, -3:].any(1).sum())
        injected = [Rigid.identity(3, grid.centre).retract((rng.standard_normal(len(free)) * amounts) @ free) for _ in frames]
        moved = [resample(frame, grid, motion, "cubic") for frame, motion in zip(frames, injected, strict=True)]
        before, after = align(frames, model), align(moved, model)
        mean = scale(mean_image(frames, model))
        points = grid.world(np.argwhere(mean.data > otsu(mean.data)))  # where there is something to see
        # fixed' -> frame' -> frame -> fixed: the same for all frames, were nothing wrong
        ways = np.stack([first.inverse()(motion(second(points))) for first, motion, second in
                         zip(before.transforms, injected, after.transforms, strict=True)])
        good = ~(before.uncertain | after.uncertain)
        off = (ways - np.median(ways[good], 0)) @ within(model, grid)
        errors = np.linalg.norm(off, axis=-1).mean(1) / grid.spacing.min()
        print(f"{Path(path).name}, {model}, {good.sum()} of {len(frames)} frames aligned: {shown(list(errors[good]))}", flush=True)


def within(model: str, grid: Grid) -> np.ndarray:
    """Directions in which errors count, as columns: the two finest if motion is known in the plane only."""
    directions = grid.affine[:3, :3] / grid.spacing
    return directions[:, np.argsort(grid.spacing)[:2]] if model == "in-plane" else directions


def speed(arguments: argparse.Namespace) -> None:
    from voxalign.run.sequence import SequenceJob, sequence_files

    affine = np.diag([3.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = -94, -89, -85
    grid = Grid((64, 64, 36), affine)
    image, rng = next(phantom.sequence("drifting", 1, grid)).image, np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "series.nii.gz"
        with writing(path, arguments.frames, 2.0) as append:
            for _ in range(arguments.frames):
                motion = Rigid.identity(3, grid.centre).retract(np.r_[rng.normal(0, np.radians(1), 3), rng.normal(0, 1.5, 3)])
                append(resample(image, grid, motion))
        wall, cpu = time.perf_counter(), time.process_time()
        sequence_files(SequenceJob((path,), Path(folder) / "out"))
        print(f"{arguments.frames} frames of 64 x 64 x 36: {time.perf_counter() - wall:.1f} s, {time.process_time() - cpu:.1f} CPU s")


def live(arguments: argparse.Namespace) -> None:
    for grid in (head_grid((256, 256)), head_grid(128)):
        frames = [frame.image for frame in phantom.sequence("drifting", 5, grid)]
        tracker = Tracker(frames[0])
        walls, cpus = [], []
        for k in range(arguments.frames):
            wall, cpu = time.perf_counter(), time.process_time()
            tracker(frames[1 + k % 4])
            walls.append(1000 * (time.perf_counter() - wall))
            cpus.append(1000 * (time.process_time() - cpu))
        p50, p95, p99 = np.percentile(walls, (50, 95, 99))
        print(f"{'x'.join(map(str, grid.shape))}: latency {p50:.0f} ms (median), {p95:.0f} (95 %), {p99:.0f} (99 %); "
              f"{np.median(cpus):.0f} CPU ms; {1000 / np.mean(walls):.1f} frames a second", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, function in (("phantom", on_phantoms), ("injected", on_injected), ("speed", speed), ("live", live)):
        command = commands.add_parser(name)
        command.set_defaults(run=function)
        command.add_argument("--seeds", type=int, default=2)
        command.add_argument("--frames", type=int, default=180 if name == "speed" else 40)
        if name == "injected":
            command.add_argument("files", type=Path, nargs="+")
            command.add_argument("--ants", action="store_true")
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
