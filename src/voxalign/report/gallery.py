"""What filters and features make of one image, side by side."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..core import Grid, Image, InputError, Points, require
from ..features import canny, gabor, gradient_magnitude, mind, ngf, wavelet_energy
from ..filters import (
    bilateral,
    body_mask,
    brain_mask,
    clahe,
    clip_percentiles,
    closing,
    connected_components,
    correct_bias,
    crop_to_foreground,
    ct_window,
    dilate,
    equalise,
    erode,
    fill_holes,
    gamma,
    gaussian,
    largest_component,
    median,
    multi_otsu,
    non_local_means,
    opening,
    otsu,
    region_growing,
    reorient,
    resample_to,
    scale_space,
    sharpen,
    stretch,
    threshold,
    wavelet,
)

_MOST = 320  # pixels across
_COLUMNS = 5
Tiles = Mapping[str, Image | None]
"""Pictures by their titles; None for what an image does not allow, such as a brain mask of a chest."""


def galleries(image: Image) -> dict[str, Figure]:
    """The gallery of filters and that of features, by the name of a file.

    Parameters
    ----------
    image : one channel of intensities; of a volume the middle axial slice is shown. Lengths are in its pixels, and written in mm.

    Raises
    ------
    InputError : a label map, or several channels.
    """
    require.intensities(image, "gallery")
    shown = middle(image)
    return {"filters.png": _drawn(_attempted(shown, _filters(shown))), "features.png": _drawn(_attempted(shown, _features(shown)))}


def middle(image: Image) -> Image:
    """The middle axial slice of a volume; of large images every few pixels."""
    image = reorient(image, axes="RAS"[:image.dim])
    if image.dim == 3:
        affine = np.delete(np.delete(image.grid.affine, 2, 0), 2, 1)
        mask = None if image.mask is None else image.mask[:, :, image.grid.shape[2] // 2]
        image = Image(image.data[..., image.grid.shape[2] // 2], Grid(image.grid.shape[:2], affine), mask)
    size = float(image.grid.extent.max()) / _MOST
    return resample_to(image, spacing=tuple(np.maximum(image.grid.spacing, size))) if (image.grid.spacing < size).any() else image


Make = Callable[[Image], Image]


def _filters(image: Image) -> Iterator[tuple[str, Make]]:
    """Titles, and how each is made."""
    unit, centre = float(image.grid.spacing.max()), Points([image.grid.centre])
    low, middling, high = (float(value) for value in np.percentile(image.array, (1, 70, 99)))
    rician = float(image.data.min()) >= 0  # magnitudes
    yield "image", lambda i: i
    yield f"gaussian sigma={_mm(1.5 * unit)}", lambda i: gaussian(i, sigma=1.5 * unit)
    yield f"median radius={_mm(1.5 * unit)}", lambda i: median(i, radius=1.5 * unit)
    yield "bilateral", bilateral
    yield "non_local_means", lambda i: non_local_means(i, rician=rician)
    yield "wavelet", wavelet
    yield "scale_space, one of 4", lambda i: _channel(scale_space(i, sigma=unit), 2)
    yield "equalise", equalise
    yield "clahe", clahe
    yield "stretch", lambda i: stretch(i, low=2, high=96)
    yield "gamma gamma=0.5", lambda i: gamma(i, gamma=0.5)
    yield f"sharpen sigma={_mm(1.5 * unit)}", lambda i: sharpen(i, sigma=1.5 * unit)
    yield "correct_bias", lambda i: correct_bias(i, spacing=2 * unit)
    yield "clip_percentiles 0 to 90", lambda i: clip_percentiles(i, low=0, high=90)
    yield "ct_window, narrow", lambda i: ct_window(i, centre=middling, width=max((high - low) / 4, 1e-6))
    yield f"threshold low={_mm(middling)}", lambda i: threshold(i, low=middling)
    yield "otsu", otsu
    yield "multi_otsu classes=4", lambda i: multi_otsu(gaussian(i, sigma=unit), classes=4)
    yield "region_growing", lambda i: region_growing(gaussian(i, sigma=unit), seeds=centre, tolerance=float(np.ptp(i.array)) / 9)
    yield "connected_components", lambda i: connected_components(otsu(i), least=30 * unit**2)
    yield "largest_component", lambda i: largest_component(otsu(i))
    yield f"erode radius={_mm(2 * unit)}", lambda i: erode(otsu(i), radius=2 * unit)
    yield f"dilate radius={_mm(2 * unit)}", lambda i: dilate(otsu(i), radius=2 * unit)
    yield f"opening radius={_mm(3 * unit)}", lambda i: opening(otsu(i), radius=3 * unit)
    yield f"closing radius={_mm(3 * unit)}", lambda i: closing(otsu(i), radius=3 * unit)
    yield "fill_holes", lambda i: fill_holes(otsu(i))
    yield "body_mask", body_mask
    yield "brain_mask", brain_mask
    yield "crop_to_foreground", lambda i: crop_to_foreground(i, margin=0.0)
    yield f"resample_to spacing={_mm(4 * unit)}", lambda i: resample_to(i, spacing=4 * unit)


def _features(image: Image) -> Iterator[tuple[str, Make]]:
    """The same of features; of several channels one."""
    unit = float(image.grid.spacing.max())
    for size in (unit, 2.5 * unit):
        yield f"canny sigma={_mm(size)}", lambda i, size=size: canny(i, sigma=size)
    yield "gradient_magnitude", lambda i: gradient_magnitude(i, sigma=unit)
    for k, where in enumerate(("to the right", "to the front")):
        yield f"ngf, {where}", lambda i, k=k: _channel(ngf(i, sigma=1.5 * unit), k)
    for k in range(4):
        yield f"gabor {45 * k} degrees", lambda i, k=k: _channel(gabor(i, wavelength=8 * unit, orientations=4), k)
    yield "mind, one of 4", lambda i: _channel(mind(i), 0)
    for k in range(3):
        yield f"wavelet_energy {k + 1}", lambda i, k=k: _channel(wavelet_energy(i), k)


def _channel(image: Image, number: int) -> Image:
    return image.with_data(image.data[number])


def _mm(length: float) -> str:
    return f"{length:.3g}"


def _attempted(image: Image, makes: Iterator[tuple[str, Make]]) -> Tiles:
    """Each of them, as far as the image allows it."""
    def attempt(make: Make) -> Image | None:
        try:
            return make(image)
        except InputError:
            return None
    return {title: attempt(make) for title, make in makes}


def _drawn(tiles: Tiles) -> Figure:
    """All of them side by side."""
    rows = -(-len(tiles) // _COLUMNS)
    width, height = next(iter(tiles.values())).grid.extent
    tall = float(np.clip(2 * height / width, 1, 4)) + 0.3
    figure = Figure((2 * _COLUMNS, tall * rows), dpi=76, facecolor="black")
    FigureCanvasAgg(figure)
    places = figure.subplots(rows, _COLUMNS, squeeze=False).flat
    for place, (title, image) in zip(places, tiles.items(), strict=False):
        place.set_title(title if image else f"{title}: refused", color="white", fontsize=9)
        if image:
            _show(place, image)
    for place in figure.axes:
        place.axis("off")
    figure.tight_layout(pad=0.4)
    return figure


def _show(place, image: Image) -> None:
    """One picture, between its first and last percentile; labels from 0 to the greatest."""
    low, high = (0, max(int(image.data.max()), 1)) if image.is_label else np.percentile(image.array, (1, 99.7))
    spacing = image.grid.spacing
    place.imshow(image.array.T, origin="lower", cmap="gray", vmin=low, vmax=high, aspect=spacing[1] / spacing[0])
