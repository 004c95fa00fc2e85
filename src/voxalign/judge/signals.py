"""Numbers that tell good registrations from failed ones without knowing the truth. The larger, the worse, each of them.

Lengths are in parts of the limit, the error that matters, so that a mouse and a man are judged alike.
"""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core import Image, Transform
from ..metrics import jacobian_determinant
from ..register import Registration
from ..register.prepare import Scaled, foreground, otsu, scale
from .lines import shipped
from .matching import chance
from .places import CLUES, Look, affine_part, clues, look
from .poses import Standing, standing
from .pull import pull
from .views import View

LIMIT = 2.0  # mm
_SMALL = 14.0  # mm, radius of a ball (disc) as large as the body; below it the body is taken for one of a small animal
_LEVELS = ("near", "middle", "far")
_POINTS = 2000
_PLACES = 4000
_AS_GOOD = 0.95  # times as well: as good
_LOST = 2.6  # voxels: offset where there is nothing to match, the largest there is


def measure(registration: Registration, fixed: Image, moving: Image) -> tuple[float, dict[str, float]]:
    """The limit in mm, and all signals by name."""
    pair = scale(fixed), scale(moving)
    limit = limit_of(pair[0])
    view = View.of(pair, registration.transform, limit)
    levels = look(view)
    affine, bent = affine_part(registration.transform, view.points(_POINTS))
    sure = 1.0 if registration.start_confidence is None else registration.start_confidence
    parts = (_geometry(affine, bent, registration.transform, view), _overlap(view, pair[1]), _fits(levels, limit),
             _standing(standing(*pair, affine)))
    return limit, {name: value for part in parts for name, value in part.items()} | {
        "unsure_start": 1 - sure, "pull": pull(view) / limit, "expected": _expected(levels, registration.transform, limit)}


def limit_of(fixed: Scaled) -> float:
    """mm: 2, or two voxels where the body is a small animal's."""
    rough = fixed.at(float(fixed.grid.extent.max()) / 64)
    volume = max(int(foreground(rough).sum()), 1) * rough.grid.voxel_volume
    radius = (volume * 3 / (4 * np.pi)) ** (1 / 3) if fixed.grid.dim == 3 else (volume / np.pi) ** 0.5
    return float(min(LIMIT, 2 * fixed.grid.voxel_volume ** (1 / fixed.grid.dim))) if radius < _SMALL else LIMIT


def _geometry(affine: NDArray, bent: float, transform: Transform, view: View) -> dict[str, float]:
    """What the map does to space."""
    matrix = affine[:-1, :-1]
    stretches = np.log(np.maximum(np.linalg.svd(matrix, compute_uv=False), 1e-3))
    determinants = jacobian_determinant(transform, view.grid)[view.body if view.body.any() else ...]
    changes = np.log(np.maximum(determinants / max(abs(np.linalg.det(matrix)), 1e-9), 1e-2))
    across = max(float(view.body.sum()) * view.grid.voxel_volume, view.grid.voxel_volume) ** (1 / view.grid.dim)
    return {"stretch": float(np.abs(stretches).max()), "mirrored": float(np.linalg.det(matrix) <= 0), "bent": bent / across,
            "rough": float(changes.std()), "extreme": float(np.percentile(np.abs(changes), 99.5)),
            "folded": float(np.mean(determinants <= 0))}


def _overlap(view: View, moving: Scaled) -> dict[str, float]:
    """What both images show, and how large the two bodies are."""
    body, level = view.body, moving.at(float(view.grid.spacing.max()))
    bright = view.moved > 0.5 * otsu(level.data if level.mask is None else level.data[level.mask])
    shown, either = body & view.counts, (bright | body) & view.counts
    volumes = [max(float(a.sum()), 1.0) * grid.voxel_volume for a, grid in ((body, view.grid), (foreground(level), level.grid))]
    return {"outside": 1 - float(shown.sum()) / max(float(body.sum()), 1.0),
            "mismatch": 1 - float((bright & shown).sum()) / max(float(either.sum()), 1.0),
            "size": abs(float(np.log(volumes[0] / volumes[1])))}


def _expected(levels: Look, transform: Transform, limit: float) -> float:
    """Logarithm of the mean error, in limits, that the places by themselves let one expect."""
    values = dict(zip(CLUES, clues(levels, transform, limit, levels[0][0].voxels(_PLACES)), strict=True))
    return float(np.log(np.exp(shipped("uncertainty")(values | {"log_odds": -np.inf})).mean()))


def _fits(levels: Look, limit: float) -> dict[str, float]:
    """How well places fit at three spacings, and how far off they would fit better."""
    view, match = levels[0]
    out = {"blank": 1 - match.weight.sum() / max(float(view.body.sum()), 1.0)}
    for name, (level, match) in zip(_LEVELS, levels, strict=True):
        part = float(level.grid.spacing.max()) / limit
        fit, by_chance = match.mean(match.fit), chance(level)
        out |= {f"missed_{name}": match.mean(match.better_beside, 1.0), f"misfit_{name}": 1 - fit,
                f"offset_{name}": match.mean(np.sqrt((match.offset**2).sum(0)), _LOST) * part,
                f"drift_{name}": match.mean(np.sqrt((match.drift**2).sum(0)), _LOST) * part,
                f"shift_{name}": float(np.linalg.norm(match.common_offset)) * part,
                f"chance_{name}": 1 - (fit - by_chance) / max(1 - by_chance, 1e-6)}
    return {key: float(value) for key, value in out.items()}


def _standing(at: Standing) -> dict[str, float]:
    """How the position of the body stands among others; far ones are compared with the best near it, lest a shift look like a mirror."""
    score = max(at.score, 1e-3)
    best = max(at.better, score)
    handed = at.handed if at.mirrored > _AS_GOOD * best else min(at.handed, 0.0)  # a mirror image that fits worse contradicts it
    return {"uninformative": -float(np.log(score)), "better": at.better / score - 1, "rival": at.rival / best,
            "mirror": at.mirrored / best, "handed": handed, "wandered": at.wandered}
