"""Images to images: less noise, more contrast, comparable intensities, label maps, other grids. Lengths are mm."""
from collections.abc import Callable

from ..core import Image
from .denoise import bilateral, gaussian, median, non_local_means, wavelet
from .enhance import clahe, correct_bias, equalise, gamma, sharpen, stretch
from .geometry import crop, crop_to_foreground, pad, reorient, resample_to
from .masks import body_mask, brain_mask
from .normalise import WINDOWS, clip_percentiles, ct_preset, ct_window, match_histogram, to_unit, z_score
from .scales import pyramid, scale_space
from .segment import (
    CONNECTIVITIES,
    closing,
    connected_components,
    dilate,
    erode,
    fill_holes,
    largest_component,
    multi_otsu,
    opening,
    otsu,
    region_growing,
    threshold,
)

FILTERS: dict[str, Callable[..., Image]] = {function.__name__: function for function in (
    gaussian, median, bilateral, non_local_means, wavelet, scale_space,
    equalise, clahe, stretch, gamma, sharpen, correct_bias,
    to_unit, z_score, clip_percentiles, match_histogram, ct_window, ct_preset,
    threshold, otsu, multi_otsu, region_growing, connected_components, largest_component, erode, dilate, opening, closing, fill_holes,
    body_mask, brain_mask,
    resample_to, crop, crop_to_foreground, pad, reorient)}
"""Every filter by its name: ``filter(image, *, keywords) -> Image``."""

__all__ = ["CONNECTIVITIES", "FILTERS", "WINDOWS", "bilateral", "body_mask", "brain_mask", "clahe", "clip_percentiles", "closing",
           "connected_components", "correct_bias", "crop", "crop_to_foreground", "ct_preset", "ct_window", "dilate", "equalise", "erode",
           "fill_holes", "gamma", "gaussian", "largest_component", "match_histogram", "median", "multi_otsu", "non_local_means",
           "opening", "otsu", "pad", "pyramid", "region_growing", "reorient", "resample_to", "scale_space", "sharpen", "stretch",
           "threshold", "to_unit", "wavelet", "z_score"]
