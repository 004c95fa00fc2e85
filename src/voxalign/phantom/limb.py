"""A right leg about the knee that differs by seed: skin, fat, muscles with septa, femur, tibia, fibula, patella, vessels.

World mm: the origin is the joint, x to the right (lateral), y anterior, z superior; the leg is straight.
"""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .labels import LimbLabel as L
from .layers import Anatomy, Block, Layer
from .noise import smooth_noise
from .solids import Depth, cut, ellipsoid, join, tube

_WHOLE = Block((-95, -100, -225), (95, 95, 225), 2.5)
_JOINT = Block((-60, -60, -225), (60, 65, 225), 2.0)

_THIGH = {  # x, y at the top and above the knee, mm; radius of influence
    L.QUADRICEPS: ((0, 42), (0, 40), 24), L.VASTUS_LATERALIS: ((38, 22), (33, 16), 26), L.VASTUS_MEDIALIS: ((-28, 24), (-34, 18), 22),
    L.ADDUCTOR: ((-38, -14), (-34, -10), 22), L.HAMSTRINGS_MEDIAL: ((-16, -42), (-26, -32), 22),
    L.HAMSTRINGS_LATERAL: ((20, -40), (26, -30), 22),
}
_CALF = {  # below the knee and at the bottom
    L.TIBIALIS_ANTERIOR: ((16, 22), (12, 18), 14), L.PERONEUS: ((36, 0), (26, -2), 12), L.SOLEUS: ((4, -24), (2, -18), 22),
    L.GASTROCNEMIUS_MEDIAL: ((-24, -36), (-16, -34), 22), L.GASTROCNEMIUS_LATERAL: ((24, -38), (14, -34), 20),
}


def limb_anatomy(rng: np.random.Generator) -> Anatomy:
    """A person's straight leg."""
    scale = (1 + 0.05 * rng.standard_normal(3)).astype(np.float32)
    shape, rough = smooth_noise(rng, 110, 3), smooth_noise(rng, 35)

    def place(block: Block) -> NDArray[np.float32]:
        return 4 * shape.along(block.axes()) + block.nodes() / scale[:, None, None, None]

    return Anatomy((*_soft(place(_WHOLE), rough.along(_WHOLE.axes())[0]), *_bones(place(_JOINT))))


# -------------------------------------------------------------------- soft tissue
def _soft(p: NDArray, rough: Depth) -> Iterator[Layer]:
    skin = tube(p, ((0, -5, 240, 86), (0, -3, 110, 70), (0, 1, 15, 57), (0, -3, -35, 54), (2, -11, -95, 57), (0, -4, -240, 40)), 30)
    yield _WHOLE.layer(skin, (0, L.SKIN), (2, L.FAT))
    room = skin - 9 - 2.5 * rough
    for muscles, height in ((_THIGH, p[2] - 22), (_CALF, -p[2] - 28)):
        taper = room - 5 * np.exp(-np.maximum(height, 0) / 25)
        part = np.clip(1 - height / 200, 0, 1) if muscles is _THIGH else np.clip(height / 200, 0, 1)
        distance = {label: np.hypot(p[0] - (a[0] + part * (b[0] - a[0])), p[1] - (a[1] + part * (b[1] - a[1]))) - radius + 3 * rough
                    for label, (a, b, radius) in muscles.items()}
        for label, own in distance.items():
            others = np.minimum.reduce([d for other, d in distance.items() if other != label])
            yield _WHOLE.layer(np.minimum(np.minimum((others - own) / 2 - 0.7, taper), 0.5 * height), (0, label))
    yield _WHOLE.layer(tube(p, ((-18, -8, 225, 5), (2, -34, 60, 5), (2, -33, -40, 4.5), (8, -12, -225, 3.5)), 3), (0, L.VESSEL))


# -------------------------------------------------------------------- bones
def _bones(p: NDArray) -> Iterator[Layer]:
    femur, tibia = _femur(p), _tibia(p)
    joint = 24 - np.abs(p[2] - 4)
    yield _JOINT.layer(np.minimum(np.maximum(femur + 2.6, tibia + 2.2), joint), (0, L.CARTILAGE))
    yield _JOINT.layer(tube(p, ((0, 44, 30, 4), (0, 42, 2, 4), (0, 28, -42, 3.5)), 3), (0, L.CARTILAGE))
    yield _JOINT.layer(femur / _cortical(p[2]), (0, L.FEMUR), (1, L.FEMUR_MARROW))
    yield _JOINT.layer(tibia / _cortical(-p[2]), (0, L.TIBIA), (1, L.TIBIA_MARROW))
    yield _JOINT.layer(tube(p, ((36, -16, -30, 8.5), (36, -15, -48, 6), (30, -12, -240, 6.5)), 4), (0, L.FIBULA))
    yield _JOINT.layer(ellipsoid(p, (0, 43, 22), (20, 8.5, 20)), (0, L.PATELLA), (2, L.FEMUR_MARROW))


def _cortical(height: Depth) -> Depth:
    """Thickness of compact bone, mm: thin at the joint, thick in the shaft."""
    part = np.clip((height - 35) / 60, 0, 1)
    return 1.6 + 3.6 * part * part * (3 - 2 * part)


def _femur(p: NDArray) -> Depth:
    shaft = tube(p, ((0, 3, 240, 14), (0, 4, 90, 14.5), (0, 2, 48, 20)), 10)
    side = np.concatenate([np.abs(p[:1]), p[1:]])
    condyles = ellipsoid(side, (22, -5, 22), (18, 28, 20))
    trochlea = ellipsoid(p, (0, 12, 28), (30, 20, 16))
    notch = ellipsoid(p, (0, -16, 8), (7, 22, 14))
    return cut(join(join(condyles, trochlea, 6), shaft, 14), -notch, 3)


def _tibia(p: NDArray) -> Depth:
    plateau = cut(ellipsoid(p, (0, -2, -20), (40, 26, 26)), -4.5 - p[2] + 0.004 * p[0] ** 2, 3)
    return join(plateau, tube(p, ((0, 2, -40, 20), (-2, 8, -95, 13), (-3, 8, -240, 11.5)), 12), 12)
