"""A head that differs by seed: scalp, skull, face, folded cortex, white matter, nuclei, ventricles, cerebellum.

World mm: the origin lies between the thalami, x to the right, y anterior, z superior. Sizes follow an average adult.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .labels import HeadLabel as L
from .layers import Anatomy, Block, Layer
from .noise import Noise, smooth_noise, stripes
from .solids import Depth, cut, ellipsoid, join, length, rod, tube, turned

FOLD = 12.5  # mm from gyrus to gyrus
THICK = 3.0  # mm of grey matter

_WHOLE = Block((-95, -115, -150), (95, 135, 95), 2.5)
_FACIAL = Block((-65, -60, -150), (65, 105, -15), 2.5)
_CEREBRUM = Block((-2.5, -90, -54), (72.5, 90, 81), 1.5)  # of the right side
_CEREBELLUM = Block((-2.5, -82, -76), (60, -4, -12), 1.25)
_CORE = Block((-5, -64, -34), (45, 50, 36), 1.25)
_STEM = Block((-35, -60, -90), (35, 40, 15), 1.75)
_TEMPORAL, _THALAMUS, _PUTAMEN, _FACE = turned(-8, 0), turned(-28, 2), turned(-14, 2), turned(12, 0)


@dataclass(frozen=True, eq=False)
class Person:
    """What makes a head an individual's.

    Parameters
    ----------
    scale : (3,) size relative to the average.
    shape : three channels; how far points are moved, in units of 3 mm.
    folds : sheets that place gyri and sulci.
    rough, fine : blobs of 25 and 8 mm: thickness of bone, fat and cortex, depth of sulci, the face.
    ventricles : mm by which the ventricles are wider than the average.
    """

    scale: NDArray[np.float32]
    shape: Noise
    folds: Noise
    rough: Noise
    fine: Noise
    ventricles: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> Person:
        """Anybody."""
        scale = (1 + 0.03 * rng.standard_normal(3)).astype(np.float32)
        return cls(scale, smooth_noise(rng, 90, 3), stripes(rng, FOLD), smooth_noise(rng, 25), smooth_noise(rng, 8),
                   float(np.clip(0.6 * rng.standard_normal(), -1, 1.5)))

    def place(self, block: Block) -> NDArray[np.float32]:
        """Where the nodes of a block lie in the average head, (3, n0, n1, n2) mm."""
        place = 3 * self.shape.along(block.axes())
        for axis, nodes in enumerate(block.nodes()):
            place[axis] += nodes / self.scale[axis]
        return place


def head_anatomy(rng: np.random.Generator) -> Anatomy:
    """A person's head."""
    person = Person.random(rng)
    return Anatomy((*_outer(person), *_brain(person)))


# -------------------------------------------------------------------- outside the brain
def _outer(person: Person) -> Iterator[Layer]:
    x, y, z = _WHOLE.axes()
    rough, fine = person.rough.along((x, y, z))[0], person.fine.along((x, y, 0.4 * z))[0]
    p = _half(person.place(_WHOLE))
    inner = _cavity(p)
    thickness = 6.2 + 0.8 * rough + 1.2 * np.clip(-p[1] / 80, 0, 1)
    skin = join(join(inner + thickness + 5.5 + 0.5 * rough, _face(p), 22), _neck(p), 30)
    yield _WHOLE.layer(skin, (0, L.SCALP), (1.8, L.FAT), (5.0, L.MUSCLE))
    yield _WHOLE.layer(np.minimum(fine - 1.0, (skin - 6) / 4), (0, L.FAT))
    yield from _face_layers(person)
    yield _WHOLE.layer(inner / thickness, (-1, L.SKULL), (-0.70, L.DIPLOE), (-0.34, L.SKULL), (0, L.CSF))
    p = _half(person.place(_FACIAL))
    yield _FACIAL.layer(tube(p, ((0, -26, -62, 8), (0, -36, -84, 8.5), (0, -42, -150, 8))), (0, L.CSF))
    yield _FACIAL.layer(tube(p, ((0, -24, -70, 6), (0, -35, -84, 5), (0, -42, -150, 4.6))), (0, L.CORD))


