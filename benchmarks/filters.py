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

import nibabel
import numpy as np
import pywt
import SimpleITK as sitk
from scipy import ndimage, signal, stats
from skimage import exposure, measure, restoration
from skimage import filters as scikit

import voxalign as vx
from voxalign import features, filters, phantom
from voxalign.core.kernels import reference
from voxalign.features.texture import directions, gabor_sigma
from voxalign.filters.denoise import footprint, noise_level

LABELS = ("connected_components", "largest_component", "erode", "dilate", "opening", "closing", "fill_holes")
MARGIN = 8  # voxels at the faces, where programs continue the image differently
RADIUS, TOLERANCE, WAVE = 6.0, 200.0, 16.0
LONG = 5.0  # seconds


def settings(image: vx.Image, other: vx.Image) -> dict[str, dict]:
    """What functions cannot do without, and where the library's default is another."""
    ball = {"radius": RADIUS}
    return {"match_histogram": {"like": other}, "ct_window": {"centre": 40, "width": 80}, "ct_preset": {"name": "brain"},
            "gaussian": {"sigma": 4.0}, "median": ball, "sharpen": {"sigma": 4.0}, "gradient_magnitude": {"sigma": 6.0},
            "threshold": {"low": 300}, "gamma": {"gamma": 0.5}, "canny": {"sigma": 4.0}, "stretch": {"low": 1, "high": 99},
            "wavelet": {"name": "sym4", "levels": 2}, "region_growing": {"seeds": vx.Points([image.grid.centre]), "tolerance": TOLERANCE},
            "resample_to": {"spacing": 0.75 * float(image.grid.spacing[0])}, "gabor": {"wavelength": WAVE},
            "reorient": {"axes": "RAS"}, "crop": {"low": (-50,) * 3, "high": (50,) * 3}, "pad": {"margin": 10},
            **{name: ball for name in ("erode", "dilate", "opening", "closing")}}


def agreement(found: vx.Image, theirs: np.ndarray, margin: int = MARGIN) -> str:
    """In words."""
    inside = (slice(margin, -margin or None),) * 3
    if found.is_label:
        ours = found.array > 0 if theirs.dtype == bool or theirs.max() <= 1 else found.array
        return f"{np.mean((ours != theirs)[inside]):.1g} of voxels differ"
    ours = found.data if theirs.ndim > found.dim else found.array
    return f"{np.abs(ours - theirs)[..., *inside].max() / np.ptp(theirs):.1g} of the range"


def whole(found: vx.Image, theirs: np.ndarray) -> str:
    """The agreement of all voxels; grids of other sizes do not agree."""
    return agreement(found, theirs, 0) if found.grid.shape == theirs.shape else f"shape {found.grid.shape}, not {theirs.shape}"


def dice(found: vx.Image, theirs: np.ndarray) -> str:
    """Overlap of masks."""
    return f"Dice {2 * np.sum((found.array > 0) & theirs) / (np.sum(found.array > 0) + theirs.sum()):.3f}"


def edges(found: vx.Image, theirs: np.ndarray) -> str:
    """How many of either's edges have one of the other's within a voxel."""
    inside = (slice(MARGIN, -MARGIN),) * 3
    ours, theirs = found.array[inside] > 0, theirs[inside]
    near = [ndimage.binary_dilation(one, np.ones((3, 3, 3))) for one in (ours, theirs)]
    return f"{np.mean(near[1][ours]):.0%} and {np.mean(near[0][theirs]):.0%} of edges within a voxel"


@dataclass(frozen=True)
class Library:
    """Another program that does the same: array in, array out."""

    name: str
    call: Callable[[], np.ndarray]
    agree: Callable[[vx.Image, np.ndarray], str] = agreement


