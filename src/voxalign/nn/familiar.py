"""Whether an image looks like those that a network learned from, by what its own encoder sees of it."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

_AXES = 12  # principal directions in which images are told apart
_MOST = 0.995  # of the images that it learned from count as familiar


@dataclass(frozen=True, eq=False)
class Familiar:
    """Where the descriptions of familiar images lie: an ellipsoid (Mahalanobis distance, as Lee et al. 2018, arXiv:1807.03888).

    Parameters
    ----------
    mean : (N,) of their descriptions.
    axes : (K, N) principal directions, each over the deviation along it.
    rest : deviation of what lies outside of these directions.
    limit : distance below which 995 of 1000 of them are.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    rest: float
    limit: float

    @classmethod
    def of(cls, descriptions: NDArray) -> Familiar:
        """From (M, N) descriptions; half of them shape the ellipsoid, all of them set its size."""
        shaping = descriptions[::2].astype(np.float64)
        mean = shaping.mean(0)
        _, deviations, directions = np.linalg.svd((shaping - mean) / np.sqrt(len(shaping)), full_matrices=False)
        kept = min(_AXES, len(deviations) - 1)
        rest = float(np.sqrt((deviations[kept:] ** 2).sum()))
        found = cls(mean, directions[:kept] / np.maximum(deviations[:kept], 1e-9)[:, None], max(rest, 1e-9), 1.0)
        return cls(found.mean, found.axes, found.rest, float(np.quantile([found.distance(d) for d in descriptions], _MOST)))

    def distance(self, description: NDArray) -> float:
        """How far off a description (N,) is; 1 a direction is usual."""
        apart = description - self.mean
        along = self.axes @ apart
        outside = apart - np.linalg.pinv(self.axes) @ along
        return float(np.sqrt((along**2).sum() + (outside**2).sum() / self.rest**2))

    def strangeness(self, description: NDArray) -> float:
        """The distance over the limit: above 1 an image is unlike those that the network learned from."""
        return self.distance(description) / self.limit

    def as_dict(self) -> dict[str, Any]:
        """For JSON, to five digits."""
        return {"mean": _short(self.mean), "axes": [_short(a) for a in self.axes], "rest": self.rest, "limit": self.limit}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Familiar:
        """`as_dict` undone."""
        return cls(np.array(values["mean"]), np.array(values["axes"]), float(values["rest"]), float(values["limit"]))


@torch.no_grad()
def description(features: Sequence[Tensor]) -> NDArray[np.float64]:
    """Means and deviations over space of the features of one image (C, *S), level by level, of length 1 everywhere, (N,)."""
    levels = [level.flatten(1) for level in features]
    return torch.cat([part for level in levels for part in (level.mean(1), level.std(1))]).double().cpu().numpy()


@torch.no_grad()
def described(network: nn.Module, image: Tensor) -> NDArray[np.float64]:
    """`description` of an image (C, *S) that a pyramid sees."""
    return description([functional.normalize(level, dim=1)[0] for level in network.features(image[None])])


def learn(network: nn.Module, images: Iterable[Tensor]) -> Familiar:
    """What is familiar to a network, from images (C, *S) that it learned from."""
    return Familiar.of(np.stack([described(network, image) for image in images]))


def _short(values: NDArray) -> list[float]:
    return [float(f"{v:.5g}") for v in values]
