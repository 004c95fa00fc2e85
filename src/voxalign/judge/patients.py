"""The digital phantoms of the self-test: a body with a sphere, a cube and a cone, scanned twice, with an analytic map between.

The fixed scan shows at x what the body has at truth(x), the moving scan the body itself: the truth is the closed form, and no inverse of
it is ever computed. After AAPM TG-132 (doi:10.1002/mp.12256).
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Image, Transform, compose
from ..phantom import APPEARANCES, Appearance, Inflation, ShapeLabel, Sliding, body_texture, contrast, rigid, shapes
from ..phantom.anatomy import evaluate_all, solid_labels
from ..transforms import BSpline

SPACINGS = ((0.9, 0.9, 3.0), (1.0, 1.0, 2.0), (2.0, 2.0, 2.0))  # mm; the last is that of the textured patient
SHIFT = (-10.0, 5.0, -15.0)  # mm
ANGLES = (5.0, 8.0, 10.0)  # degrees, about x, y and z in turn
MIDDLE = (0.0, 0.0, -10.0)  # mm, of the body
SOLIDS = (ShapeLabel.SPHERE, ShapeLabel.CUBE, ShapeLabel.CONE)

_EXTENT = np.array([270.0, 194.0, 236.0])  # mm
_THIN = 2  # slices that a scanner's slice is the mean of: it sees all of its thickness, not its middle
_SEED = 132
_TEXTURE = 0.3  # of the textured patient, as a part of the tissue's value
_CONTROL_MM, _AMPLITUDE_MM = 50.0, 8.0  # of the B-spline: distance of control points, largest displacement


@dataclass(frozen=True, eq=False)
class Patient:
    """Two scans and the truth.

    Parameters
    ----------
    fixed, moving : images on one grid.
    labels : `ShapeLabel` of the fixed and of the moving scan.
    truth : fixed points -> moving points, mm.
    judged : whether a fixed point (N, D) counts: not beside an interface that slides.
    """

    fixed: Image
    moving: Image
    labels: tuple[Image, Image]
    truth: Transform
    judged: Callable[[NDArray], NDArray[np.bool_]] = lambda points: np.ones(len(points), bool)

    @cached_property
    def body(self) -> NDArray[np.float64]:
        """Voxels of the fixed body that count and are in the moving scan too, (N, 3) mm."""
        return self.points(tuple(ShapeLabel)[1:])

    def points(self, labels: tuple[int, ...]) -> NDArray[np.float64]:
        """Those of some labels."""
        points = self.fixed.grid.world(np.argwhere(np.isin(self.labels[0].array, labels)))
        return points[self.judged(points) & self.moving.grid.contains(self.truth(points))]


def solid_patients(spacing: tuple[float, ...]) -> Iterator[tuple[str, Patient]]:
    """The geometric phantom, moved as a whole, with words for each: CT shifted; CT and MR, CT and PET, MR and PET turned and shifted."""
    space, axes = grid(spacing), np.eye(3)
    shift = rigid(0, (0, 0, 1), SHIFT)
    turns = [rigid(angle, axis, (0, 0, 0), MIDDLE) for angle, axis in zip(ANGLES, axes, strict=True)]
    still = _still(space)
    for truth, pairs in ((shift, (("CT", "CT"),)), (compose([*turns, shift]), (("CT", "T1"), ("CT", "PET"), ("T1", "PET")))):
        moved = _body(space, truth)
        for pair in pairs:
            usual = [replace(APPEARANCES[modality], bias=0.0) for modality in pair]
            yield " and ".join(pair), _scanned((moved, still), truth, pair, usual)


def soft_patient(motion: str) -> Patient:
    """The textured patient in MR contrast at 2 mm, deformed: ``b-spline``, ``sliding`` or ``inflation``."""
    space = grid(SPACINGS[-1])
    truth = {"b-spline": lambda: spline(space), "sliding": lambda: Sliding(MIDDLE, (1, 0, 0), (0, 0, 5.0)),
             "inflation": lambda: Inflation((-10.0, 20.0, -20.0), 30.0, 1.25)}[motion]()
    patient = _scanned((_body(space, truth), _still(space)), truth, ("T1", "T1"), [Appearance(0.02, 0.0, _TEXTURE)] * 2)
    clear = 2 * float(space.spacing[0])  # two voxels on either side
    return replace(patient, judged=lambda points: np.abs(points[:, 0] - MIDDLE[0]) > clear) if motion == "sliding" else patient


def grid(spacing: tuple[float, ...]) -> Grid:
    """The scanner's, LPS, about the body's middle."""
    shape = np.round(_EXTENT / spacing).astype(int)
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[:3, 3] = MIDDLE - affine[:3, :3] @ ((shape - 1) / 2)
    return Grid(tuple(shape), affine)


def spline(space: Grid) -> BSpline:
    """Random cubic B-splines over the box of a grid; the largest coefficient moves by 8 mm."""
    count = np.ceil(space.extent / _CONTROL_MM).astype(int) + 5
    affine = np.diag([_CONTROL_MM] * 3 + [1.0])
    affine[:3, 3] = space.centre - _CONTROL_MM * (count - 1) / 2
    coefficients = np.random.default_rng(_SEED).uniform(-1, 1, (3, *count))
    return BSpline(coefficients * _AMPLITUDE_MM, Grid(tuple(count), affine))


@dataclass(frozen=True, eq=False)
class _Body:
    """What is where on a scanner's grid, and on the thin slices that it takes together."""

    space: Grid
    thin: Image
    labels: Image
    texture: NDArray[np.float32]

    def scan(self, modality: str, look: Appearance, seed: tuple[int, int]) -> Image:
        """An image; ``look.noise`` is that of the scanner's slices."""
        thin = contrast(self.thin, modality, seed, replace(look, noise=look.noise * _THIN**0.5), self.texture).array
        return Image(thin.reshape(*self.space.shape, _THIN).mean(-1), self.space)


def _body(space: Grid, truth: Transform | None) -> _Body:
    """The body as ``truth`` shows it."""
    thin = space.with_shape((*space.shape[:2], space.shape[2] * _THIN))
    labels, texture = evaluate_all((solid_labels, body_texture(_SEED)), thin, truth)
    return _Body(space, Image(labels, thin, is_label=True), shapes(space, truth), texture)


@lru_cache(1)
def _still(space: Grid) -> _Body:
    return _body(space, None)


def _scanned(bodies: tuple[_Body, _Body], truth: Transform, modalities: tuple[str, str], looks: list[Appearance]) -> Patient:
    images = [body.scan(modality, look, (_SEED, k)) for k, (body, modality, look) in enumerate(zip(bodies, modalities, looks, strict=True))]
    return Patient(*images, (bodies[0].labels, bodies[1].labels), truth)
