"""Cases with a planted answer: a lesion that grows, a tumour seen by three scanners, a leg that bends and loses muscle."""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..core import Grid, Image, Transform, compose
from .deformation import Inflation, rigid
from .head import head_anatomy
from .labels import HeadLabel
from .labels import LimbLabel as L
from .layers import Anatomy, Block
from .limb import limb_anatomy
from .motion import Bend
from .noise import smooth_noise
from .pair import Pair, Scan, image_pair

LESION_MM = (28.0, -20.0, 30.0)  # in white matter of the right half
QUADRICEPS_MM = ((0.0, 41.0, 65.0), (0.0, 41.5, 105.0), (0.0, 42.0, 145.0))  # along the muscle's belly
_BENDS = 45.0  # mm from the joint within which `Bend` bends
_TURN, _AXIS, _SHIFT = 8.0, (0.3, -0.4, 1.0), (6.0, -5.0, 4.0)  # how the patient lies the second time


def with_lesion(anatomy: Anatomy, centre: ArrayLike, radius: float, seed: int = 0) -> Anatomy:
    """A body with an irregular lesion of about ``radius`` mm about ``centre`` (3,) mm, whatever was there before."""
    centre = np.asarray(centre, np.float32)
    block = Block(centre - 2 * radius, centre + 2 * radius, radius / 16)
    rough = smooth_noise(np.random.default_rng(seed), 1.5 * radius).along(block.axes())[0]
    distance = np.linalg.norm(block.nodes() - centre[:, None, None, None], axis=0)
    return Anatomy((*anatomy.layers, block.layer(radius * (1 + 0.2 * np.clip(rough, -2, 2)) - distance, (0, HeadLabel.LESION))))


def follow_up_pair(seed: int = 0, spacing: float = 1.5, growth: float = 1.2, radius: float = 12.0) -> Pair:
    """A head with a lesion, and the same one later: the lesion has ``growth`` times its volume and pushes what is around it away."""
    growing = Inflation(LESION_MM, 1.5 * radius, growth ** (1 / 3))  # holds the whole lesion, which therefore grows by exactly that
    truth = compose([growing, rigid(_TURN, _AXIS, _SHIFT)])
    return image_pair(_with_tumour(seed, radius), (_head_grid(spacing), _head_grid(spacing, truth)), truth, scan=Scan(seed))


def tumour_pair(modality: str, seed: int = 0, spacing: float = 1.5, radius: float = 14.0) -> Pair:
    """A head with a tumour on T1, and by another scanner (``CT``, ``PET``, ...) in another position; with thicker slices."""
    turn = rigid(-5.0, (1, 0.2, 0.3), (-4.0, 8.0, 10.0)) if modality == "PET" else rigid(_TURN, _AXIS, _SHIFT)
    other = _head_grid(spacing * np.array([0.8, 0.8, 1.6]), turn)
    return image_pair(_with_tumour(seed, radius), (_head_grid(spacing), other), turn, ("T1", modality), Scan(seed))


def limb_change_pair(seed: int = 0, spacing: float = 2.0, joint_angle_degrees: float = 20.0, muscle: float = 0.6) -> Pair:
    """A straight leg, and the same one later: bent at the knee, three balls of 20 mm in the quadriceps with ``muscle`` times their
    volume.
    """
    wasting = [Inflation(centre, 20.0, muscle ** (1 / 3)) for centre in QUADRICEPS_MM]
    truth = compose([*wasting, Bend(float(np.radians(joint_angle_degrees))), rigid(8, (0, 0, 1), (5, -8, 10))])
    fixed = _box((190, 190, 340), (spacing,) * 3, np.zeros(3))
    moving = _box((210, 290, 360), (1.1 * spacing,) * 3, truth(np.array([0, 0, -10.0])))
    return image_pair(limb_anatomy(np.random.default_rng(seed)), (fixed, moving), truth, scan=Scan(seed))


def shafts(labels: Image) -> Image:
    """Labels of a straight leg -> 1 for the shaft of the femur, 2 for those below the knee: what moves as a whole when it bends."""
    height = labels.grid.points()[..., 2]
    upper = np.isin(labels.array, (L.FEMUR, L.FEMUR_MARROW)) & (height > _BENDS)
    lower = np.isin(labels.array, (L.TIBIA, L.TIBIA_MARROW, L.FIBULA)) & (height < -_BENDS)
    return labels.with_data(upper + 2 * lower.astype(np.uint8))


def _with_tumour(seed: int, radius: float) -> Anatomy:
    return with_lesion(head_anatomy(np.random.default_rng(seed)), LESION_MM, radius, seed)


def _head_grid(spacing: ArrayLike, place: Transform | None = None) -> Grid:
    centre = np.array([0.0, 5, -15])
    return _box((190, 230, 200), spacing, centre if place is None else place(centre))


def _box(extent: ArrayLike, spacing: ArrayLike, centre: ArrayLike) -> Grid:
    """A box of ``extent`` mm about ``centre``, RAS."""
    spacing = np.broadcast_to(np.asarray(spacing, np.float64), 3)
    shape = np.round(np.asarray(extent) / spacing).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = centre - spacing * (shape - 1) / 2
    return Grid(tuple(shape), affine)
