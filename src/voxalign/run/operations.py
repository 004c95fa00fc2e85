"""What a step of a pipeline may be: functions of images, points and transforms, named as in Python.

Positional parameters are values of the pipeline; keywords are settings. Filters and features are operations as they are.
"""
from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..core import Grid, Image, InputError, InputWarning, Points, Transform, compose, displacement, require, resample
from ..features import regions
from ..filters import gaussian
from ..filters.geometry import bounds, cut
from ..judge import Verdict, evaluate, judge, matched
from ..metrics import dice_by_label, hd95_mm, jacobian_determinant
from ..register import Registration
from ..register.constraints import nearest_rigid
from ..register.result import OnStep
from ..transforms import Displacement
from . import api
from .checks import masked
from .process import OPERATIONS, png


class Scores(dict[str, Any]):
    """Numbers by name, units in the names."""


class Judged(Scores):
    """The fields of a `Verdict`, by name."""

    @property
    def verdict(self) -> Verdict:
        """The same as a value."""
        return Verdict(**self)


@dataclass(frozen=True)
class Picture:
    """A picture as the bytes of a PNG file."""

    png: bytes


# -------------------------------------------------------------------- align
def register(fixed: Image, moving: Image, fixed_mask: Image | None = None, moving_mask: Image | None = None,
             start: Transform | None = None, *, on_step: OnStep | None = None, **choices: Any) -> api.Result:
    """Align moving to fixed, by any method, after ``start`` if there is one; settings are the keys of the configuration."""
    return api.register(fixed, moving, fixed_mask=fixed_mask, moving_mask=moving_mask, on_step=on_step,
                        **choices | ({} if start is None else {"initial": start}))


def apply(image: Image, transform: Transform, onto: Image, *, interpolation: str | None = None) -> Image:
    """Bring an image or label map of the transform's moving space onto the grid of ``onto``; labels are not blended."""
    return resample(image, onto.grid, transform, interpolation)


def carry(labels: Image, transform: Transform, onto: Image) -> Image:
    """Bring labels onto the grid of ``onto`` so that each keeps the volume that the transform gives it (to a voxel or two).

    `apply` decides voxel by voxel, by which small outlines lose or gain some percent. Here what a label covers is blurred by a voxel and
    brought along, and its outline drawn at the level that holds the volume. Labels too small for a voxel are lost, with a warning.
    """
    out, strongest = np.zeros(onto.grid.shape, require.labels(labels, "carry").dtype), np.ones(onto.grid.shape, np.float32)
    for name in _names(labels):
        part = _covered(labels, name, transform, onto.grid)
        count = round(float(part.sum(dtype=np.float64)))
        if not count:
            warnings.warn(f"carry: label {name} has no voxel on the other grid: it is too small, or lies outside", InputWarning, 2)
            continue
        part /= np.partition(part, -count, None)[-count]
        out[part >= strongest] = name
        strongest = np.maximum(strongest, part)
    return Image(out, onto.grid, is_label=True)


def push(points: Points, transform: Transform) -> Points:
    """Bring points from the transform's fixed space to its moving space."""
    return Points(transform(points.coordinates), points.names)


def invert(transform: Transform) -> Transform:
    """The inverse: moving to fixed."""
    return transform.inverse()


def join(first: Transform, second: Transform) -> Transform:
    """One transform of two; points go through ``first`` first."""
    return compose([first, second])


def articulate(first: Transform, second: Transform, bones: Image, *, of_first: tuple, of_second: tuple) -> Transform:
    """One map of the motions of two bones: each moves as a whole, what is between them turns gradually (labels of the fixed space).

    Every place follows the nearer bone more, by the squared distances; a relative of polyaffine maps (doi:10.1007/s10851-008-0135-9).
    """
    from scipy import ndimage  # imports slowly

    far = [ndimage.distance_transform_edt(select(bones, only=names).array == 0, bones.grid.spacing) ** 2 for names in (of_first, of_second)]
    share = (far[0] / np.maximum(far[0] + far[1], 1e-9)).astype(np.float32)
    one, other = (displacement(motion, bones.grid) for motion in (first, second))
    return Displacement.from_array((1 - share) * one + share * other, bones.grid)


# -------------------------------------------------------------------- before and after
def within(image: Image, region: Image) -> Image:
    """The image with only those voxels counting that lie in ``region`` (above 0, any grid)."""
    return masked(image, region, "region")


