"""A chest that differs by seed: wall with ribs and spine, lungs with their vessels, heart, great vessels, liver dome.

World mm: the origin lies amid the ribcage at the height of the lung roots, x to the right, y anterior, z superior.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .labels import ThoraxLabel as L
from .layers import Anatomy, Block, Lattice, Layer
from .noise import Noise, smooth_noise
from .solids import Depth, cut, ellipsoid, join, length, rod, tube, turned

_WHOLE = Block((-225, -150, -190), (225, 150, 190), 4.0)
_WALL = Block((-155, -125, -135), (155, 110, 140), 2.5)
_SPINE = Block((-50, -140, -190), (50, -40, 190), 2.5)
_LUNG = Block((0, -90, -125), (130, 90, 135), 2.5)
_HEART = Block((-110, -70, -190), (75, 90, 160), 2.5)
_BELLY = Block((-135, -95, -190), (135, 95, -10), 3.0)
_TILT = turned(-35, 2) @ turned(30, 1)
_LOBES = ((0.7, 0.5, 1.2), (0.7, -0.5, 1.0), (1.1, 0.8, 0.1), (1.0, 0.5, -0.8), (0.7, -0.9, -0.5), (0.7, -0.7, -1.4), (0.9, 0.1, 0.6))
_AORTA = ((-2, 14, -22, 14), (8, 18, 20, 14), (0, 4, 46, 13), (-17, -26, 46, 12),
          (-24, -42, 18, 11.5), (-22, -38, -60, 11), (-12, -32, -190, 10))
_RIB = 27.0  # mm from rib to rib


@dataclass(frozen=True, eq=False)
class Person:
    """What makes a chest an individual's: size, outline (in units of 6 mm), blobs of 40 mm, branching of the vessels."""

    scale: NDArray[np.float32]
    shape: Noise
    rough: Noise
    rng: np.random.Generator

    def place(self, block: Block) -> NDArray[np.float32]:
        """Where the nodes of a block lie in the average chest, (3, n0, n1, n2) mm."""
        place = 6 * self.shape.along(block.axes())
        for axis, nodes in enumerate(block.nodes()):
            place[axis] += nodes / self.scale[axis]
        return place


def thorax_anatomy(rng: np.random.Generator) -> Anatomy:
    """A person's chest, breathed out."""
    scale = (1 + 0.04 * rng.standard_normal(3)).astype(np.float32)
    person = Person(scale, smooth_noise(rng, 160, 3), smooth_noise(rng, 40), rng)
    return Anatomy((*_wall(person), *_belly(person), *_lungs(person), *_heart(person), *_spine(person)))


# -------------------------------------------------------------------- wall
def _wall(person: Person) -> Iterator[Layer]:
    p, rough = person.place(_WHOLE), person.rough.along(_WHOLE.axes())[0]
    skin = _body(p)
    yield _WHOLE.layer(skin, (0, L.SKIN), (2.5, L.FAT))
    yield _WHOLE.layer(skin - 13 - 5 * rough, (0, L.MUSCLE))
    yield _WHOLE.layer(cut(2.2 - np.abs(_cage(p) + 22), skin - 16, 3), (0, L.FAT))  # between the muscles of the wall
    yield _WHOLE.layer(_cage(p) + 1, (0, L.FAT), (3, L.MEDIASTINUM))
    p = person.place(_WALL)
    cage = _cage(p)
    for label, depth in _bones(np.concatenate([np.abs(p[:1]), p[1:]]), cage):
        yield _WALL.layer(depth, (0, label), *(((0.55, L.MARROW),) if label == L.RIB else ((3, L.MARROW),) if label == L.STERNUM else ()))


def _body(p: NDArray) -> Depth:
    q = p.copy()
    q[2] = np.maximum(p[2] - 40, 0)
    trunk = ellipsoid(q, (0, -4, 0), (168, 116, 170))
    shoulders = rod(p, (-150, -18, 112, 52), (150, -18, 112, 52))
    return join(join(trunk, shoulders, 60), rod(p, (0, -12, 100, 62), (0, -5, 260, 60)), 50)


def _cage(p: NDArray) -> Depth:
    """Depth in the cavity that the ribs enclose."""
    q = p.copy()
    q[2] = np.maximum(p[2] + 30, 0)
    q[0] *= 1 - 0.0006 * np.minimum(p[1], 0)  # narrower at the back
    return ellipsoid(q, (0, 0, 0), (131, 86, 165))


