"""Everything to know about the GPU path, in one command on a machine that has one:

    python benchmarks/gpu.py --out gpu.json

1. The contract tests of the tensor kernels and of whole registrations, on the GPU against the CPU (needs pytest).
2. The device's own bandwidth (a copy), and what each kernel of a deformable step reaches of it. A kernel's bytes are counted as if every
   input were read once and every output written once; what it moves beyond that lowers its share.
3. A deformable registration of generated heads, first and second run, and beside it the CPU's: seconds, and how far apart they are.

Needs NumPy, SciPy and torch, not the installed package: it runs from a checkout, with ``python setup.py build_ext --inplace`` before it
for a CPU that is worth comparing with. ``--device torch:cpu`` rehearses it without a GPU.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from voxalign import phantom  # noqa: E402
from voxalign.core import Grid, displacement, kernels  # noqa: E402
from voxalign.losses import LNCC  # noqa: E402
from voxalign.phantom.pair import HEAD_MOTION, Scan  # noqa: E402
from voxalign.register import Settings, register  # noqa: E402

TESTS = ("tests/core/test_tensor.py", "tests/register/test_device.py")


def main() -> None:
    options = parse()
    shape, device = tuple(options.shape), options.device
    result = {"device": name(device), "torch": torch.__version__, "python": platform.python_version(), "shape": shape}
    steps = {"tests": lambda: run_tests(device), "kernels": lambda: time_kernels(shape, device),
             "registration": lambda: time_registration(shape, device, options.no_cpu)}
    for step in options.steps or steps:
        print(f"== {step}", flush=True)
        result[step] = steps[step]()
        print(json.dumps(result[step], indent=1), flush=True)
        if options.out:
            Path(options.out).write_text(json.dumps(result, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shape", type=int, nargs=3, default=(160, 192, 224))
    parser.add_argument("--steps", nargs="+", choices=("tests", "kernels", "registration"))
    parser.add_argument("--no-cpu", action="store_true", help="leave out the registration on the CPU")
    parser.add_argument("--out", help="JSON file, written after every step")
    return parser.parse_args()


def run_tests(device: str) -> dict:
    if not find_spec("pytest"):
        return {"skipped": "pytest is not installed"}
    environment = os.environ | {"VOXALIGN_TEST_DEVICE": device.removeprefix("torch:"), "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", *TESTS]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    return {"passed": done.returncode == 0, "summary": lines[-1] if lines else done.stderr[-500:],
            "failures": [line for line in lines if line.startswith(("FAILED", "ERROR", "E  "))][:60]}


def time_kernels(shape: tuple[int, ...], device: str) -> dict:
    """Milliseconds, GB/s and share of the copy's, for each kernel of a step; and of the step as a whole."""
    rng = torch.Generator().manual_seed(0)
    place = device.removeprefix("torch:")
    fixed, moving = (torch.rand(shape, generator=rng).to(place) for _ in range(2))
    u = torch.randn((3, *shape), generator=rng).to(place) * 0.3
    bound = LNCC(4).bind(fixed)
    terms, volume = bound.terms(moving), fixed.numel() * 4
    force = kernels.force(moving, terms.residual, terms.curvature, (1, 1, 1), 1.0)
    calls: dict[str, tuple[Callable, int]] = {  # and the volumes that must be read and written
        "warp": (lambda: kernels.warp(moving, u), 5), "lncc": (lambda: bound.terms(moving), 7),
        "force": (lambda: kernels.force(moving, terms.residual, terms.curvature, (1, 1, 1), 1.0), 7),
        "smooth 4": (lambda: kernels.smooth(force, (1.2, 1.2, 1.2)), 8), "step": (lambda: kernels.step(force, (1, 1, 1), 1.4, 0.3, 0.7), 7),
        "compose": (lambda: kernels.compose_near(u, u), 9), "smooth 3": (lambda: kernels.smooth(u, (0.6, 0.6, 0.6)), 6)}
    copy = copy_bandwidth(place)
    out = {"copy_gb_per_s": round(copy / 1e9, 1)}
    for kernel, (call, volumes) in calls.items():
        seconds = clock(call, place)
        rate = volumes * volume / seconds
        out[kernel] = {"ms": round(1e3 * seconds, 3), "gb_per_s": round(rate / 1e9, 1), "share_of_copy": round(rate / copy, 3)}
    total, bytes_moved = sum(out[k]["ms"] for k in calls), sum(v for _, v in calls.values()) * volume
    out["step of all"] = {"ms": round(total, 3), "share_of_copy": round(bytes_moved / (total / 1e3) / copy, 3)}
    if place == "cuda":
        out["peak_memory_mb"] = round(torch.cuda.max_memory_allocated() / 1e6)
    return out


