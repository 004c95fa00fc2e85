"""A deformation to start from where things move far: the best of many whole displacements, made smooth.

On a coarse grid every voxel tries all displacements of up to a few voxels. What each costs is the difference of the two images'
self-similarity there (MIND), averaged over neighbours; a convex problem coupled to it then finds a smooth displacement whose every voxel
costs little (Heinrich et al., Non-parametric discrete registration with convex optimisation, WBIR 2014; Siebert et al., Fast 3D
registration with accurate optimisation and little learning for Learn2Reg 2021). Nothing has to overlap at the start, which is what a
descent needs.
"""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, arrays, kernels
from .prepare import Scaled, foreground

_ACROSS = 40  # voxels along the longest side of the coarse grid
_REACH = 4  # voxels of it that things may move along each axis
_PATCH = 1.5  # sigma (voxels) that costs are averaged with
_SMOOTH = 1.2  # sigma (voxels) of the displacement between the passes, and after them
_COUPLINGS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # cost of being a voxel away from the smooth displacement, pass by pass


def start(fixed: Scaled, moving: Scaled) -> tuple[NDArray[np.float32], Grid]:
    """Displacement (D, *grid.shape) in voxels of ``grid``, which covers the box of the two images (on one grid, linearly aligned)."""
    spacing = float(fixed.grid.extent.max()) / _ACROSS
    fixed, moving = fixed.at(spacing), moving.at(spacing)
    steps = _steps(fixed.grid)
    costs = _costs(fixed, moving, steps)
    smooth = np.zeros((fixed.grid.dim, *fixed.grid.shape), np.float32)
    for coupling in _COUPLINGS:
        smooth = kernels.smooth(_cheapest(costs, steps, smooth, coupling), (_SMOOTH,) * fixed.grid.dim)
    return arrays.like(smooth, fixed.data), fixed.grid


def _steps(grid: Grid) -> NDArray[np.float32]:
    """Displacements in voxels that are tried, (M, D): as far in mm along every axis as voxels allow, none along axes of one voxel."""
    aspect = grid.spacing.min() / grid.spacing
    reach = [round(_REACH * a) if n > 1 else 0 for a, n in zip(aspect, grid.shape, strict=True)]
    return np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), -1).reshape(-1, grid.dim).astype(np.float32)


def _costs(fixed: Scaled, moving: Scaled, steps: NDArray) -> NDArray[np.float32]:
    """Of each displacement at each voxel, (M, *shape), in standard deviations of all costs; none where no image shows anything."""
    one, other = (_described(image) for image in (fixed, moving))
    shape, width = one.shape[1:], np.abs(steps).max(0).astype(int)
    padded = np.pad(other, ((0, 0), *((w, w) for w in width)), mode="edge")
    costs = np.empty((len(steps), *shape), np.float32)
    for cost, step in zip(costs, steps.astype(int), strict=True):
        part = tuple(slice(w + s, w + s + n) for w, s, n in zip(width, step, shape, strict=True))
        np.mean((padded[(slice(None), *part)] - one) ** 2, 0, out=cost)
    costs = kernels.smooth(costs, (_PATCH,) * len(shape)) * arrays.as_numpy(foreground(fixed))
    return costs / max(float(costs.std()), 1e-12)


def _described(image: Scaled) -> NDArray[np.float32]:
    data = arrays.as_numpy(image.data)
    mask = None if image.mask is None else arrays.as_numpy(image.mask)
    return kernels.mind(data, (1,) * data.ndim, (1,) * data.ndim, mask)


def _cheapest(costs: NDArray, steps: NDArray, near: NDArray, coupling: float) -> NDArray[np.float32]:
    """For each voxel the displacement that costs least, with ``coupling`` for each squared voxel away from ``near``; (D, *shape)."""
    best, least = np.zeros_like(near), np.full(near.shape[1:], np.inf, np.float32)
    for cost, step in zip(costs, steps, strict=True):
        total = cost + coupling * sum((n - s) ** 2 for n, s in zip(near, step, strict=True))
        better = total < least
        least = np.where(better, total, least)
        for axis, s in enumerate(step):
            best[axis][better] = s
    return best
