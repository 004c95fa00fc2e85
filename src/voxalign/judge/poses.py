"""Whether another position of the whole body would be as good as the one a registration ended with."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import kernels
from ..register import initialise, search
from ..register.prepare import Scaled

_TURNS = {2: 24, 3: 60}
_KEEP = 6  # of them, improved
_PLANES = 48  # in which a mirror image is looked for
_MIRRORS = 4  # of them, improved
_NUDGE = 0.25  # radians, or radii of the body
_STEPS = (0.2, 0.13, 0.08, 0.05)
_FINE_STEPS = (0.05, 0.025)
_SLOW = 3.0  # voxels; slower variation is shading
_LEAST = 100  # voxels
_ONE_KIND = 0.5  # correlation


@dataclass(frozen=True, eq=False)
class Standing:
    """A position among others; scores are nats per voxel, see `search.Comparison`.

    Parameters
    ----------
    score : of the position.
    better : the best of the positions near it.
    rival : the best of those that are turned or shifted far away.
    mirrored : the best of the mirror images.
    handed : -1 to 1; above 0 left and right differ in the moved image as they would in a mirror image of the fixed one. 0 where the two
        are of different kinds.
    wandered : how far from it searches end that begin a quarter of a radian or radius away, mean in body radii.
    """

    score: float
    better: float
    rival: float
    mirrored: float
    handed: float
    wandered: float


def standing(fixed: Scaled, moving: Scaled, affine: NDArray) -> Standing:
    """Of the map ``affine``, (D+1, D+1) fixed mm -> moving mm."""
    coarse, fine = search.levels(fixed, moving)
    about = search.body(fine[0])
    rough, exact = search.Comparison.of(*coarse, 10), search.Comparison.of(*fine, 20)
    own = affine[None]
    mirrors = own_mirrors(fine[0], about)
    nudged, scores = search.improve(rough, own @ _nudges(about), _STEPS, about)
    far, far_scores = _others(rough, own, (about, search.body(fine[1])))
    mirrored, mirror_scores = search.improve(rough, own @ mirrors, _STEPS, about)
    best = [p[np.argmax(s)] for p, s in ((nudged, scores), (far, far_scores), (mirrored, mirror_scores))]
    _, values = search.improve(exact, np.stack([affine, *best]), _FINE_STEPS, about)
    wandered = np.minimum(search.distance(nudged, affine, about), 2.0)
    return Standing(float(exact.score(own)[0]), float(values[:2].max()), float(values[2]), float(values[3]),
                    handed(*fine, affine, mirrors[0]), float(np.mean(wandered)))


def handed(fixed: Scaled, moving: Scaled, affine: NDArray, mirror: NDArray) -> float:
    """See `Standing`; ``mirror`` (D+1, D+1) mm lays the fixed body on its own mirror image.

    What a body and its mirror image share says whether the images are of one kind; where they differ must agree in sign.
    """
    def fine(image: Scaled, matrix: NDArray) -> NDArray:
        pulled = kernels.pull(image.data[None], fixed.grid.shape, image.grid.inverse_affine @ matrix @ fixed.grid.affine)
        return (pulled - kernels.smooth(pulled, (_SLOW,) * fixed.grid.dim))[0][inside]

    inside = search.near(fixed)
    if inside.sum() < _LEAST:
        return 0.0
    here, there = (fine(fixed, m) for m in (np.eye(len(affine)), mirror))
    its, opposite = (fine(moving, affine @ m) for m in (np.eye(len(affine)), mirror))
    alike = _correlation(here + there, its + opposite)
    return -_correlation(here - there, its - opposite) * float(np.sign(alike)) if abs(alike) > _ONE_KIND else 0.0


def own_mirrors(fixed: Scaled, about: search.Body) -> NDArray[np.float64]:
    """The mirrors (K, D+1, D+1), mm, in which the fixed body looks most like itself, the best first.

    Planes of every direction are tried, as the main axes of a body need not be those of its symmetry.
    """
    itself = search.Comparison.of(fixed, fixed, 20)
    starts = _reflections(_directions(about), about)
    starts = starts[np.argsort(-itself.score(starts), kind="stable")[:_MIRRORS]]
    found, scores = search.improve(itself, starts, _STEPS, about)
    return found[np.argsort(-scores, kind="stable")]


def _directions(about: search.Body) -> NDArray[np.float64]:
    """Unit normals (N, D): of the main axes, and evenly over half a sphere (Fibonacci's lattice) or circle."""
    axes = (about.half_axes / np.linalg.norm(about.half_axes, axis=0)).T
    k = np.arange(_PLANES) + 0.5
    if len(axes) == 2:
        return np.concatenate([axes, np.stack([np.cos(np.pi * k / _PLANES), np.sin(np.pi * k / _PLANES)], 1)])
    height, turn = k / _PLANES, np.pi * (1 + 5**0.5) * k
    across = np.sqrt(1 - height**2)
    return np.concatenate([axes, np.stack([across * np.cos(turn), across * np.sin(turn), height], 1)])


def _reflections(normals: NDArray, about: search.Body) -> NDArray[np.float64]:
    """Mirrors (N, D+1, D+1) through the middle of the body."""
    return search.poses(np.eye(normals.shape[1]) - 2 * normals[:, :, None] * normals[:, None], about.middle, about.middle[None])


def _correlation(a: NDArray, b: NDArray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-12))


def _nudges(about: search.Body) -> NDArray[np.float64]:
    """One move forth and back in every direction."""
    count = 6 if len(about.middle) == 3 else 3
    return search.moves(_NUDGE * np.concatenate([np.eye(count), -np.eye(count)]), about)


def _others(comparison: search.Comparison, own: NDArray, bodies: tuple[search.Body, search.Body]) -> tuple[NDArray, NDArray]:
    """Positions far from ``own``, improved, with scores; it itself with none if nothing is far."""
    about, moving = bodies
    turns = initialise.rotations(about.middle.size)
    turns = turns[:: len(turns) // _TURNS[about.middle.size]]
    starts = search.poses(turns, about.middle, moving.middle[None])
    starts = starts[np.argsort(-comparison.score(starts), kind="stable")[:_KEEP]]
    found, scores = search.improve(comparison, starts, _STEPS, about)
    far = search.distance(found, own, about) > 0.35
    return (found[far], scores[far]) if far.any() else (own, np.zeros(1))
