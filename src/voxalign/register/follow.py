"""Many frames against one fixed image: what depends on the fixed image alone is computed once.

Inverse compositional Gauss-Newton (Baker and Matthews 2004, doi:10.1023/B:VISI.0000011205.11775.fd): the slopes are those of the fixed
image, so that a step needs only the frame's values at some thousand points where the fixed image has edges. Gain and offset of the
intensities are fitted along, and voxels that do not fit (flow, swallowing, signal changes) lose their weight.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Image, InputError, Transform, arrays, kernels
from ..core.errors import choose
from ..core.smoothing import slope, smooth
from ..filters.normalise import robust_range
from ..transforms import Rigid, generators
from ..transforms.linear import Linear
from .linear import MODELS
from .prepare import Scaled

FRAME_MODELS: dict[str, type[Linear]] = {"in-plane": Rigid, **MODELS}
_FEW_SLICES = 8  # along the shortest axis; with fewer, only motion within the slices can be told
_MOST_VOXELS = 300_000  # of the finest level
_MOST_POINTS = 20_000  # of a level: those with the steepest slopes
_COARSEST = 16  # voxels along the longest side
_BLUR = 0.8  # voxels: what linear interpolation needs to be smooth in the position
_AROUND = 4.0  # voxels: means and spreads of such neighbourhoods are taken out, and shading and slow changes of contrast with them
_FLAT = 2.5e-2  # variance, in parts of the squared range, of a neighbourhood that counts half: well above that of noise in a frame
_STEPS = 25
_TOLERANCE = 2e-3  # voxels: a step that would move no corner farther is not taken
_WORSE = 0.98  # part of the best confidence that steps may fall to before they count as astray
_SPREAD = 2.5  # residuals of so many standard deviations have a weight of 1/2
_OUTSIDE = np.float32(-1e30)


@dataclass(frozen=True, eq=False)
class Fit:
    """Where a frame lies.

    Parameters
    ----------
    transform : fixed points -> points of the frame, mm.
    confidence : 0 to 1: correlation of the frame with the fixed image where that has edges, times the part of them it shows.
    """

    transform: Linear
    confidence: float


@dataclass(frozen=True, eq=False)
class _Level:
    """The fixed image at one resolution, as a list of points with steep slopes.

    Parameters
    ----------
    points : (N, D) mm.
    columns : (N, P + 2): what a small update of each parameter changes, the value, and 1.
    """

    grid: Grid
    points: NDArray[np.float64]
    columns: NDArray[np.float32]


class Anchor:
    """A fixed image that many frames are aligned to.

    Parameters
    ----------
    fixed : one channel; its mask says which points are looked at.
    model : ``in-plane`` (rigid within the slices), ``rigid``, ``similarity`` or ``affine``.

    Raises
    ------
    UsageError : unknown model.  InputError : nothing counts, or no edges.
    """

    def __init__(self, fixed: Image, model: str = "rigid") -> None:
        family = FRAME_MODELS[choose(model, FRAME_MODELS, "model of motion")]
        self.grid, self.free = fixed.grid, free_motions(model, fixed.grid)
        self.start = family.identity(fixed.dim, fixed.grid.centre)
        self.low, self.high = robust_range(fixed.array.ravel() if fixed.mask is None else fixed.array[fixed.mask])
        self.spacings = _spacings(fixed.grid)
        scaled = self._scaled(fixed)
        self.levels = [self._level(scaled.at(spacing)) for spacing in self.spacings]

    def fit(self, frame: Image, start: Linear | None = None) -> Fit:
        """Align ``frame``, from ``start`` (fixed -> frame; the identity if None), coarse to fine."""
        scaled = self._scaled(frame)
        fit = Fit(start or self.start, 0.0)
        for spacing, level in zip(self.spacings, self.levels, strict=True):
            fit = self._improve(level, _even(scaled.at(spacing)), fit.transform)
        return fit

    def agreement(self, frame: Image, transform: Transform) -> float:
        """The confidence (see `Fit`) that any map of fixed points to points of ``frame`` deserves."""
        level, shown = self.levels[-1], _even(self._scaled(frame).at(self.spacings[-1]))
        return _agreement(level.columns[:, -2], *_read_at(shown, shown.grid.index(transform(level.points))))

    def _improve(self, level: _Level, frame: Scaled, transform: Linear) -> Fit:
        """Steps at one level, as long as they lead somewhere."""
        best, corners, weights = Fit(transform, 0.0), self.grid.corners(), None
        for _ in range(_STEPS):
            values, inside = _read(frame, transform, level.points)
            confidence = _agreement(level.columns[:, -2], values, inside)
            if confidence < _WORSE * best.confidence:
                break
            best = Fit(transform, confidence)
            update, weights = _solved(level.columns, values, inside if weights is None else weights * inside)
            moved = None if update is None else _retracted(transform, -update @ self.free)
            if moved is None or np.abs(moved(corners) - transform(corners)).max() < _TOLERANCE * level.grid.spacing.min():
                break
            transform = moved
        return best

    def _scaled(self, image: Image) -> Scaled:
        """Intensities in parts of the range of the fixed image."""
        data = (image.array - np.float32(self.low)) * np.float32(1 / max(self.high - self.low, 1e-30))
        return Scaled(arrays.keep(data, image.mask), image.grid, image.mask)

    def _level(self, scaled: Scaled) -> _Level:
        values = _even(scaled)
        slopes = slope(values.data, values.grid, 0.0, values.mask)
        steep = np.square(slopes).sum(0)
        chosen = np.flatnonzero(_steepest(steep))
        if len(chosen) < 10 * len(self.free):
            raise InputError(f"the image to align to has edges at {len(chosen)} voxels only: expected an image with contrast")
        index = np.stack(np.unravel_index(chosen, steep.shape), -1)
        points = values.grid.world(index)
        return _Level(values.grid, points, self._columns(points, slopes.reshape(len(slopes), -1)[:, chosen], values.data.ravel()[chosen]))

    def _columns(self, points: NDArray, slopes: NDArray, values: NDArray) -> NDArray[np.float32]:
        basis = np.tensordot(self.free, generators(type(self.start), self.grid.dim), 1)
        offset = np.concatenate([points - self.start.centre, np.ones((len(points), 1))], 1)
        changes = np.einsum("dn,pdk,nk->np", slopes, basis, offset, optimize=True)
        return np.concatenate([changes, values[:, None], np.ones((len(values), 1))], 1).astype(np.float32)


def suited_model(grid: Grid) -> str:
    """``rigid``, or ``in-plane`` where there are so few slices that no more can be told."""
    return "in-plane" if grid.dim == 3 and min(grid.shape) < _FEW_SLICES else "rigid"


def free_motions(model: str, grid: Grid) -> NDArray[np.float64]:
    """The updates that are allowed, (P', P), as combinations of the family's generators."""
    everything = np.eye(len(generators(FRAME_MODELS[model], grid.dim)))
    if model != "in-plane" or grid.dim == 2:
        return everything
    across = int(np.argmin(grid.shape))
    normal = np.linalg.inv(grid.direction)[across]
    rows = [[*(normal / np.linalg.norm(normal)), 0, 0, 0]]
    return np.array(rows + [[0, 0, 0, *direction] for k, direction in enumerate(grid.direction.T) if k != across])


def _spacings(grid: Grid) -> list[float]:
    """Coarse to fine, halving; the finest has at most `_MOST_VOXELS`."""
    finest = float(grid.spacing.min())
    while np.prod(grid.extent / np.maximum(grid.spacing, finest)) > _MOST_VOXELS:
        finest *= 2 ** (1 / 2)
    levels = max(int(np.log2(max(float(grid.extent.max()) / finest / _COARSEST, 1))), 0)
    return [finest * 2**k for k in reversed(range(levels + 1))]


def _even(level: Scaled) -> Scaled:
    """Blurred a little, minus the mean of the neighbourhood, over its spread.

    The shading of a coil that stays while the body moves costs 0.2 voxels without this, and 0.02 with it (phantom, 3 mm).
    """
    grid, around = level.grid, _AROUND * level.grid.spacing.min()
    data = smooth(level.data[None], grid, _BLUR * grid.spacing, level.mask)
    data -= smooth(data, grid, around, level.mask)
    spread = np.sqrt(smooth(np.square(data), grid, around, level.mask) + np.float32(_FLAT))
    return Scaled((data / spread)[0], grid, level.mask)


def _steepest(steep: NDArray) -> NDArray[np.bool_]:
    """The steepest voxels: at most `_MOST_POINTS`, and none that are nearly flat."""
    enough = max(np.partition(steep.ravel(), -_MOST_POINTS)[-_MOST_POINTS] if steep.size > _MOST_POINTS else 0.0, 1e-3 * float(steep.max()))
    return steep > enough


def _read(frame: Scaled, transform: Linear, points: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`_read_at` where points go."""
    matrix = frame.grid.inverse_affine @ transform.matrix
    return _read_at(frame, points @ matrix[:-1, :-1].T + matrix[:-1, -1])


def _read_at(frame: Scaled, index: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The frame at indices, and 1 where it is defined, both (N,)."""
    values = kernels.sample(frame.data[None], index, outside=float(_OUTSIDE))[0]
    inside = (values > 0.5 * _OUTSIDE).astype(np.float32)
    if frame.mask is not None:
        inside *= kernels.sample(frame.mask[None].astype(np.float32), index)[0] > 0.99
    return values * inside, inside


def _solved(columns: NDArray, values: NDArray, weights: NDArray) -> tuple[NDArray | None, NDArray]:
    """The update in the free parameters, and new weights from what does not fit after it; None where the image does not say."""
    weighted = columns * weights[:, None]
    matrix, right = (weighted.T @ columns).astype(np.float64), (weighted.T @ values).astype(np.float64)
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-20))
    try:
        found = np.linalg.solve(matrix / np.outer(scale, scale) + 1e-9 * np.eye(len(scale)), right / scale) / scale
    except np.linalg.LinAlgError:
        return None, weights
    if not found[-2] > 0.05:  # the frame gets darker where the fixed image gets brighter: nothing to go by
        return None, weights
    residual = values - columns @ found.astype(np.float32)
    spread = 1.4826 * float(np.median(np.abs(residual[weights > 0]))) + 1e-6
    return found[:-2] / found[-2], 1 / (1 + np.square(residual / (_SPREAD * spread)))


def _agreement(fixed: NDArray, values: NDArray, inside: NDArray) -> float:
    """Correlation where both are defined, times how much that is."""
    count = max(float(inside.sum()), 1.0)
    a = (fixed - float(fixed @ inside) / count) * inside
    b = (values - float(values @ inside) / count) * inside
    spread = float(np.sqrt(float(a @ a) * float(b @ b)))
    return float(a @ b) / spread * count / len(inside) if spread > 1e-12 else 0.0


def _retracted(transform: Linear, update: NDArray) -> Linear | None:
    """After an update; None if that is no small step or no map at all."""
    if not np.isfinite(update).all() or np.abs(update[:1]).max() > 1.5:
        return None
    try:
        return transform.retract(update)
    except InputError:
        return None