def _bones(p: NDArray, cage: Depth) -> Iterator[tuple[int, Depth]]:
    """Labels and depths of ribs, their cartilage, sternum, shoulder blades, collar bones; x > 0 stands for both sides."""
    from_rib = np.abs((p[2] + 0.42 * p[1] + 0.5 * _RIB) % _RIB - 0.5 * _RIB)
    rib = 1 - ((cage + 7) / 4.6) ** 2 - (from_rib / 7.5) ** 2
    rib = np.minimum(rib, np.minimum(p[2] + 0.6 * p[1] + 125, 125 - p[2]) / 8)
    front = np.where(p[1] > 0, p[0] - 52, 50)
    yield L.CARTILAGE, np.minimum(rib, (p[0] - 14) / 5)
    yield L.RIB, np.minimum(rib, front / 5)
    yield L.STERNUM, np.minimum(cut(5.5 - np.abs(cage + 7), 19 - p[0], 2), np.minimum(cut(p[2] + 55, 88 - p[2], 5), p[1]))
    yield L.SCAPULA, np.minimum(3.2 - np.abs(cage + 24), 0.4 * ellipsoid(p, (92, -70, 52), (42, 50, 62)))
    yield L.CLAVICLE, tube(p, ((18, 58, 108, 7), (70, 46, 122, 5.5), (140, -10, 128, 6.5)), 3)


def _spine(person: Person) -> Iterator[Layer]:
    p = person.place(_SPINE)
    under = _body(p) - 6
    p = np.stack([np.abs(p[0]), p[1] - 10 + 0.0007 * (p[2] - 20) ** 2, p[2]])
    level = np.abs(p[2] % 28 - 14)  # 0 amid a vertebra, 14 amid a disc
    body = 17.5 - np.hypot(p[0], 1.15 * (p[1] + 62)) - 0.06 * (14 - level)
    arch = cut(15 - np.hypot(p[0], p[1] + 88), 10 - level, 2)
    spinous = cut(4 - p[0], cut(16 - np.abs(p[1] + 112), 8 - np.abs(level + 0.3 * (p[1] + 112)), 2), 2)
    across = 5.5 - length(np.stack([0.06 * p[0], p[1] + 0.35 * p[0] + 78, level - 2])) - np.maximum(p[0] - 36, 0)
    yield _SPINE.layer(body, (0, L.DISC))
    yield _SPINE.layer(cut(body, 10.8 - level, 1), (0, L.VERTEBRA), (2, L.MARROW))
    yield _SPINE.layer(np.minimum(np.maximum(np.maximum(arch, spinous), across), under), (0, L.VERTEBRA))
    yield _SPINE.layer(9.5 - np.hypot(p[0], p[1] + 88), (0, L.FAT), (2, L.CORD))


# -------------------------------------------------------------------- lungs
def _lungs(person: Person) -> Iterator[Layer]:
    for side, label in ((-1, L.LEFT_LUNG), (1, L.RIGHT_LUNG)):
        block = _LUNG if side > 0 else _LUNG.mirrored()
        p = person.place(block)
        lung = _lung(p, side)
        yield block.layer(lung, (0, label))
        inside = block.layer(lung, (0, label)).field
        yield block.layer(np.minimum(_tree(person.rng, block, inside, side), lung), (0, L.VESSEL))
        yield block.layer(np.minimum(_bronchi(p), lung + 12), (0, L.AIRWAY))


def _lung(p: NDArray, side: int) -> Depth:
    """Depth in one lung: the cage above the diaphragm, beside the mediastinum and the spine."""
    middle = tube(p, ((0, -28, -180, 30), (0, -22, -20, 27), (0, -12, 60, 27), (0, -5, 150, 34)), 10)
    middle = join(join(middle, _pericardium(p) + 3, 12), ellipsoid(p, (0, 75, 0), (14, 40, 150)), 8)
    spine = 26 - np.hypot(p[0], p[1] + 70)
    floor = 0.75 * (p[2] - _diaphragm(p, side))
    return cut(cut(_cage(p) - 2.5, -np.maximum(middle, spine), 8), floor, 6)


def _diaphragm(p: NDArray, side: int) -> Depth:
    """Height of the diaphragm, mm."""
    return (-42 if side > 0 else -56) - 0.011 * (np.abs(p[0]) - 58) ** 2 - np.where(p[1] < 0, 0.0115, 0.006) * (p[1] - 8) ** 2


def _bronchi(p: NDArray) -> Depth:
    side = np.abs(p[0])
    q = np.stack([side, p[1], p[2]])
    return tube(q, ((0, -20, 42, 8), (26, -20, 22, 7), (44, -22, 6, 4.5), (58, -34, -26, 3)), 2)


