"""FSL's FLIRT matrices: moving to fixed, in mm counted from the first voxel of each image.

The first axis is counted backwards where the image is not left-handed ("neurological"), so a matrix means nothing
without both grids. https://fsl.fmrib.ox.ac.uk/fsl/docs/#/registration/flirt/faq
"""
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, InputError, Transform
from ..transforms import Affine
from .atomic import write_text
from .header import refuse
from .linear import numbers, spatial_matrix


def load_fsl(path: str | os.PathLike[str], fixed_grid: Grid, moving_grid: Grid) -> Affine:
    """The transform of ``flirt -in MOVING -ref FIXED -omat path``.

    Raises
    ------
    InputError : not four rows of four numbers, singular, or grids that are not 3-D.
    """
    path = Path(path)
    given = numbers(path)
    if given.shape != (4, 4) or not np.isfinite(given).all() or abs(given[3, 3]) < 1e-3:
        raise refuse(path, f"an FSL matrix of shape {given.shape}: expected 4 rows of 4 finite numbers")
    forward = Affine(given / given[3, 3]).matrix
    return Affine(_from_fsl(moving_grid) @ np.linalg.inv(forward) @ np.linalg.inv(_from_fsl(fixed_grid)))


def save_fsl(transform: Transform, path: str | os.PathLike[str], fixed_grid: Grid, moving_grid: Grid) -> None:
    """Write a linear transform for ``flirt -applyxfm`` with these images, atomically.

    Raises
    ------
    InputError : the transform is not linear, or not 3-D.
    """
    forward = np.linalg.inv(_from_fsl(moving_grid)) @ spatial_matrix(transform) @ _from_fsl(fixed_grid)
    rows = np.linalg.inv(forward)
    write_text(Path(path), "".join(" ".join(f"{v:.12g}" for v in row) + "\n" for row in rows))


def _from_fsl(grid: Grid) -> NDArray[np.float64]:
    """FSL's mm -> world mm, (4, 4)."""
    if grid.dim != 3:
        raise InputError(f"an FSL matrix with a {grid.dim}-D grid: expected 3-D images")
    scale = np.diag([*grid.spacing, 1.0])
    if not grid.is_left_handed:
        scale[0] = [-grid.spacing[0], 0, 0, (grid.shape[0] - 1) * grid.spacing[0]]
    return grid.affine @ np.linalg.inv(scale)
