"""What an image holds: edges, texture, structure as images; shape as numbers; keypoints as pairs of points. Lengths are mm."""
from collections.abc import Callable

from ..core import Image
from .edges import canny
from .keypoints import Keypoints, Match, keypoints, match
from .shape import Region, hu_moments, moment_invariants, regions
from .structure import gradient_magnitude, mind, ngf
from .texture import gabor, wavelet_energy

FEATURES: dict[str, Callable[..., Image]] = {function.__name__: function for function in (
    canny, gabor, wavelet_energy, gradient_magnitude, ngf, mind)}
"""Every feature that is an image, by its name: ``feature(image, *, keywords) -> Image``."""

__all__ = ["FEATURES", "Keypoints", "Match", "Region", "canny", "gabor", "gradient_magnitude", "hu_moments", "keypoints", "match", "mind",
           "moment_invariants", "ngf", "regions", "wavelet_energy"]
