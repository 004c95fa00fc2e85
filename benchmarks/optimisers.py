"""Every optimiser on a head of the phantom: looks at the images, CPU seconds, error.

    python benchmarks/optimisers.py [--spacing MM]
"""
from __future__ import annotations

import argparse
import time

from voxalign.core import kernels
from voxalign.phantom import Motion, error_mm, head_pair
from voxalign.register import Settings, linear, register
from voxalign.register.descent import RULES

CASES = {"rigid, one motion, T1": (Motion(amplitude_mm=0.0), "T1", "rigid", "lncc"), "affine, T1 to T2": (Motion(), "T2", "affine", "mi"),
         "deformable, T1": (Motion(), "T1", "deformable", "lncc")}


def counted() -> list[int]:
    """A list that grows by one whenever linear registration compares the images."""
    looks: list[int] = []
    compare = linear.Level.terms

    def terms(level: linear.Level, transform: object) -> object:
        looks.append(1)
        return compare(level, transform)

    linear.Level.terms = terms
    return looks


def main(spacing: float) -> None:
    looks = counted()
    kernels.set_threads(1)
    print("| case | optimiser | steps | looks, linear | CPU s | mean error, mm |\n|---|---|---:|---:|---:|---:|")
    for case, (motion, kind, transform, loss) in CASES.items():
        pair = head_pair(0, spacing, "T1", kind, motion)
        for name in linear.SOLVERS if transform != "deformable" else ("gauss-newton", *RULES):
            looks.clear()
            start = time.process_time()
            found = register(pair.fixed, pair.moving, Settings(transform=transform, initial="moments", loss=loss, optimiser=name))
            seconds = time.process_time() - start
            error = error_mm(found.transform, pair.truth, pair.fixed_labels).mean()
            print(f"| {case} | `{name}` | {len(found.history)} | {len(looks)} | {seconds:.1f} | {error:.2f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spacing", type=float, default=3.0, help="of the phantom, mm")
    main(parser.parse_args().spacing)