def _tree(rng: np.random.Generator, block: Block, lung: Lattice, side: int) -> Depth:
    """Depth in the vessels of one lung: a trunk from its root that forks until it meets the pleura."""
    nodes = block.nodes()
    depth = np.full(nodes.shape[1:], -4, np.float32)
    root = np.array([34.0 * side, -14, 8])  # of the lung
    twigs = [(root, _unit(np.array([side * a, b, c])), 28.0, 5.2) for a, b, c in
             _LOBES]
    while twigs:
        start, heading, span, radius = twigs.pop()
        for part in (1.1, 0.8, 0.5):
            stop = start + heading * span * part
            if lung(stop[:, None].astype(np.float32))[0] > 1:
                break
        else:
            continue
        _stamp(depth, nodes, block, np.array([*start, radius]), np.array([*stop, 0.86 * radius]))
        if radius > 1.5:
            side_way = _unit(np.cross(heading, rng.standard_normal(3)))
            for way in (0.5, -0.75):
                twist = rng.uniform(0.7, 1.3) * way * side_way + 0.15 * rng.standard_normal(3)
                twigs.append((stop, _unit(heading + twist), 0.86 * span, 0.84 * radius))
    return depth


def _stamp(depth: Depth, nodes: NDArray, block: Block, start: NDArray, stop: NDArray) -> None:
    """Add a rod (x, y, z, radius at both ends) to a depth, touching only the nodes around it."""
    low = np.minimum(start, stop)[:3] - start[3] - 4 - np.asarray(block.low)
    high = np.maximum(start, stop)[:3] + start[3] + 4 - np.asarray(block.low)
    where = tuple(slice(max(int(a / block.pitch), 0), max(int(b / block.pitch) + 2, 0)) for a, b in zip(low, high, strict=True))
    np.maximum(depth[where], rod(nodes[(slice(None), *where)], start, stop), out=depth[where])


def _unit(vector: NDArray) -> NDArray[np.float64]:
    return vector / np.linalg.norm(vector)


# -------------------------------------------------------------------- heart, belly
def _heart(person: Person) -> Iterator[Layer]:
    p = person.place(_HEART)
    left = ellipsoid(p, (-42, 14, -54), (30, 30, 45), _TILT)
    muscle = np.maximum(left, ellipsoid(p, (-14, 38, -54), (36, 22, 40), _TILT))
    yield _HEART.layer(join(muscle, ellipsoid(p, (4, 0, -30), (38, 28, 30)), 4), (0, L.MYOCARDIUM))
    yield _HEART.layer(np.minimum(ellipsoid(p, (-13, 39, -53), (32, 18, 36), _TILT), -left - 1), (0, L.BLOOD))
    yield _HEART.layer(ellipsoid(p, (-42, 14, -54), (19, 19, 33), _TILT), (0, L.BLOOD))
    yield _HEART.layer(ellipsoid(p, (-8, -8, -25), (28, 17, 20)), (0, L.BLOOD))
    yield _HEART.layer(np.minimum(ellipsoid(p, (27, 14, -36), (19, 22, 28)), -left - 3), (0, L.BLOOD))
    yield _HEART.layer(tube(p, ((-12, 36, -22, 12), (-16, 14, 12, 12), (-22, -4, 14, 11), (-46, -12, 10, 7)), 3), (0, L.VESSEL))
    yield _HEART.layer(tube(p, ((-16, 12, 12, 11), (10, -4, 10, 10), (44, -10, 8, 7)), 3), (0, L.VESSEL))
    yield _HEART.layer(tube(p, ((25, 14, -30, 9), (23, 12, 70, 8.5), (12, 10, 160, 7)), 3), (0, L.VESSEL))
    yield _HEART.layer(tube(p, _AORTA, 4), (0, L.AORTA))
    yield _HEART.layer(tube(p, ((0, -12, 160, 8.5), (0, -20, 40, 8.5)), 2), (0, L.AIRWAY))


def _pericardium(p: NDArray) -> Depth:
    return join(ellipsoid(p, (-30, 24, -52), (50, 42, 46), _TILT), ellipsoid(p, (4, 4, -28), (42, 36, 40)), 10)


def _belly(person: Person) -> Iterator[Layer]:
    p = person.place(_BELLY)
    under = cut(_cage(p) - 4, np.where(p[0] > 0, _diaphragm(p, 1), _diaphragm(p, -1)) - p[2] - 3, 4)
    organs = np.minimum(under, -(24 - np.hypot(p[0], p[1] + 66)))
    liver = np.minimum(organs, ellipsoid(p, (62, 6, -112), (92, 86, 82)))
    yield _BELLY.layer(liver, (0, L.LIVER))
    first, second = (person.rough.along([s * a for a in _BELLY.axes()])[0] for s in (1.0, 1.27))
    yield _BELLY.layer(np.minimum(3.5 - 22 * np.hypot(first, second), liver - 5), (0, L.LIVER_VESSEL))
    yield _BELLY.layer(np.minimum(organs, ellipsoid(p, (-58, 28, -112), (42, 40, 50))), (0, L.STOMACH))
    yield _BELLY.layer(np.minimum(organs, ellipsoid(p, (-98, -38, -110), (24, 36, 44))), (0, L.SPLEEN))
