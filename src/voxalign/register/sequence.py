"""Motion over time: every frame of a sequence against one fixed image, linear or deformable, smooth in time where asked."""
from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Image, InputError, Transform, compose, resample
from ..core.kernels import gaussian_weights
from ..transforms import Affine, Displacement
from ..transforms.linear import Linear
from .follow import Anchor, Fit
from .register import register
from .settings import Settings

LEAST = 0.35  # confidence below which a frame counts as not aligned, whatever is usual
USUAL = 0.6  # part of the usual confidence below which it does
_MEAN_ROUNDS = 8  # at most; noisy frames need them, others stop after two
_FEW = 12  # frames of a mean in which the noise of one still matters
_STILL = 0.1  # voxels that no frame may move by in the last of them
HEAD_MM = 50.0  # a point at this distance turns a rotation into mm (Power et al. 2012, doi:10.1016/j.neuroimage.2011.10.018)


@dataclass(frozen=True, eq=False)
class Motion:
    """Linear motion of all frames.

    Parameters
    ----------
    transforms : fixed points -> points of each frame, mm.
    confidence : (T,) 0 to 1, see `Fit`.
    uncertain : (T,) frames that could not be aligned; their transforms are those of their neighbours in time.
    """

    transforms: tuple[Linear, ...]
    confidence: NDArray[np.float64]
    uncertain: NDArray[np.bool_]

    @property
    def parameters(self) -> NDArray[np.float64]:
        """(T, 3) in 2-D: x and y in mm, rotation in degrees; (T, 6) in 3-D: x, y, z, rotations about them.

        Of the nearest rigid motion, at the middle of the fixed grid.
        """
        rows = []
        for transform in self.transforms:
            params = Affine(transform.matrix, transform.centre).nearest_rigid().params
            rows.append([*params[-transform.dim:], *np.degrees(params[:-transform.dim])])
        return np.array(rows)

    @property
    def framewise_displacement(self) -> NDArray[np.float64]:
        """(T,) mm from the frame before: sum of all shifts, and of rotations as arcs at 50 mm; 0 for the first (Power et al. 2012)."""
        steps = np.abs(np.diff(self.parameters, axis=0, prepend=self.parameters[:1]))
        dim = self.transforms[0].dim
        return steps[:, :dim].sum(1) + HEAD_MM * np.radians(steps[:, dim:]).sum(1)


def follow(frames: Iterable[Image], fixed: Image, model: str) -> Iterator[Fit]:
    """Align each frame, starting where the last good one was; see `Anchor` for models and errors."""
    anchor = Anchor(fixed, model)
    start, usual = anchor.start, 0.0
    for frame in frames:
        fit = anchor.fit(frame, start)
        if fit.confidence < max(LEAST, USUAL * usual):
            fit = max(fit, anchor.fit(frame), key=lambda f: f.confidence)
        if fit.confidence >= max(LEAST, USUAL * usual):
            start, usual = fit.transform, max(fit.confidence, 0.9 * usual)
        yield fit


def settled(fits: Iterable[Fit], sigma: float = 0.0) -> Motion:
    """The motion that fits say: frames that could not be aligned take it from their neighbours; smoothed by ``sigma`` frames.

    Raises
    ------
    InputError : no frame could be aligned.
    """
    fits = list(fits)
    confidence = np.array([fit.confidence for fit in fits])
    uncertain = confidence < max(LEAST, USUAL * float(np.median(confidence)))
    if uncertain.all():
        raise InputError("no frame looks like the image they are aligned to: give another one (--fixed), or a mask")
    params, times = np.stack([fit.transform.params for fit in fits]), np.arange(len(fits))
    good = np.flatnonzero(~uncertain)
    params = np.stack([np.interp(times, good, column[good]) for column in params.T], 1)
    if sigma:
        params = np.stack(list(smooth_in_time(params, sigma)))
    model, centre = type(fits[0].transform), fits[0].transform.centre
    kept = uncertain.any() or sigma > 0
    return Motion(tuple(model.from_params(p, centre) if kept else fit.transform for p, fit in zip(params, fits, strict=True)),
                  confidence, uncertain)


def smooth_in_time(values: Iterable[NDArray], sigma: float) -> Iterator[NDArray]:
    """Gaussian means over ``sigma`` values of a sequence of arrays; at the ends of what there is. Holds about 5 sigma of them."""
    weights = gaussian_weights(sigma)
    radius = len(weights) // 2
    window: deque[tuple[int, NDArray]] = deque()
    done, last = 0, -1
    for last, value in enumerate(values):
        window.append((last, value))
        if last - done >= radius:
            yield _weighted(window, done, weights)
            done += 1
            while window[0][0] < done - radius:
                window.popleft()
    while done <= last:
        yield _weighted(window, done, weights)
        done += 1