def _face(p: NDArray) -> Depth:
    face = ellipsoid(p, (0, 46, -64), (60, 50, 66), _FACE)
    jaw = ellipsoid(p, (0, 64, -106), (44, 34, 26))
    nose = rod(p, (0, 84, -26, 6), (0, 100, -62, 9))
    return join(join(face, jaw, 20), nose, 10)


def _neck(p: NDArray) -> Depth:
    return cut(ellipsoid(p, (0, -14, -150), (58, 64, 400)), -p[2] - 40, 20)


def _face_layers(person: Person) -> Iterator[Layer]:
    x, y, z = _FACIAL.axes()
    rough, fine = person.rough.along((x, y, z))[0], person.fine.along((x, y, 0.4 * z))[0]
    for label, depth in _face_parts(_half(person.place(_FACIAL)), fine, rough):
        yield _FACIAL.layer(depth, (0, label))


def _face_parts(p: NDArray, fine: Depth, rough: Depth) -> Iterator[tuple[int, Depth]]:
    """Labels and depths below the skin of face and neck."""
    yield L.SKULL, cut(ellipsoid(p, (0, 50, -62), (49, 38, 34)) + 2 * fine, -ellipsoid(p, (0, 46, -66), (42, 35, 30)), 1)
    yield L.SKULL, cut(ellipsoid(p, (0, 60, -102), (44, 32, 17)), -ellipsoid(p, (0, 50, -102), (36, 33, 40)), 2)
    yield L.FAT, ellipsoid(p, (31, 60, -37), (19, 28, 18))
    yield L.MUSCLE, 1.6 - np.abs(ellipsoid(p, (27, 50, -37), (14, 30, 13)))
    yield L.EYE, ellipsoid(p, (31, 75, -37), (12.2, 12.2, 12.2))
    yield L.LENS, ellipsoid(p, (31, 84.5, -37), (4.8, 2.6, 4.8))
    yield L.AIR, ellipsoid(p, (25, 60, -64), (13, 16, 15)) + 1.5 * rough
    yield L.AIR, cut(ellipsoid(p, (0, 64, -56), (13, 32, 22)), p[0] - 1.5, 1) - 3 * np.abs(fine)
    yield L.AIR, ellipsoid(p, (0, 36, -34), (14, 12, 8)) + 1.5 * rough
    yield L.AIR, tube(p, ((0, 30, -62, 7), (0, 20, -92, 6), (0, 16, -150, 8)), 3)
    yield L.SKULL, rod(p, (0, -20, -80, 18), (0, -24, -150, 17))
    yield L.DIPLOE, cut(rod(p, (0, -18, -80, 15.5), (0, -22, -150, 15)), 7.5 - np.abs((p[2] + 92) % 18 - 9), 1)
    yield L.DISC, cut(rod(p, (0, -18, -80, 15.5), (0, -22, -150, 15)), np.abs((p[2] + 92) % 18 - 9) - 7, 1)


# -------------------------------------------------------------------- the brain
def _brain(person: Person) -> Iterator[Layer]:
    for side in (-1, 1):
        yield _cortex(person, side)
        yield _cerebellum(person, side)
    stem = _half(person.place(_STEM))
    yield _STEM.layer(_stem(stem), (0, L.BRAINSTEM))
    for side in (-1, 1):
        block, p = _side(person, _CORE, side)
        for label, depth in _nuclei(p, person.ventricles):
            yield block.layer(depth, (0, _sided(label, side)))
    yield _STEM.layer(ellipsoid(stem, (0, 2, -5), (2.2 + 0.7 * person.ventricles, 14, 11)), (0, L.THIRD_VENTRICLE))
    yield _STEM.layer(ellipsoid(stem, (0, -27, -40), (6, 6, 11)), (0, L.FOURTH_VENTRICLE))


def _side(person: Person, right: Block, side: int) -> tuple[Block, NDArray]:
    """A block on one side (-1 left, 1 right), and its nodes laid on the right half of the average head."""
    block = right if side > 0 else right.mirrored()
    place = person.place(block)
    place[0] *= side
    return block, place