def around(image: Image, region: Image, *, margin: float = 10.0) -> Image:
    """The part of the image within ``margin`` mm of the box that holds ``region`` (labels above 0, any grid).

    Raises
    ------
    InputError : the region is empty, or elsewhere.
    """
    places = region.grid.world(np.argwhere(require.labels(region, "around") > 0))
    reach = require.number(margin, "margin", 0) / image.grid.spacing
    index = image.grid.index(places) if len(places) else np.full((1, image.dim), np.inf)
    start = np.maximum(np.ceil(index.min(0) - reach), 0)
    stop = np.minimum(np.floor(index.max(0) + reach) + 1, image.grid.shape)
    if not (start < stop).all():
        raise InputError("around: the region is empty or lies outside the image; expected labels above 0 in the image's field of view")
    return cut(image, start.astype(int), stop.astype(int))


def blur_like(image: Image, other: Image, *, again: float = 0.0) -> Image:
    """The image as blurred as ``other`` will be on the image's grid.

    Larger voxels blur, and so does linear interpolation, by a sixth of a squared voxel on average. Where that is not evened out, thin
    layers are broader in the moved image, and a deformation makes what lies between them shrink.

    Parameters
    ----------
    again : how much of such an interpolation, on the image's own grid, a deformation adds after the start: 6 t (1 - t) on average,
        t being the fraction of a voxel that it moves by. About 0.8 for some voxels; 0.35 where a deformation is refined, by 0.07 voxels.
    """
    require.number(again, "again", 0, 1)
    own, theirs = image.grid.spacing**2, (np.linalg.inv(image.grid.direction) @ other.grid.direction) ** 2 @ other.grid.spacing**2
    larger = np.maximum(theirs - own, 0) / (8 * np.log(2))  # a voxel is as wide as its Gaussian at half height
    return gaussian(image, sigma=tuple(np.sqrt(larger + (theirs + again * own) / 6)))


def select(labels: Image, *, only: tuple) -> Image:
    """A label map of some of the labels; all others become 0.

    Raises
    ------
    InputError : no label map, or none of them is in it.
    """
    found = np.isin(require.labels(labels, "select"), np.asarray(only))
    if not found.any():
        raise InputError(f"select: none of the labels {_listed(only)} is in the label map; it holds {_listed(_names(labels))}")
    return labels.with_data(np.where(found, labels.array, 0))


def difference(image: Image, other: Image) -> Image:
    """``image`` minus ``other``, on one grid.

    Raises
    ------
    InputError : they are on two grids, or label maps.
    """
    for each in (image, other):
        require.intensities(each, "difference")
    if not image.grid.is_close(other.grid):
        raise InputError(f"difference: images on two grids, {image.grid} and {other.grid}; bring one onto the other by a step 'do: apply'")
    masks = [each.mask for each in (image, other) if each.mask is not None]
    return Image(image.data - other.data, image.grid, np.logical_and.reduce(masks) if masks else None)


# -------------------------------------------------------------------- evaluate
def scores(transform: Transform, fixed: Image, moving: Image, fixed_labels: Image | None = None, moving_labels: Image | None = None,
           fixed_points: Points | None = None, moving_points: Points | None = None) -> Scores:
    """Folding, smoothness and inverse error of a transform; Dice, HD95 and landmark error before and after, of what is given."""
    labels = None if fixed_labels is None or moving_labels is None else (fixed_labels, moving_labels)
    points = None if fixed_points is None or moving_points is None else matched(fixed_points, moving_points)
    return Scores(evaluate(Registration(transform, fixed.grid, moving.grid), fixed, labels, points))


def verdict(transform: Transform, fixed: Image, moving: Image, fixed_mask: Image | None = None,
            moving_mask: Image | None = None) -> Judged:
    """Whether it worked, judged without ground truth: PASS, CHECK or FAIL, how probable a failure is, and why."""
    images = masked(fixed, fixed_mask, "fixed_mask"), masked(moving, moving_mask, "moving_mask")
    return Judged(asdict(judge(Registration(transform, fixed.grid, moving.grid), *images)))


def volumes(labels: Image) -> Scores:
    """Volume in ml of every label."""
    counts = zip(*np.unique(require.labels(labels, "volumes"), return_counts=True), strict=True)
    return Scores({str(name): float(count) * labels.grid.voxel_volume / 1e3 for name, count in counts if name})


def volume_change(labels: Image, transform: Transform) -> Scores:
    """Volume of every label of the fixed space, of what the transform makes of it, and the change in percent.

    The volume after is the sum of the Jacobian determinant over the label, so that no second outline is needed.
    """
    array = require.labels(labels, "volume_change")
    stretched = jacobian_determinant(transform, labels.grid)
    unit = labels.grid.voxel_volume / 1e3
    return Scores({str(name): _changed(unit * int((array == name).sum()), unit * float(stretched[array == name].sum(dtype=np.float64)))
                   for name in _names(labels)})


