"""What is compared, and by which losses: ``mi + 0.3*ngf + 0.5*ncc(canny)`` as values, and the feature images that it names."""
from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from ..core import Image, UsageError, arrays
from ..core.errors import choose
from ..features import canny, gabor, gradient_magnitude, wavelet_energy
from ..filters import gaussian
from .prepare import Scaled, scale
from .settings import LossName

_WEIGHT = r"\d*\.?\d+(?:e-?\d+)?"
_TERM = re.compile(rf"^\s*(?:({_WEIGHT})\s*\*?\s*)?([a-z_]\w*)\s*(?:\(\s*(\w+)\s*\))?\s*$")


@dataclass(frozen=True)
class Term:
    """One loss, of the intensities, a feature of both images or each image as the other would look, and its weight beside others."""

    loss: str
    feature: str | None = None
    weight: float = 1.0

    @property
    def adapted(self) -> bool:
        """Whether each image is compared as the other would look."""
        return self.feature == ADAPTED

    def __str__(self) -> str:
        """As users write it."""
        name = self.loss if self.feature is None else f"{self.loss}({self.feature})"
        return name if self.weight == 1 else f"{self.weight:g}*{name}"


def terms(loss: str | Mapping[str, Any]) -> tuple[Term, ...]:
    """The terms of a sum, written as ``lncc``, ``mi + 0.3*ngf`` or ``0.5*ncc(canny) + auto``, or as a mapping of such names to weights.

    Raises
    ------
    UsageError : not such a sum, an unknown loss or feature, a weight that is not above 0.
    """
    if isinstance(loss, Mapping):
        found = tuple(_term(str(name), weight) for name, weight in loss.items())
    else:
        found = tuple(_term(part) for part in str(loss).split("+"))
    if not found:
        raise UsageError("loss is empty: expected a name such as lncc, or a sum such as mi + 0.3*ngf")
    return found


def pattern() -> str:
    """A regular expression, as JSON Schema has them, of the sums that `terms` takes, with all names; weights may be 0 there."""
    term = rf"\s*(?:{_WEIGHT}\s*\*?\s*)?{_name()}\s*"
    return rf"^{term}(?:\+{term})*$"


def name_pattern() -> str:
    """The same of a name alone, as in a mapping of names to weights."""
    return rf"^\s*{_name()}\s*$"


def _name() -> str:
    return rf"(?:{'|'.join(get_args(LossName))})\s*(?:\(\s*(?:{'|'.join(_COMPARED)})\s*\))?"


def spelled(loss: str | Mapping[str, Any]) -> str:
    """The one way to write it; see `terms`."""
    return " + ".join(map(str, terms(loss)))


def _term(text: str, weight: Any = None) -> Term:
    match = _TERM.match(text)
    if not match:
        raise UsageError(f"loss {text.strip()!r}: expected a name such as lncc, or a sum such as mi + 0.3*ngf + 0.5*ncc(canny)")
    given, name, feature = match.groups()
    if feature is not None:
        choose(feature, _COMPARED, "feature")
    return Term(choose(name, get_args(LossName), "loss"), feature, _weight(text, given if weight is None else weight))


def _weight(text: str, given: Any) -> float:
    try:
        weight = 1.0 if given is None else math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        weight = math.nan
    if not 0 < weight < math.inf:
        raise UsageError(f"weight {given!r} of loss {text.strip()!r}: expected a number above 0")
    return weight


# ---------------------------------------------------------------- features as images of one channel that no rotation changes
def _edges(image: Image, size: float) -> Image:
    """Canny's edges, blurred so that they can be seen from nearby."""
    edges = canny(image, sigma=1.5 * size)
    return gaussian(Image(edges.data.astype(np.float32), edges.grid, edges.mask), sigma=1.5 * size)


def _together(image: Image) -> Image:
    """Root mean square of all channels: of responses to all directions, what a rotation leaves alone."""
    return Image(np.sqrt((image.data**2).mean(0)), image.grid, image.mask)


FEATURES: dict[str, Callable[[Image, float], Image]] = {
    "canny": _edges,
    "gradient_magnitude": lambda image, size: gradient_magnitude(image, sigma=size),
    "gabor": lambda image, size: _together(gabor(image, wavelength=6 * size)),
    "wavelet_energy": lambda image, size: _together(wavelet_energy(image, levels=2)),
}
"""Features that a loss may compare, by name; each of an image and the size, in mm, of its finest details."""

ADAPTED = "adapted"
"""What stands in place of a feature where each image is compared as the other would look (`adapted.Adapted`)."""
_COMPARED = (*FEATURES, ADAPTED)


def described(image: Scaled, feature: str | None, spacing: float) -> Scaled:
    """A feature of ``image`` as another image, on voxels of at least ``spacing`` mm; the image itself if there is none."""
    if feature not in FEATURES:
        return image
    level = image.at(spacing)
    plain = Image(arrays.as_numpy(level.data), level.grid, None if level.mask is None else arrays.as_numpy(level.mask))
    found = scale(FEATURES[feature](plain, max(spacing, float(level.grid.spacing.min()))))
    return Scaled(arrays.like(found.data, level.data), level.grid, level.mask)
