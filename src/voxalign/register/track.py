"""Live: frames come one at a time, each gets a transform and a confidence; a target that is lost is said, looked for, and found again."""
from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.fft import irfftn, rfftn
from numpy.typing import NDArray

from ..core import Grid, Identity, Image, InputError, Transform, kernels
from ..core.sample import pull
from ..transforms import Rigid
from .follow import Anchor, Fit, free_motions, suited_model
from .linear import promote
from .prepare import Scaled, scale

_LEAST = 0.35  # confidence below which a target counts as lost, whatever was usual
_USUAL = 0.6  # part of the usual confidence below which it does
_MEMORY = 15  # frames that say what is usual
_COARSE = 32  # voxels across the grid on which a lost target is looked for
_ANGLES = (-40.0, -20.0, 20.0, 40.0)  # degrees about each axis that are tried then
_TRIED = 3  # of the positions found then


@dataclass(frozen=True, eq=False)
class Tracked:
    """What is known after a frame.

    Parameters
    ----------
    transform : fixed points -> points of the frame, mm; of a lost target the last that was good.
    confidence : 0 to 1, see `Fit`.
    lost : whether the target could not be found in this frame: ``transform`` must not be acted on.
    """

    transform: Transform
    confidence: float
    lost: bool


class Trust:
    """Which confidence is usual, and how little of it is too little."""

    def __init__(self) -> None:
        self._usual: deque[float] = deque(maxlen=_MEMORY)

    def keep(self, confidence: float) -> None:
        """Of a frame in which the target was found."""
        self._usual.append(confidence)

    @property
    def limit(self) -> float:
        """The confidence below which the target counts as lost."""
        return max(_LEAST, _USUAL * float(np.median(self._usual))) if self._usual else _LEAST


class Tracker:
    """Follows one target through frames; call it with each.

    Parameters
    ----------
    fixed : the image the target is known from; its mask says what the target is.
    model : of the motion: ``in-plane``, ``rigid``, ``similarity``, ``affine``; None: rigid, in-plane where there are few slices.
    """

    def __init__(self, fixed: Image, model: str | None = None) -> None:
        model = model or suited_model(fixed.grid)
        self.anchor = Anchor(fixed, model)
        self._finder = _Finder(fixed, free_motions("in-plane" if model == "in-plane" else "rigid", fixed.grid))
        self._last, self._trust = self.anchor.start, Trust()
        self.lost = False

    def __call__(self, frame: Image) -> Tracked:
        """Where the target is in ``frame``, which may be on any grid of the same dimension; errors as of `Anchor`.

        Raises
        ------
        InputError : another dimension, several channels.
        """
        check_dim(frame, self.anchor.grid)
        fit = self.anchor.fit(frame, self._last)
        if fit.confidence < self._trust.limit:
            fit = self._found(frame, fit)
        self.lost = fit.confidence < self._trust.limit
        if not self.lost:
            self._last = fit.transform
            self._trust.keep(fit.confidence)
        return Tracked(self._last, fit.confidence, self.lost)

    def _found(self, frame: Image, fit: Fit) -> Fit:
        """The best of what other starts lead to."""
        starts = [self.anchor.start, *(promote(start, type(self._last)) for start in self._finder.starts(frame))]
        return max([fit, *(self.anchor.fit(frame, start) for start in starts)], key=lambda f: f.confidence)


def check_dim(frame: Image, grid: Grid) -> None:
    """Refuse a frame (InputError) of another dimension than the image it is aligned to."""
    if frame.dim != grid.dim:
        raise InputError(f"frame is {frame.dim}-D, expected {grid.dim}-D as the image that frames are aligned to")


class _Finder:
    """Rough positions of the fixed image in a frame, by correlation of coarse images turned by several angles.

    Parameters
    ----------
    free : (P, P') of the rigid motions that are looked for, see `free_motions`.
    """

    def __init__(self, fixed: Image, free: NDArray[np.float64]) -> None:
        coarse = scale(fixed).at(float(fixed.grid.extent.max()) / _COARSE)
        self.grid = _padded(coarse.grid)
        self.spectrum = rfftn(_edges(pull(coarse.data[None], coarse.grid, self.grid, Identity(coarse.grid.dim))[0])).conj()
        shifts = free[:, -fixed.dim:]
        self.along = shifts.T @ shifts  # takes out of a shift what is not looked for
        turns = free[~shifts.any(1)]
        rest = Rigid.identity(fixed.dim, fixed.grid.centre)
        self.poses = [rest, *(rest.retract(np.radians(angle) * turn) for turn in turns for angle in _ANGLES)]

    def starts(self, frame: Image) -> list[Rigid]:
        """The most likely ones, the best first; none in a frame that shows nothing."""
        try:
            level = scale(frame).at(float(self.grid.spacing.min()))
        except InputError:
            return []
        return [pose for _, pose in sorted((self._shifted(level, pose) for pose in self.poses), key=lambda s: -s[0])[:_TRIED]]

    def _shifted(self, frame: Scaled, pose: Rigid) -> tuple[float, Rigid]:
        """The best shift before ``pose``, and how well both fit."""
        edges = _edges(pull(frame.data[None], frame.grid, self.grid, pose)[0])
        score = irfftn(rfftn(edges) * self.spectrum, self.grid.shape, axes=range(edges.ndim))
        shape, peak = np.array(score.shape), np.array(np.unravel_index(int(score.argmax()), score.shape))
        shift = np.eye(self.grid.dim + 1)
        shift[:-1, -1] = self.along @ self.grid.affine[:-1, :-1] @ np.where(peak > shape // 2, peak - shape, peak)
        return float(score.max()) / max(float(np.linalg.norm(edges)), 1e-9), Rigid(pose.matrix @ shift, pose.centre)


def _padded(grid: Grid) -> Grid:
    """Half as wide again, so that a shift does not come back from the other end."""
    room = np.array(grid.shape) // 4
    return grid.crop(-room, grid.shape + room)


def _edges(data: NDArray) -> NDArray[np.float32]:
    """What stands out from its surroundings."""
    return data - kernels.separable(data[None], [kernels.gaussian_weights(2.0, 3.0)] * data.ndim)[0]