def _weighted(window: Iterable[tuple[int, NDArray]], at: int, weights: NDArray) -> NDArray:
    radius = len(weights) // 2
    near = [(weights[k - at + radius], value) for k, value in window if abs(k - at) <= radius]
    return sum(w * value for w, value in near) / sum(w for w, _ in near)


def mean_image(frames: Sequence[Image], model: str) -> Image:
    """The mean of frames, aligned: to the middle one first, then to their mean (none is preferred) until nothing moves.

    Of few frames each is aligned to the mean of the others: its own noise in the mean would hold it where it is.

    Errors as of `settled`.
    """
    mean = frames[len(frames) // 2]
    motion = settled(follow(frames, mean, model))
    for _ in range(_MEAN_ROUNDS):
        total = _Total.of(frames, motion, mean)
        before, mean = motion, total.mean(mean)
        motion = settled(follow(frames, mean, model) if len(frames) > _FEW else _apart(frames, motion, total, mean, model))
        if _moved(before, motion, mean.grid.corners()) < _STILL * mean.grid.spacing.min():
            break
    return _Total.of(frames, motion, mean).mean(mean)


def _moved(before: Motion, after: Motion, points: NDArray) -> float:
    """How far, in mm, any point went of any frame that could be aligned."""
    frames = zip(before.transforms, after.transforms, before.uncertain | after.uncertain, strict=True)
    return max((float(np.abs(a(points) - b(points)).max()) for a, b, uncertain in frames if not uncertain), default=0.0)


def _apart(frames: Sequence[Image], motion: Motion, total: _Total, fixed: Image, model: str) -> Iterator[Fit]:
    """Each frame to the mean of the others."""
    for frame, transform, uncertain in zip(frames, motion.transforms, motion.uncertain, strict=True):
        others = total if uncertain else total.without(frame, transform, fixed.grid)
        yield Anchor(others.mean(fixed), model).fit(frame, transform)


@dataclass(frozen=True, eq=False)
class _Total:
    """A sum of frames and how many make it, both (*shape)."""

    data: NDArray[np.float64]
    count: NDArray[np.float64]

    @classmethod
    def of(cls, frames: Iterable[Image], motion: Motion, fixed: Image) -> _Total:
        """Of the frames on the grid of ``fixed``, those that could be aligned, where they are defined."""
        data, count = np.zeros(fixed.grid.shape), np.zeros(fixed.grid.shape)
        for frame, transform, uncertain in zip(frames, motion.transforms, motion.uncertain, strict=True):
            if not uncertain:
                moved = _whole(frame, transform, fixed.grid)
                data += np.where(moved.mask, moved.array, 0)
                count += moved.mask
        return cls(data, count)

    def without(self, frame: Image, transform: Transform, grid: Grid) -> _Total:
        """The sum of the others."""
        moved = _whole(frame, transform, grid)
        return _Total(self.data - np.where(moved.mask, moved.array, 0), self.count - moved.mask)

    def mean(self, fixed: Image) -> Image:
        """The mean, masked where less than half of the frames are; there it shows ``fixed``."""
        mask = self.count > 0.5 * self.count.max()
        data = np.where(mask, self.data / np.maximum(self.count, 1), fixed.array)
        return Image(data.astype(np.float32), fixed.grid, None if mask.all() else mask)


def _whole(frame: Image, transform: Transform, grid: Grid) -> Image:
    """A frame on ``grid``, with a mask that says where it is defined."""
    return resample(frame if frame.mask is not None else frame.with_mask(np.ones(frame.grid.shape, bool)), grid, transform)


def deform(frames: Iterable[Image], fixed: Image, motion: Motion, settings: Settings, sigma: float = 0.0) -> Iterator[Transform]:
    """Fixed points -> points of each frame: the deformation of each after its linear motion, smoothed by ``sigma`` frames.

    Frames that could not be aligned are not deformed. Memory holds the displacements of about 5 sigma frames.
    """
    found: deque[Linear | Transform] = deque()
    grids: list = []

    def displacements() -> Iterator[NDArray]:
        for frame, linear, uncertain in zip(frames, motion.transforms, motion.uncertain, strict=True):
            displacement, after = _split(register(fixed, frame, settings, linear).transform)
            grids[:] = [displacement.field.grid]
            found.append(linear if uncertain else after)
            yield displacement.field.data * np.float32(not uncertain)

    values = displacements()
    for data in smooth_in_time(values, sigma) if sigma else values:
        yield compose([Displacement.from_array(data, grids[0]), found.popleft()])


def _split(transform: Transform) -> tuple[Displacement, Transform]:
    """The displacement a deformable registration ends with, and the linear map it began with."""
    first, *rest = transform.transforms
    return first, compose(rest)