def _cortex(person: Person, side: int) -> Layer:
    """The cortex and white matter of one hemisphere; values are 0 at the outer and 1 at the inner surface of the cortex.

    White matter blades run along the ridges of the folds on the hull; the grey matter is what lies within its
    thickness of the white. `folds` are read at the nearest point of the hull, which makes sulci as deep as they are.
    """
    block, p = _side(person, _CEREBRUM, side)
    x, y, z = block.axes()
    depth, smooth = _hemisphere(p)
    on_hull = block.nodes() + np.maximum(0.8 * smooth, 0) * _outward(smooth)
    on_hull += 1.5 * person.shape.along((4 * x, 4 * y, 4 * z))
    across = person.folds(on_hull)[0] * np.float32(FOLD / 2)  # mm from the gyrus' middle
    rough = person.rough.along((x, y, z))[0]
    thick, floor = THICK + 0.25 * rough, 16 + 4 * rough
    blade = cut(2.3 + 0.07 * depth - across, depth - thick + 0.5, 1.5)
    core = np.maximum(depth - floor - thick, ellipsoid(p, (12, 3, 4), (32, 38, 17)))
    white = ndimage.gaussian_filter(join(blade, core, 3.0), 0.5)
    grey = np.maximum(1 + _distance(white) * _CEREBRUM.pitch / thick, np.minimum(FOLD / 2 - 1.5 - across, 0.9))
    sulcus = (FOLD / 2 - 0.5 - across) + np.maximum(depth - floor, 0)
    values = np.minimum(grey, np.minimum(sulcus, depth + 0.3))
    return block.layer(values, (0, _sided(L.LEFT_CORTEX, side)), (1, _sided(L.LEFT_WHITE_MATTER, side)))


def _distance(depth: Depth) -> Depth:
    """Signed distance to the zero level of values on a lattice, in nodes (inside positive)."""
    inside = depth > 0
    distance = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    return ndimage.gaussian_filter((distance - 0.5 * np.sign(distance)).astype(np.float32), 0.6)


def _hemisphere(p: NDArray) -> tuple[Depth, Depth]:
    """Depth under the hull of one half of the cerebrum (x > 0), and the same with rounded edges."""
    hull = join(_vault(p), _temporal(p), 5)
    core = ellipsoid(p, (0, 3, 3), (60, 41, 22))
    midline = join(p[0] - 0.8, core, 3)
    height = p[2] + 6 - 0.28 * (p[1] - 15)  # above the Sylvian fissure, which rises to the back
    fissure = np.maximum(np.abs(height) - 0.8, np.maximum(38 - p[0], np.abs(p[1] - 10) - 34))
    tentorium = -_cerebellar_hull(p) - 1.5
    depth = np.minimum(np.minimum(hull, midline), np.minimum(fissure, tentorium))
    return depth, cut(cut(hull, midline, 14), cut(fissure, tentorium, 14), 14)


def _outward(depth: Depth) -> NDArray[np.float32]:
    """Unit direction in which the depth falls fastest, (3, ...)."""
    slope = -np.stack(np.gradient(ndimage.gaussian_filter(depth, 1.5)))
    return slope / np.maximum(length(slope), np.float32(0.3))


def _cerebellum(person: Person, side: int) -> Layer:
    """One half of the cerebellum, values as in `_cortex`; its folia fan out from the peduncles."""
    block, p = _side(person, _CEREBELLUM, side)
    depth = np.minimum(_cerebellar_hull(p), p[0] + 0.2)
    angle = np.arctan2(p[2] + 40, -(p[1] + 14))
    wave = person.rough.along(block.axes())[0]
    ripple, coarse = np.cos(angle * 30 + wave), np.cos(angle * 10 + 0.8 * wave)
    blade = cut(1.2 * coarse - 0.5 + 0.08 * depth, depth - 3.2 + 0.6 * ripple, 1.0)
    white = join(blade, depth - 12 + 2 * coarse, 2.0)
    grey = depth - 0.5 + 0.6 * ripple + 4 * np.minimum(coarse + 0.8, 0)
    values = np.minimum(1 + white / 8, np.where(white > 0, 2, np.minimum(grey, 1)))
    return block.layer(values, (0, _sided(L.LEFT_CEREBELLUM_CORTEX, side)), (1, _sided(L.LEFT_CEREBELLUM_WHITE_MATTER, side)))