def change_map(transform: Transform, onto: Image) -> Image:
    """Change of volume at every voxel, in percent: 20 grew by a fifth, -20 shrank by it."""
    return Image(100 * (jacobian_determinant(transform, onto.grid) - 1), onto.grid)


def shape_agreement(found: Image, expected: Image) -> Scores:
    """Of two label maps on one grid, for every label: distance of the centroids, difference of the volumes, HD95 and Dice."""
    dice, distance = dice_by_label(found, expected), hd95_mm(found, expected)
    ours, theirs = ({region.label: region for region in regions(each)} for each in (found, expected))
    return Scores({str(name): {
        "centroid_mm": float(np.linalg.norm(ours[name].centroid - theirs[name].centroid)),
        "volume_percent": 100 * (ours[name].volume_mm3 / theirs[name].volume_mm3 - 1),
        "hd95_mm": distance[name], "dice": dice[name]} if name in ours and name in theirs else {"dice": dice[name]} for name in dice})


def joint_angle(bones: Image, transform: Transform, *, first: tuple, second: tuple) -> Scores:
    """Angle in degrees by which the bones ``second`` turned against the bones ``first`` (labels of the fixed space).

    Each group is given the rigid motion nearest to the transform.
    """
    turns = [_rotation(bones, transform, names) for names in (first, second)]
    return Scores({"angle_degrees": _degrees(turns[0].T @ turns[1])})


def joint_angle_of(first: Transform, second: Transform, about: Image) -> Scores:
    """Angle in degrees between the rotations of two transforms, each of one bone; ``about`` is an image of their fixed space."""
    points = about.grid.corners()
    turns = [nearest_rigid(points, motion(points)).matrix[:-1, :-1] for motion in (first, second)]
    return Scores({"angle_degrees": _degrees(turns[0].T @ turns[1])})


# -------------------------------------------------------------------- show
def picture(fixed: Image, moving: Image, transform: Transform) -> Picture:
    """Slices of fixed, moving and moved, their checkerboard and what differs."""
    from ..report import Scene, before_and_after  # matplotlib takes a second

    return Picture(png(before_and_after(Scene(fixed, moving, transform))))


def deformation_picture(fixed: Image, moving: Image, transform: Transform) -> Picture:
    """Slices of what the transform does to space: grid, displacement, change of volume."""
    from ..report import Scene, deformation

    return Picture(png(deformation(Scene(fixed, moving, transform))))


STEPS: dict[str, Callable[..., Any]] = OPERATIONS | {function.__name__: function for function in (
    register, apply, carry, push, invert, join, articulate, within, around, blur_like, select, difference,
    scores, verdict, volumes, volume_change, change_map, shape_agreement, joint_angle, joint_angle_of, picture, deformation_picture)}
"""Every operation by its name."""


# -------------------------------------------------------------------- parts
def _names(labels: Image) -> list[int]:
    return [int(name) for name in np.unique(labels.array) if name]


def _listed(names: Sequence[float]) -> str:
    return ", ".join(f"{name:g}" for name in names[:12]) or "nothing"


def _covered(labels: Image, name: int, transform: Transform, grid: Grid) -> np.ndarray:
    """How much of each voxel of ``grid`` a label covers, blurred by the larger voxel of the two grids; (*grid.shape) float32."""
    sigma = np.maximum(labels.grid.spacing, grid.voxel_volume ** (1 / grid.dim))
    start, stop = bounds(labels.array == name)
    room = np.ceil(4 * sigma / labels.grid.spacing).astype(int) + 1
    near = cut(labels, np.maximum(start - room, 0), np.minimum(stop + room, labels.grid.shape))
    whole = Image((near.array == name).astype(np.float32), near.grid)
    return resample(gaussian(whole, sigma=tuple(sigma)), grid, transform).array


def _changed(before: float, after: float) -> dict[str, float]:
    return {"before_ml": before, "after_ml": after, "change_percent": 100 * (after / before - 1)}


def _rotation(bones: Image, transform: Transform, names: tuple) -> np.ndarray:
    """(D, D) of the rigid motion of some labels."""
    points = bones.grid.world(np.argwhere(select(bones, only=names).array > 0))
    return nearest_rigid(points, transform(points)).matrix[:-1, :-1]


def _degrees(rotation: np.ndarray) -> float:
    cosine = (np.trace(rotation) - 1) / 2 if len(rotation) == 3 else rotation[0, 0]
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
