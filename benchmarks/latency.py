"""Seconds and memory of one prediction, by network, device, precision and size.

    python benchmarks/latency.py [--sizes 64 96 ...] [--devices cpu cuda] [--precisions full bfloat16 half] [--networks pyramid ...]

Prints a table: seconds by the clock and of the processor (the least of three after a warm one), the peak of this process or of the GPU, the
forecast. Without choices: every device there is, in float32 and in what `auto` means on it; one to two minutes. Each row has a process of
its own, so that peaks do not mix.
"""
from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from itertools import product

NETWORKS = {"U-Net": ("UNet", {}), "U-Net, full resolution": ("UNet", {"stride": 1}), "pyramid": ("Pyramid", {}),
            "affine": ("AffineNet", {}), "U-Net 2-D": ("UNet", {"dim": 2})}


def measured(name: str, device: str, precision: str, size: int, channels_last: bool) -> dict:
    import torch

    from voxalign import nn
    from voxalign.nn.memory import memory_forecast
    from voxalign.nn.predict import autocast

    kind, choices = NETWORKS[name]
    architecture = getattr(nn, kind)(**choices)
    module = nn.build(architecture).eval().to(device)
    images = torch.rand(2, 1, 1, *(size,) * architecture.dim, device=device)
    if channels_last:
        module = module.to(memory_format=torch.channels_last_3d if architecture.dim == 3 else torch.channels_last)
    before, best = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, (1e9, 1e9)
    for _ in range(4):
        wall, cpu = time.perf_counter(), time.process_time()
        with torch.inference_mode(), autocast(torch.device(device), precision):
            module(images[0], images[1])
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - wall, time.process_time() - cpu))
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    return {"wall_s": best[0], "cpu_s": best[1], "peak_mb": peak / 1e6,
            "forecast_mb": memory_forecast(architecture, images.shape[3:]) / 1e6, "parameters": nn.count(module)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96])
    parser.add_argument("--devices", nargs="+", choices=["cpu", "cuda"])
    parser.add_argument("--precisions", nargs="+", choices=["full", "bfloat16", "half"])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measured(*json.loads(arguments.one))))
        return
    print("| network | device | precision | size | wall s | CPU s | peak MB | forecast MB | parameters |\n" + "|---" * 9 + "|")
    places = [(device, precision) for device in arguments.devices or available()
              for precision in arguments.precisions or precisions(device)]
    for name, (device, precision), size in product(arguments.networks, places, arguments.sizes):
        row = json.dumps([name, device, precision, size, arguments.channels_last])
        done = subprocess.run([sys.executable, __file__, "--one", row], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        numbers = f"{found['wall_s']:.3f} | {found['cpu_s']:.3f} | {found['peak_mb']:.0f} | {found['forecast_mb']:.0f}"
        print(f"| {name} | {device} | {precision} | {size} | {numbers} | {found['parameters']} |", flush=True)


def available() -> list[str]:
    import torch

    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def precisions(device: str) -> list[str]:
    """float32, and what is quickest where that is another."""
    import torch

    from voxalign.nn.predict import quickest

    return list(dict.fromkeys(["full", quickest(torch.device(device))]))


if __name__ == "__main__":
    main()