def libraries(image: vx.Image, mask: vx.Image, other: vx.Image) -> dict[str, Library]:
    """Those of the functions that have one."""
    data, step = image.array.astype(float), float(image.grid.spacing[0])
    low, span = data.min(), float(np.ptp(data))
    unit, spots, noise = (data - low) / span, mask.array > 0, noise_level(image.array)
    ball = footprint(RADIUS / image.grid.spacing)
    itk, seed = itk_image(image), np.round(image.grid.index(image.grid.centre)).astype(int)
    around = [float(image.array[tuple(seed)]) + way * TOLERANCE for way in (-1, 1)]

    def scaled(call: Callable, *given, **more) -> np.ndarray:
        return low + span * np.clip(call(*given, **more), 0, 1)

    def closed() -> np.ndarray:
        wide = ndimage.binary_dilation(np.pad(spots, MARGIN), ball)
        return ndimage.binary_erosion(wide, ball)[(slice(MARGIN, -MARGIN),) * 3]

    def scales() -> np.ndarray:
        sigmas = 2.0 ** np.arange(4)
        return np.stack([ndimage.gaussian_filter(data, sigma / step, mode="nearest") for sigma in sigmas])

    def largest() -> np.ndarray:
        parts = sitk.ConnectedComponent(sitk.GetImageFromArray(spots.T.astype(np.uint8)))
        return sitk.GetArrayFromImage(sitk.RelabelComponent(parts)).T == 1

    def even() -> np.ndarray:
        bright = data > 0.5 * scikit.threshold_otsu(data)
        fit = sitk.N4BiasFieldCorrectionImageFilter()
        fit.SetNumberOfThreads(1)
        fit.SetMaximumNumberOfIterations([50] * 4)
        fit.SetNumberOfControlPoints((np.maximum(np.round(image.grid.extent / 60 / 8), 1).astype(int) + 3).tolist())
        fit.Execute(sitk.Maximum(itk, 1e-6), sitk.Cast(itk_image(image.with_data(bright.astype(np.float32))), sitk.sitkUInt8))
        log = sitk.GetArrayFromImage(fit.GetLogBiasFieldAsImage(itk)).T
        return data / np.exp(log - log[bright].mean())

    def of_itk(call: Callable, *given) -> np.ndarray:
        return sitk.GetArrayFromImage(call(itk, *given)).T
    eroded, dilated = partial(ndimage.binary_erosion, structure=ball, border_value=1), partial(ndimage.binary_dilation, structure=ball)
    return {
        "scale_space": Library("SciPy", scales), "largest_component": Library("SimpleITK", largest),
        "correct_bias": Library("SimpleITK", even),
        "bilateral": Library("SimpleITK", lambda: of_itk(sitk.Bilateral, 1.5, 3 * noise, 1000)),
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


def simple(image: vx.Image) -> dict[str, Library]:
    """Those of one-line intensity maps and of geometry."""
    data, step = image.array.astype(float), float(image.grid.spacing[0])
    itk = itk_image(image)

    def window(centre: float, width: float) -> np.ndarray:
        return sitk.GetArrayFromImage(sitk.IntensityWindowing(itk, centre - width / 2, centre + width / 2, 0, 1)).T

    def finer() -> np.ndarray:
        shape = np.maximum(np.round(image.grid.extent / (0.75 * step)), 1).astype(int)
        spacing = image.grid.extent / shape
        grid = sitk.Image(shape.tolist(), sitk.sitkFloat32)
        grid.SetSpacing(spacing.tolist())
        grid.SetOrigin(((spacing - image.grid.spacing) / 2).tolist())
        return sitk.GetArrayFromImage(sitk.Resample(itk, grid)).T

    def cropped() -> np.ndarray:
        ends = np.sort(image.grid.index([(-50,) * 3, (50,) * 3]), 0)
        start, stop = np.ceil(ends[0] - 1e-6).astype(int), np.floor(ends[1] + 1e-6).astype(int) + 1
        return sitk.GetArrayFromImage(sitk.RegionOfInterest(itk, (stop - start).tolist(), start.tolist())).T

    def foreground() -> np.ndarray:
        box, = ndimage.find_objects((data > scikit.threshold_otsu(data, 256) / 2).astype(int))
        margin = int(np.ceil(5 / step))
        return image.array[tuple(slice(max(part.start - margin, 0), part.stop + margin) for part in box)]

    def padded() -> np.ndarray:
        around = [int(np.ceil(10 / step))] * 3
        return sitk.GetArrayFromImage(sitk.ConstantPad(itk, around, around, float(data.min()))).T

    def canonical() -> np.ndarray:
        return nibabel.as_closest_canonical(nibabel.Nifti1Image(image.array, image.grid.affine)).get_fdata()
    return {
        "to_unit": Library("scikit-image", lambda: exposure.rescale_intensity(data, "image", (0, 1))),
        "z_score": Library("SciPy", lambda: stats.zscore(data, None)),
        "clip_percentiles": Library("NumPy", lambda: np.clip(data, *np.percentile(data, (0.5, 99.5)))),
        "ct_window": Library("SimpleITK", partial(window, 40, 80)), "ct_preset": Library("SimpleITK", partial(window, 40, 80)),
        "threshold": Library("SimpleITK", lambda: sitk.GetArrayFromImage(sitk.BinaryThreshold(itk, 300, 1e9)).T > 0),
        "resample_to": Library("SimpleITK", finer), "crop": Library("SimpleITK", cropped, whole),
        "pad": Library("SimpleITK", padded, whole),
        "crop_to_foreground": Library("SciPy", foreground, whole), "reorient": Library("nibabel", canonical, whole),
    }


def described(image: vx.Image) -> dict[str, Library]:
    """Those of features, of shading, and of masks, which the phantom itself knows."""
    data, step = image.array.astype(float), float(image.grid.spacing[0])
    itk = itk_image(image)
    low, high = np.percentile(data, (1, 99))

    def slopes(sigma: float) -> np.ndarray:
        along = np.stack(np.gradient(ndimage.gaussian_filter(data, sigma / step, mode="nearest"), step))
        return np.tensordot(image.grid.direction, along, 1)

    def normalised() -> np.ndarray:
        field = slopes(1.0)
        return field / np.sqrt((field**2).sum(0) + (0.02 * (high - low)) ** 2)

    def canny() -> np.ndarray:
        strong = np.percentile(np.linalg.norm(slopes(4.0), axis=0), 99.5)
        found = sitk.CannyEdgeDetection(sitk.Cast(itk, sitk.sitkFloat32), 0.1 * strong, 0.3 * strong, [16.0] * 3)
        return sitk.GetArrayFromImage(found).T > 0

    def waves() -> np.ndarray:
        sigma, reach = gabor_sigma(WAVE) / step, int(np.ceil(4 * gabor_sigma(WAVE) / step))
        places = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"))
        bell = np.exp(-0.5 * (places**2).sum(0) / sigma**2)
        wide = np.pad(data - data.mean(), reach, mode="symmetric")
        turns = directions(6, 3) @ image.grid.affine[:3, :3] / WAVE
        return np.stack([np.abs(signal.fftconvolve(wide, bell / bell.sum() * np.exp(2j * np.pi * np.tensordot(turn, places, 1)), "valid"))
                         for turn in turns])

    def energy() -> np.ndarray:
        wide = np.pad(data, [(32, 32 - n % 8) for n in data.shape], mode="symmetric")
        bands = pywt.swtn(wide, "db2", 3, norm=True, trim_approx=True)[:0:-1]
        inside = tuple(slice(32, 32 + n) for n in data.shape)
        squares = [sum(part**2 for part in band.values()) for band in bands]
        return np.stack([np.sqrt(ndimage.gaussian_filter(one, 2.0**k))[inside] for k, one in enumerate(squares)])

    def similar() -> np.ndarray:
        unit = np.clip((data - low) / (high - low), 0, 1).astype(np.float32)
        return reference.mind(unit, *((max(round(length / step), 1),) * 3 for length in (1.5, 2.0)))
    return {
        "canny": Library("SimpleITK", canny, edges), "gabor": Library("SciPy, by definition", waves),
        "wavelet_energy": Library("PyWavelets", energy), "ngf": Library("SciPy", normalised),
        "mind": Library("NumPy, by definition", similar),
    }


def known_masks(pair: phantom.Pair) -> dict[str, Library]:
    """What the phantom knows of itself."""
    names = pair.fixed_labels.array
    brain = ndimage.binary_closing(np.isin(names, phantom.BRAIN), footprint(10 / pair.fixed.grid.spacing))
    body = ndimage.binary_fill_holes(names != 0)
    return {"body_mask": Library("the phantom", lambda: body, dice), "brain_mask": Library("the phantom", lambda: brain, dice)}


def itk_image(image: vx.Image) -> sitk.Image:
    """Along the axes of the array, in mm."""
    itk = sitk.GetImageFromArray(np.ascontiguousarray(image.array.T))
    itk.SetSpacing(image.grid.spacing.tolist())
    return itk


def timed(call: Callable, megavoxels: float) -> tuple[object, float]:
    """What it gives, and CPU seconds per million voxels; the second run counts, after imports and first uses, unless it takes long."""
    for _ in range(2):
        start = time.process_time()
        found = call()
        seconds = time.process_time() - start
        if seconds > LONG:
            break
    return found, seconds / megavoxels


def rows(names: list[str], spacing: float) -> None:
    """Print a row for each function."""
    pair = phantom.head_pair(0, spacing)
    mask, megavoxels = filters.otsu(pair.fixed), pair.fixed.grid.size / 1e6
    given = settings(pair.fixed, pair.moving)
    known = libraries(pair.fixed, mask, pair.moving) | simple(pair.fixed) | described(pair.fixed) | known_masks(pair)
    for name, function in (filters.FILTERS | features.FEATURES).items():
        if names and name not in names:
            continue
        found, ours = timed(partial(function, mask if name in LABELS else pair.fixed, **given.get(name, {})), megavoxels)
        theirs, seconds = timed(known[name].call, megavoxels)
        print(f"| `{name}` | {ours:.2g} | {known[name].name} | {seconds:.2g} | {known[name].agree(found, theirs)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--spacing", type=float, default=2.0, help="of the phantom, mm")
    arguments = parser.parse_args()
    vx.core.kernels.set_threads(1)
    print("| function | CPU s per megavoxel | beside | its CPU s | agreement |\n|---|---:|---|---:|---|")
    rows(arguments.names, arguments.spacing)
