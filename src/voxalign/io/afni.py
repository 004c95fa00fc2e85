"""AFNI's ``.aff12.1D`` matrices: base (fixed) to source (moving), in DICOM order (LPS) mm.

Twelve numbers in one row, or three rows of four. What AFNI does to oblique images before it uses a matrix is not in it.
"""
from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..core import Transform
from ..transforms import Affine
from .atomic import write_text
from .header import LPS_TO_RAS, refuse
from .linear import numbers, spatial_matrix


def load_afni(path: str | os.PathLike[str]) -> Affine:
    """The transform in an AFNI ``.1D`` file.

    Raises
    ------
    InputError : not one 3 x 4 matrix, or singular.
    """
    path = Path(path)
    table = numbers(path)
    if table.shape not in ((1, 12), (3, 4)):
        raise refuse(path, f"a table of shape {table.shape}: expected one AFNI matrix, a row of 12 numbers or 3 rows of 4")
    return Affine(LPS_TO_RAS @ np.vstack([table.reshape(3, 4), [0, 0, 0, 1]]) @ LPS_TO_RAS)


def save_afni(transform: Transform, path: str | os.PathLike[str]) -> None:
    """Write a linear 3-D transform as AFNI's ``.aff12.1D``, atomically.

    Raises
    ------
    InputError : the transform is not linear, or not 3-D.
    """
    row = (LPS_TO_RAS @ spatial_matrix(transform) @ LPS_TO_RAS)[:3].ravel()
    write_text(Path(path), "# 3dvolreg matrices (DICOM-to-DICOM, row-by-row):\n" + " ".join(f"{v:.12g}" for v in row) + "\n")
