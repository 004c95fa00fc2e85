"""Two images of one body with the known map between them."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import Grid, Image, Transform, compose
from .anatomy import evaluate_all
from .contrast import Appearance, body_texture, contrast
from .deformation import rigid, smooth_deformation
from .head import head_anatomy
from .labels import BRAIN
from .layers import Anatomy
from .limb import limb_anatomy
from .motion import Bend, breathing
from .thorax import thorax_anatomy


@dataclass(frozen=True, eq=False)
class Pair:
    """Two images of one body on grids of their own.

    Parameters
    ----------
    fixed, moving : the images.
    truth : fixed points -> moving points, mm.
    fixed_labels, moving_labels : what is where, on the same grids.
    """

    fixed: Image
    moving: Image
    truth: Transform
    fixed_labels: Image
    moving_labels: Image


@dataclass(frozen=True)
class Motion:
    """How the moving image's body lies and is deformed.

    Parameters
    ----------
    angle_degrees, axis : rotation.
    shift : mm.
    amplitude_mm, smoothness_mm : of the random deformation, see `smooth_deformation`; amplitude 0 is none.
    """

    angle_degrees: float = 25.0
    axis: tuple[float, float, float] = (0.3, -0.4, 1.0)
    shift: tuple[float, float, float] = (12.0, -9.0, 7.0)
    amplitude_mm: float = 6.0
    smoothness_mm: float = 45.0

    def over(self, grid: Grid, seed: int) -> Transform:
        """The map of the points of ``grid``: deformed, then moved as a whole."""
        whole = rigid(self.angle_degrees, self.axis, self.shift[: grid.dim])
        if self.amplitude_mm == 0:
            return whole
        return compose([smooth_deformation(grid, seed, self.amplitude_mm, self.smoothness_mm), whole])


HEAD_MOTION = Motion()
BODY_MOTION = Motion(4.0, (0.2, 0.1, 1.0), (8.0, -6.0, 10.0), 4.0, 60.0)


@dataclass(frozen=True)
class Scan:
    """How the two images of a pair are taken.

    Parameters
    ----------
    seed : of shading, noise and texture.
    appearance : None is the modality's usual one.
    height : z in mm of the slice that 2-D grids show.
    """

    seed: int = 0
    appearance: Appearance | None = None
    height: float = 0.0


def image_pair(anatomy: Anatomy, grids: tuple[Grid, Grid], truth: Transform, modalities: tuple[str, str] = ("T1", "T1"),
               scan: Scan | None = None) -> Pair:
    """Two images of one anatomy: the fixed one as it is, the moving one as ``truth`` takes it.

    Both are sampled from the continuous anatomy; neither is interpolated from the other.
    """
    scan = scan or Scan()
    labels, images = [], []
    for k, (grid, place, modality) in enumerate(zip(grids, (None, truth.inverse()), modalities, strict=True)):
        names, texture = evaluate_all((anatomy, body_texture(scan.seed)), grid, place, scan.height)
        labels.append(Image(names, grid, is_label=True))
        images.append(contrast(labels[-1], modality, np.random.default_rng((scan.seed, k)), scan.appearance, texture))
    return Pair(*images, truth, *labels)


def head_pair(seed: int = 0, spacing: float = 1.5, fixed_modality: str = "T1", moving_modality: str = "T1",
              motion: Motion = HEAD_MOTION) -> Pair:
    """A head twice: fixed LAS at ``spacing`` mm, moving oblique and anisotropic with another field of view."""
    fixed = _grid((186, 226, 190), (spacing,) * 3, "LAS", (0, 5, -15))
    truth = motion.over(fixed, seed + 1)
    moving = _grid((200, 184, 212), spacing * np.array([1.2, 0.93, 0.8]), "RSP", truth(np.array([0.0, 2, -8])))
    grids = (fixed, _turned(moving, (7, -10, 12)))
    return image_pair(head_anatomy(np.random.default_rng(seed)), grids, truth, (fixed_modality, moving_modality), Scan(seed))


def slice_pair(seed: int = 0, spacing: float = 1.0, fixed_modality: str = "T1", moving_modality: str = "T1",
               motion: Motion = HEAD_MOTION) -> Pair:
    """An axial slice of a head twice, 2-D."""
    fixed = _grid((186, 226), (spacing,) * 2, "LA", (0, 5))
    truth = motion.over(fixed, seed + 1)
    moving = _turned(_grid((216, 206), spacing * np.array([1.2, 0.9]), "RP", truth(np.array([0.0, 2]))), (0, 0, 8))
    anatomy = head_anatomy(np.random.default_rng(seed))
    return image_pair(anatomy, (fixed, moving), truth, (fixed_modality, moving_modality), Scan(seed, height=15.0))


def thorax_pair(seed: int = 0, spacing: float = 3.0, fixed_modality: str = "CT", moving_modality: str = "CT",
                motion: Motion = BODY_MOTION) -> Pair:
    """A chest breathed out (fixed) and in (moving), laid down anew in between."""
    fixed = _grid((400, 270, 300), spacing * np.array([1, 1, 1.2]), "LPS", (0, 0, 0))
    truth = compose([breathing(fixed, 0.5), motion.over(fixed, seed + 1)])
    moving = _turned(_grid((380, 290, 320), spacing * np.array([0.9, 1.1, 1]), "RAS", truth(np.zeros(3))), (0, 0, 4))
    return image_pair(thorax_anatomy(np.random.default_rng(seed)), (fixed, moving), truth, (fixed_modality, moving_modality), Scan(seed))


def limb_pair(seed: int = 0, spacing: float = 2.0, fixed_modality: str = "T1", moving_modality: str = "T1",
              joint_angle: float = 0.35) -> Pair:
    """A straight leg (fixed) and the same one with its knee bent by ``joint_angle`` radians (moving)."""
    fixed = _grid((190, 190, 340), spacing * np.array([1, 1, 1.5]), "RAS", (0, 0, 0))
    truth = compose([Bend(joint_angle), rigid(8, (0, 0, 1), (5, -8, 10))])
    moving = _grid((200, 260, 340), spacing * np.array([1.1, 1, 1.3]), "LAS", truth(np.array([0, 0, -10.0])))
    return image_pair(limb_anatomy(np.random.default_rng(seed)), (fixed, moving), truth, (fixed_modality, moving_modality), Scan(seed))


def error_mm(found: Transform, truth: Transform, points: ArrayLike | Image, labels: ArrayLike = BRAIN) -> NDArray[np.float64]:
    """How far from the truth a transform takes points, (N,) mm.

    Parameters
    ----------
    points : (N, D) mm, or a label map of the fixed space, of which the voxels with ``labels`` are taken.
    """
    if isinstance(points, Image):
        points = points.grid.world(np.argwhere(np.isin(points.array, np.asarray(labels))))
    return np.linalg.norm(found(points) - truth(points), axis=-1)


# -------------------------------------------------------------------- grids
_WORLD = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


def _grid(extent: ArrayLike, spacing: ArrayLike, axes: str, centre: ArrayLike) -> Grid:
    """A box of ``extent`` mm along the array axes, which point to the letters of ``axes``, about ``centre``."""
    spacing = np.asarray(spacing, np.float64)
    shape = np.round(np.asarray(extent) / spacing).astype(int)
    affine = np.eye(len(shape) + 1)
    affine[:-1, :-1] = 0
    for axis, letter in enumerate(axes):
        world, sign = _WORLD[letter]
        affine[world, axis] = sign * spacing[axis]
    affine[:-1, -1] = np.asarray(centre) - affine[:-1, :-1] @ ((shape - 1) / 2)
    return Grid(tuple(shape), affine)


def _turned(grid: Grid, degrees: tuple[float, float, float]) -> Grid:
    """The grid turned about its centre, by an angle about each world axis in turn."""
    affine = grid.affine
    for axis, angle in zip(np.eye(3), degrees, strict=True):
        if angle:
            affine = rigid(angle, axis, (0.0,) * grid.dim, grid.centre).matrix @ affine
    return Grid(grid.shape, affine)
