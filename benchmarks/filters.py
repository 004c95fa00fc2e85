"""CPU milliseconds per million voxels of every filter and feature, on the head phantom.

    python benchmarks/filters.py [NAME ...] [--spacing MM]
"""
from __future__ import annotations

import argparse
import time

import voxalign as vx
from voxalign import features, filters, phantom

LABELS = ("connected_components", "largest_component", "erode", "dilate", "opening", "closing", "fill_holes")


def settings(image: vx.Image, other: vx.Image) -> dict[str, dict]:
    """What functions cannot do without."""
    return {"match_histogram": {"like": other}, "ct_window": {"centre": 40, "width": 80}, "ct_preset": {"name": "brain"},
            "median": {"radius": 3}, "threshold": {"low": 300},
            "region_growing": {"seeds": vx.Points([image.grid.centre]), "tolerance": 200},
            "resample_to": {"spacing": 3.0}, "crop": {"low": (-50,) * 3, "high": (50,) * 3}, "pad": {"margin": 10},
            **{name: {"radius": 4} for name in ("erode", "dilate", "opening", "closing")}}


def measured(names: list[str], spacing: float) -> dict[str, float]:
    """Milliseconds per million voxels; the second run counts, after imports and first uses."""
    pair = phantom.head_pair(0, spacing)
    given, found = settings(pair.fixed, pair.moving), {}
    mask = filters.otsu(pair.fixed)
    for name, function in (filters.FILTERS | features.FEATURES).items():
        if names and name not in names:
            continue
        image = mask if name in LABELS else pair.fixed
        for _ in range(2):
            start = time.process_time()
            function(image, **given.get(name, {}))
            seconds = time.process_time() - start
        found[name] = 1e9 * seconds / image.grid.size
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--spacing", type=float, default=2.0, help="of the phantom, mm")
    arguments = parser.parse_args()
    print("| function | CPU ms per megavoxel |\n|---|---:|")
    for name, milliseconds in measured(arguments.names, arguments.spacing).items():
        print(f"| {name} | {milliseconds:.0f} |", flush=True)
