"""How sure a prediction is at every point, and what in the images moved it."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import Grid, Image, InputError, Transform, compose, resample
from ..core.smoothing import smooth
from ..register.learned import Learned, lattice_of, seen
from ..transforms import Affine, Velocity

Method = Callable[[Image, Image], Transform]
"""Any way to register: fixed and moving image -> fixed mm to moving mm."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """How sure an answer is, and what in the images it stands on.

    Parameters
    ----------
    spread : see `spread_mm`.
    trials : answers that it is made of.
    point : (D,) mm, in fixed space, of which ``shares`` speak.
    shares : what moved it, in the fixed and in the moving image, see `saliency`; None where no network gave the answer.
    """

    spread: Image
    trials: int
    point: NDArray[np.float64] | None = None
    shares: tuple[Image, Image] | None = None


def spread_mm(method: Method, fixed: Image, moving: Image, trials: int = 6, amplitude_mm: float | None = None, seed: int = 0) -> Image:
    """How far a method's answers to one question lie apart, at every voxel of the fixed image, mm.

    The same question is asked of the images as they are, of both mirrored, and of the moving image deformed by known small maps; each
    answer is taken back. Where a method knows, they agree (after Sengupta et al. 2021, arXiv:2102.03892, for optical flow).

    Parameters
    ----------
    trials : answers, the plain one included, at least 2.
    amplitude_mm : of the known maps; by default two voxels of the moving image.

    Returns
    -------
    Image on the fixed grid: root mean square distance of the answers from their mean.

    Raises
    ------
    InputError : fewer than two trials.
    """
    if trials < 2:
        raise InputError(f"{trials} trials: expected at least 2 answers to compare")
    amplitude = 2 * float(moving.grid.spacing.mean()) if amplitude_mm is None else amplitude_mm
    mean, squares = np.zeros((2, *fixed.grid.shape, fixed.dim))
    for number, answer in enumerate(_answers(method, fixed, moving, trials, amplitude, np.random.default_rng(seed)), 1):
        away = answer - mean  # Welford: the answers are not kept
        mean += away / number
        squares += away * (answer - mean)
    return Image(np.sqrt(squares.sum(-1) / trials).astype(np.float32), fixed.grid)


def saliency(network: Learned, fixed: Image, moving: Image, point: ArrayLike, start: Transform | None = None,
             patch_mm: float | None = None, reach: int | None = None) -> tuple[Image, Image]:
    """How much each part of the fixed and of the moving image moved a point, mm along the way it goes.

    Parameters
    ----------
    network : see `register.learned.opened`.
    point : (D,) mm, in fixed space, inside the image.
    start : linear map that came before the prediction (fixed mm -> moving mm).
    patch_mm : None takes integrated gradients; else parts of this edge are covered one after the other, which is slower and surer.
    reach : voxels of the network's grid around the point that are looked at; None takes all.

    Returns
    -------
    For the fixed and for the moving image, on the network's grid (or patches of it), in fixed space.

    Raises
    ------
    InputError : the point lies outside.
    """
    from ..nn.saliency import integrated_gradients, occlusion

    grid = network.inputs.grid(fixed)
    if not grid.contains(np.asarray(point, np.float64)):
        raise InputError(f"point {np.round(point, 2).tolist()} mm lies outside the fixed image; expected world mm, RAS+")
    voxel = np.clip(np.rint(grid.index(point)).astype(int), 0, np.array(grid.shape) - 1)
    if reach is not None:
        low = np.maximum(voxel - reach, 0)
        grid, voxel = grid.crop(low, np.minimum(voxel + reach + 1, grid.shape)), voxel - low
    images = seen(network, fixed, grid), seen(network, moving, grid, start)
    length = float(grid.spacing.mean())
    if patch_mm is None:
        shares = integrated_gradients(network.module, images, voxel).sum(1)
        return tuple(Image(length * share, grid) for share in shares)
    patch = max(round(patch_mm / length), 1)
    return tuple(Image(length * share, lattice_of(grid, patch)) for share in occlusion(network.module, images, voxel, patch))


# ---------------------------------------------------------------- the same question, asked otherwise
def _answers(method: Method, fixed: Image, moving: Image, trials: int, amplitude: float, rng: np.random.Generator) -> Iterator[NDArray]:
    """Where each answer takes the fixed voxels, (*shape, D) mm."""
    points = fixed.grid.points()
    yield method(fixed, moving)(points)
    mirror = _mirror(fixed.grid)
    yield mirror(method(_mirrored(fixed, mirror), _mirrored(moving, mirror))(mirror(points)))
    for _ in range(trials - 2):
        known = _known(moving.grid, rng, amplitude)
        yield compose([method(fixed, resample(moving, moving.grid, known)), known])(points)


def _mirror(grid: Grid) -> Affine:
    """Left for right, about the middle of a grid."""
    matrix = np.diag([-1.0] + [1.0] * grid.dim)
    matrix[0, -1] = 2 * grid.centre[0]
    return Affine(matrix, grid.centre)


def _mirrored(image: Image, mirror: Affine) -> Image:
    """The same voxels in a mirrored world: nothing is interpolated."""
    return Image(image.data, Grid(image.grid.shape, mirror.matrix @ image.grid.affine), image.mask)


def _known(grid: Grid, rng: np.random.Generator, amplitude: float) -> Velocity:
    """A smooth map that moves some point by about ``amplitude`` mm."""
    coarse = grid.with_spacing(float(grid.extent.max()) / 12)
    noise = smooth(rng.normal(size=(grid.dim, *coarse.shape)).astype(np.float32), coarse, 1.5 * float(coarse.spacing.mean()))
    return Velocity.from_array(noise * (amplitude / max(float(np.linalg.norm(noise, axis=0).max()), 1e-12)), coarse)