def _nuclei(p: NDArray, wider: float) -> Iterator[tuple[int, Depth]]:
    """Labels and depths of what lies in the middle of one half (x > 0)."""
    yield L.LEFT_PUTAMEN, ellipsoid(p, (26.5, 14, 0), (5, 17, 10.5), _PUTAMEN)
    yield L.LEFT_PALLIDUM, ellipsoid(p, (21, 10, -1.5), (5, 9.5, 7), _PUTAMEN)
    yield L.LEFT_CAUDATE, tube(p, ((13, 29, 2, 5.2), (15, 18, 11, 4.4), (18, 2, 17, 3.2), (22, -14, 16, 2.4)), 3)
    yield L.LEFT_THALAMUS, ellipsoid(p, (11.5, -2, 2), (8.8, 15.5, 9.3), _THALAMUS)
    yield L.LEFT_AMYGDALA, ellipsoid(p, (23, 20, -20), (7, 7, 6.5))
    yield L.LEFT_HIPPOCAMPUS, tube(p, ((26, 12, -22, 5.2), (28, -3, -20, 4.2), (26, -18, -13, 3.4), (21, -26, -4, 2.4)), 3)
    yield L.LEFT_LATERAL_VENTRICLE, _ventricle(p, wider)


def _ventricle(p: NDArray, wider: float) -> Depth:
    """Lateral ventricle: frontal horn, body and atrium; occipital horn; temporal horn."""
    body = tube(p, ((8, 36, 2, 3.2), (6.8, 22, 10, 4.9), (8.5, 0, 16, 4.6), (15, -18, 13, 5.2), (23, -31, 3, 6.2)), 4)
    occipital = tube(p, ((23, -31, 3, 5.8), (21, -42, 1, 3.8), (19, -55, 0, 1.3)), 3)
    temporal = tube(p, ((23, -31, 3, 5.8), (33, -16, -12, 2.4), (33, 8, -17, 1.8)), 3)
    return np.maximum(cut(np.maximum(body, occipital) + wider, p[0] - 1.2, 1), temporal + 0.4 * wider)


# -------------------------------------------------------------------- hulls, of the half with x > 0
def _half(place: NDArray) -> NDArray[np.float32]:
    """Both halves laid on the right one."""
    return np.concatenate([np.abs(place[:1]), place[1:]])


def _cavity(p: NDArray) -> Depth:
    """Depth inside the skull."""
    fossa = join(_cerebellar_hull(p), ellipsoid(p, (0, -37, -26), (48, 43, 41)), 12)
    return join(join(join(_vault(p), _temporal(p), 20), fossa, 20), _stem(p) - 2, 14) + 1.0


def _vault(p: NDArray) -> Depth:
    """Both hemispheres without the temporal lobes: egg-shaped, flatter below, narrower in front."""
    q = p.copy()
    q[2] += 0.6 * np.minimum(q[2] - 8, 0)
    q[0] *= 1 + 0.0005 * (q[1] + 8)
    return ellipsoid(q, (0, -2, 8), (64, 80, 59))


def _temporal(p: NDArray) -> Depth:
    return ellipsoid(p, (42, 5, -23), (20, 39, 20), _TEMPORAL)


def _cerebellar_hull(p: NDArray) -> Depth:
    return join(ellipsoid(p, (24, -43, -44), (30, 31, 23)), ellipsoid(p, (0, -45, -41), (12, 25, 24)), 8)


def _stem(p: NDArray) -> Depth:
    stem = tube(p, ((0, -4, -9, 11), (0, -7, -18, 10.5), (0, -8, -36, 12.5), (0, -19, -58, 7.5), (0, -24, -75, 6.0)), 6)
    return join(stem, rod(p, (4, -12, -36, 8), (22, -30, -42, 6)), 5)  # with the middle peduncles


def _sided(label: int, side: int) -> int:
    """The label of the same structure on one side: -1 left, 1 right."""
    return label if side < 0 else L[L(label).name.replace("LEFT", "RIGHT")]
