"""CPU seconds per million voxels of every filter and feature on the head phantom, beside a library that does the same, and how they agree.

    python benchmarks/filters.py [NAME ...] [--spacing MM]

Agreement: the largest difference away from the faces, as a part of the image's range; of label maps, the part of the voxels that differ.
The tests (tests/filters, tests/features) hold each to its library, its definition or a closed form more closely and on other grids.
"""
from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from skimage import exposure, measure, restoration
from skimage import filters as scikit

import voxalign as vx
from voxalign import features, filters, phantom
from voxalign.filters.denoise import footprint, noise_level

LABELS = ("connected_components", "largest_component", "erode", "dilate", "opening", "closing", "fill_holes")
MARGIN = 8  # voxels at the faces, where programs continue the image differently
RADIUS, TOLERANCE = 6.0, 200.0


def settings(image: vx.Image, other: vx.Image) -> dict[str, dict]:
    """What functions cannot do without, and where the library's default is another."""
    ball = {"radius": RADIUS}
    return {"match_histogram": {"like": other}, "ct_window": {"centre": 40, "width": 80}, "ct_preset": {"name": "brain"},
            "gaussian": {"sigma": 4.0}, "median": ball, "sharpen": {"sigma": 4.0}, "gradient_magnitude": {"sigma": 6.0},
            "threshold": {"low": 300}, "gamma": {"gamma": 0.5}, "canny": {"sigma": 4.0}, "stretch": {"low": 1, "high": 99},
            "wavelet": {"name": "sym4", "levels": 2}, "region_growing": {"seeds": vx.Points([image.grid.centre]), "tolerance": TOLERANCE},
            "resample_to": {"spacing": 4.0}, "crop": {"low": (-50,) * 3, "high": (50,) * 3}, "pad": {"margin": 10},
            **{name: ball for name in ("erode", "dilate", "opening", "closing")}}


@dataclass(frozen=True)
class Library:
    """Another program that does the same: array in, array out."""

    name: str
    call: Callable[[], np.ndarray]


def libraries(image: vx.Image, mask: vx.Image, other: vx.Image) -> dict[str, Library]:
    """Those of the functions that have one."""
    data, step = image.array.astype(float), float(image.grid.spacing[0])
    low, span = data.min(), float(np.ptp(data))
    unit, spots, noise = (data - low) / span, mask.array > 0, noise_level(image.array)
    ball = footprint(RADIUS / image.grid.spacing)
    itk, seed = sitk.GetImageFromArray(np.ascontiguousarray(image.array.T)), np.round(image.grid.index(image.grid.centre)).astype(int)
    itk.SetSpacing(image.grid.spacing.tolist())
    around = [float(image.array[tuple(seed)]) + way * TOLERANCE for way in (-1, 1)]

    def scaled(call: Callable, *given, **more) -> np.ndarray:
        return low + span * np.clip(call(*given, **more), 0, 1)

    def closed() -> np.ndarray:
        wide = ndimage.binary_dilation(np.pad(spots, MARGIN), ball)
        return ndimage.binary_erosion(wide, ball)[(slice(MARGIN, -MARGIN),) * 3]

    def of_itk(call: Callable, *given) -> np.ndarray:
        return sitk.GetArrayFromImage(call(itk, *given)).T
    eroded, dilated = partial(ndimage.binary_erosion, structure=ball, border_value=1), partial(ndimage.binary_dilation, structure=ball)
    return {
        "gaussian": Library("SciPy", lambda: ndimage.gaussian_filter(data, 4 / step, mode="nearest")),
        "median": Library("SciPy", lambda: ndimage.median_filter(image.array, footprint=ball, mode="nearest")),
        "wavelet": Library("scikit-image", lambda: restoration.denoise_wavelet(data, noise, "sym4", wavelet_levels=2, rescale_sigma=False)),
        "non_local_means": Library("scikit-image", lambda: restoration.denoise_nl_means(data, 3, 1, noise, fast_mode=True, sigma=noise)),
        "equalise": Library("scikit-image", lambda: scaled(exposure.equalize_hist, data)),
        "clahe": Library("scikit-image", lambda: scaled(exposure.equalize_adapthist, unit, round(30 / step))),
        "stretch": Library("scikit-image", lambda: scaled(exposure.rescale_intensity, data, tuple(np.percentile(data, (1, 99))), (0, 1))),
        "gamma": Library("scikit-image", lambda: scaled(exposure.adjust_gamma, unit, 0.5)),
        "sharpen": Library("scikit-image", lambda: scaled(scikit.unsharp_mask, unit, 4 / step, 1.0, preserve_range=True)),
        "match_histogram": Library("scikit-image", lambda: exposure.match_histograms(image.array, other.array)),
        "otsu": Library("scikit-image", lambda: data > scikit.threshold_otsu(data)),
        "multi_otsu": Library("scikit-image", lambda: np.digitize(data, scikit.threshold_multiotsu(data, 3))),
        "region_growing": Library("SimpleITK", lambda: of_itk(sitk.ConnectedThreshold, [seed.tolist()], *around)),
        "connected_components": Library("scikit-image", lambda: measure.label(spots, connectivity=1) > 0),
        "erode": Library("SciPy", lambda: eroded(spots)), "dilate": Library("SciPy", lambda: dilated(spots)),
        "opening": Library("SciPy", lambda: dilated(eroded(spots))), "closing": Library("SciPy", closed),
        "fill_holes": Library("SciPy", lambda: ndimage.binary_fill_holes(spots)),
        "gradient_magnitude": Library("SciPy", lambda: ndimage.gaussian_gradient_magnitude(data, 6 / step) / step),
    }


def timed(call: Callable, megavoxels: float) -> tuple[object, float]:
    """What it gives, and CPU seconds per million voxels; the second run counts, after imports and first uses."""
    for _ in range(2):
        start = time.process_time()
        found = call()
    return found, (time.process_time() - start) / megavoxels


def agreement(found: vx.Image, theirs: np.ndarray) -> str:
    """In words."""
    inside = (slice(MARGIN, -MARGIN),) * 3
    if found.is_label:
        ours = found.array > 0 if theirs.dtype == bool or theirs.max() <= 1 else found.array
        return f"{np.mean((ours != theirs)[inside]):.1g} of voxels differ"
    return f"{np.abs(found.array - theirs)[inside].max() / np.ptp(theirs):.1g} of the range"


def rows(names: list[str], spacing: float) -> None:
    """Print a row for each function."""
    pair = phantom.head_pair(0, spacing)
    mask, megavoxels = filters.otsu(pair.fixed), pair.fixed.grid.size / 1e6
    given, known = settings(pair.fixed, pair.moving), libraries(pair.fixed, mask, pair.moving)
    for name, function in (filters.FILTERS | features.FEATURES).items():
        if names and name not in names:
            continue
        found, ours = timed(partial(function, mask if name in LABELS else pair.fixed, **given.get(name, {})), megavoxels)
        if name not in known:
            print(f"| `{name}` | {ours:.2g} | | | |", flush=True)
            continue
        theirs, seconds = timed(known[name].call, megavoxels)
        print(f"| `{name}` | {ours:.2g} | {known[name].name} | {seconds:.2g} | {agreement(found, theirs)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--spacing", type=float, default=2.0, help="of the phantom, mm")
    arguments = parser.parse_args()
    vx.core.kernels.set_threads(1)
    print("| function | CPU s per megavoxel | beside | its CPU s | agreement |\n|---|---:|---|---:|---|")
    rows(arguments.names, arguments.spacing)
