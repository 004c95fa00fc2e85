"""PSNR of the denoising autoencoder and of every classical filter, each at its best setting, on Rician noise added to clean images.

    python benchmarks/denoise.py [--weights FILE] [--dim 2 3] [--noise 0.03 0.06 0.1 0.15] [--brain FILE]

Phantoms (heads, a chest, a leg; none of them took part in training, which draws its own images) are made without noise, noise is added, and
what a filter leaves is compared with the image before: PSNR in dB of the image's range, over all voxels and inside the body alone.
Gaussian, median, wavelet and non-local means get the setting of `SETTINGS` that is best for this image and this noise, chosen by looking at
the truth; the network has none. With --brain a real image is taken for clean, which it is not quite.
"""
from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import voxalign as vx
from voxalign import filters, phantom
from voxalign.filters.normalise import robust_range
from voxalign.nn.denoise import autoencoder

SETTINGS = {"gaussian": [{"sigma": s} for s in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.25, 1.5)],
            "median": [{"radius": r} for r in (1.0, 1.5, 2.0, 2.5)],
            "wavelet": [{"noise": n, "name": name} for n in (0.5, 0.75, 1.0, 1.5, 2.0, 3.0) for name in ("sym4", "db2", "haar")],
            "non_local_means": [{"strength": s, "rician": r} for s in (0.5, 0.7, 1.0, 1.4) for r in (False, True)]}
CLEAN = phantom.Appearance(noise=0.0)
BODIES = {"head T1": (phantom.head_anatomy, (186, 226, 190), (1, 3)), "head T2": (phantom.head_anatomy, (186, 226, 190), (1, 3)),
          "chest T1": (phantom.thorax_anatomy, (400, 270, 300), (2, 4)), "leg T2": (phantom.limb_anatomy, (190, 190, 340), (1, 4))}
"""Anatomy, extent in mm, and edge of the voxels in 2-D and in 3-D."""
Clean = tuple[str, vx.Image, NDArray]


def phantoms(dim: int) -> Iterator[Clean]:
    """Name, clean image whose voxels are called 1 mm, and its body."""
    for name, (anatomy, extent, edges) in BODIES.items():
        modality, spacing = name[-2:], edges[dim - 2]
        grid = vx.Grid(tuple(round(n / spacing) for n in extent[:dim]), _centred(extent[:dim], spacing))
        labels = phantom.evaluate(anatomy(np.random.default_rng(41)), grid)
        image = phantom.contrast(vx.Image(labels, grid, is_label=True), modality, 41, CLEAN)
        yield name, vx.Image(image.data, vx.Grid(grid.shape, np.eye(dim + 1))), labels != 0


def _centred(extent: tuple[int, ...], spacing: float) -> NDArray:
    affine = np.diag([float(spacing)] * len(extent) + [1.0])
    affine[:-1, -1] = [-n / 2 for n in extent]
    return affine


def real(file: Path, dim: int) -> Clean:
    """Voxels of 1 mm; in 2-D the middle slice."""
    data = vx.load(file).array.astype(np.float32)
    data = data[tuple(slice(n // 4, 3 * n // 4) for n in data.shape)] if dim == 3 else data[:, data.shape[1] // 2, :]
    return file.stem.partition(".")[0], vx.Image.from_array(data), data > 0


def noisy(image: vx.Image, part: float) -> vx.Image:
    """Rician noise of a part of the range."""
    low, high = robust_range(image.data)
    rng, sigma = np.random.default_rng(7), part * (high - low)
    real_, imaginary = (sigma * rng.standard_normal(image.data.shape, np.float32) for _ in range(2))
    return image.with_data(np.hypot(image.data + real_, imaginary))


def psnr(image: vx.Image, truth: vx.Image, where: NDArray) -> float:
    low, high = robust_range(truth.data)
    return float(10 * np.log10((high - low) ** 2 / np.mean((image.array - truth.array)[where] ** 2)))


def ways(image: vx.Image, sigma: float, weights: str | None) -> dict[str, list[Callable[[vx.Image], vx.Image]]]:
    """By name, the same with every setting; noise is in parts of the true sigma."""
    given = {name: [partial(filters.FILTERS[name], **{k: v * sigma if k == "noise" else v for k, v in one.items()}) for one in settings]
             for name, settings in SETTINGS.items()}
    given["non_local_means"] = [partial(one, noise=sigma) for one in given["non_local_means"]]
    return {"as it is": [lambda one: one], **given, "autoencoder": [partial(autoencoder, weights=weights)]}


def row(clean: Clean, part: float, weights: str | None) -> dict[str, tuple[float, float, float]]:
    """By way: best PSNR over all voxels, best PSNR in the body, CPU seconds of one run."""
    _, truth, body = clean
    low, high = robust_range(truth.data)
    image, found = noisy(truth, part), {}
    for way, choices in ways(image, part * (high - low), weights).items():
        start = time.process_time()
        results = [choice(image) for choice in choices]
        seconds = (time.process_time() - start) / len(choices)
        found[way] = (*(max(psnr(one, truth, where) for one in results) for where in (np.ones_like(body), body)), seconds)
    return found


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--weights")
    words.add_argument("--dim", type=int, nargs="+", default=[2, 3])
    words.add_argument("--noise", type=float, nargs="+", default=[0.03, 0.06, 0.1, 0.15])
    words.add_argument("--brain", type=Path)
    given = words.parse_args()
    for dim in given.dim:
        names = ["as it is", *SETTINGS, "autoencoder"]
        print(f"\n{dim}-D, PSNR over all voxels / in the body, dB\n\n| image | noise | " + " | ".join(names) + " |")
        print("|---" * (len(names) + 2) + "|")
        rows = []
        for clean in [*phantoms(dim), *([real(given.brain, dim)] if given.brain else [])]:
            for part in given.noise:
                rows.append(row(clean, part, given.weights))
                numbers = " | ".join(f"{rows[-1][name][0]:.1f} / {rows[-1][name][1]:.1f}" for name in names)
                print(f"| {clean[0]} | {part:.0%} | {numbers} |", flush=True)
        print("| CPU s | | " + " | ".join(f"{statistics.mean(one[name][2] for one in rows):.2f}" for name in names) + " |")


if __name__ == "__main__":
    main()