def copy_bandwidth(place: str) -> float:
    """Bytes read and written per second by a copy of 1 GB (1/8 of that on a CPU)."""
    size = 2**28 if place == "cuda" else 2**25
    a, b = torch.ones(size, device=place), torch.empty(size, device=place)
    return 8 * size / clock(lambda: b.copy_(a), place)


def clock(call: Callable, place: str, repeats: int = 10) -> float:
    """Median seconds of a call, after two that do not count."""
    repeats = repeats if place == "cuda" else 3
    times = []
    for _ in range(repeats + 2):
        wait(place)
        start = time.perf_counter()
        call()
        wait(place)
        times.append(time.perf_counter() - start)
    return float(np.median(times[2:]))


def wait(place: str) -> None:
    if place == "cuda":
        torch.cuda.synchronize()


def time_registration(shape: tuple[int, ...], device: str, no_cpu: bool) -> dict:
    """Seconds of `register`, images in memory, transform as NumPy; by stage in the second run."""
    pair = heads(shape)
    out, found = {}, None
    for run in ("first", "second"):
        out[run] = {}
        found = timed(pair, Settings(device=device), out[run])
    if device == "cuda":
        out["peak_memory_mb"] = round(torch.cuda.max_memory_allocated() / 1e6)
    out["error_mm"] = median_error(pair, found)
    if not no_cpu:
        out["cpu"] = {}
        plain = timed(pair, Settings(device="cpu"), out["cpu"])
        apart = np.linalg.norm(displacement(found.transform, pair.fixed.grid) - displacement(plain.transform, pair.fixed.grid), axis=0)
        out["apart_voxels"] = {"median": float(np.median(apart)), "p99.9": float(np.quantile(apart, 0.999)), "max": float(apart.max())}
        out["cpu"]["compiled"] = kernels._chosen.__name__.endswith("compiled")
    return out


def timed(pair: phantom.Pair, settings: Settings, seconds: dict) -> object:
    """A registration; its seconds by stage and in all go to ``seconds``."""
    start = last = time.perf_counter()

    def listen(step) -> None:
        nonlocal last
        now = time.perf_counter()
        seconds[step.stage] = seconds.get(step.stage, 0.0) + now - last
        last = now

    found = register(pair.fixed, pair.moving, settings, on_step=listen)
    seconds["total"] = time.perf_counter() - start
    seconds.update({stage: round(value, 3) for stage, value in seconds.items()})
    seconds["steps"] = len(found.history)
    return found


def heads(shape: tuple[int, ...]) -> phantom.Pair:
    """Two heads with 1 mm voxels, turned, shifted and deformed by a known map."""
    affine = np.eye(4)
    affine[:3, 3] = np.array([0, 5, -15]) - (np.array(shape) - 1) / 2
    grid = Grid(shape, affine)
    return phantom.image_pair(phantom.head_anatomy(np.random.default_rng(0)), (grid, grid), HEAD_MOTION.over(grid, 1), scan=Scan(0))


def median_error(pair: phantom.Pair, found) -> float:
    """mm, over the voxels of the head."""
    points = pair.fixed.grid.world(np.argwhere(pair.fixed_labels.array > 0)[::50])
    return round(float(np.median(np.linalg.norm(found.transform(points) - pair.truth(points), axis=1))), 4)


def name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else device


if __name__ == "__main__":
    main()
