"""Fixtures that every test may use."""
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from voxalign.core import Grid


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    """Rotations about the world's x, y and z axes, one after the other, (3, 3)."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        a, b = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def make_grid(shape: tuple[int, ...], columns: np.ndarray, origin: tuple[float, ...]) -> Grid:
    """A grid whose axes step by the columns of a matrix (mm)."""
    affine = np.eye(len(shape) + 1)
    affine[:-1, :-1], affine[:-1, -1] = columns, origin
    return Grid(shape, affine)


_SPACING = np.diag([1.1, 0.9, 2.3])
_SHEAR = np.array([[1, 0.0, 0.25], [0, 1, -0.1], [0, 0, 1]])

GRIDS: dict[str, Grid] = {
    "RAS": make_grid((14, 17, 11), np.diag([1.5, 1.5, 1.5]), (-9.0, -12.0, -7.0)),
    "LAS": make_grid((15, 12, 13), np.diag([-1.2, 1.4, 1.6]), (8.0, -9.0, -10.0)),
    "LPS": make_grid((13, 16, 12), np.diag([-1.3, -1.1, 1.7]), (9.0, 8.0, -9.0)),
    "oblique": make_grid((16, 18, 9), rotation((17, -24, 31)) @ _SPACING, (-3.0, -12.0, -9.0)),
    "oblique left-handed": make_grid((12, 16, 10), rotation((-12, 35, 8)) @ np.diag([1.3, 1.0, -1.9])[:, [1, 0, 2]], (-9.0, -4.0, 8.0)),
    "sheared": make_grid((13, 15, 9), rotation((6, -9, 14)) @ _SHEAR @ _SPACING, (-6.0, -9.0, -9.0)),
    "2-D": make_grid((19, 23), rotation((0, 0, 21))[:2, :2] @ np.diag([0.9, -1.3]), (-9.0, 13.0)),
}
SPATIAL = [name for name in GRIDS if name != "2-D"]
ORTHOGONAL = [name for name in GRIDS if name != "sheared"]


@pytest.fixture(params=GRIDS)
def grid(request: pytest.FixtureRequest) -> Grid:
    """Each kind of grid in turn: RAS, LAS, LPS, oblique anisotropic, left-handed, sheared, 2-D."""
    return GRIDS[request.param]


@pytest.fixture(params=SPATIAL)
def grid3(request: pytest.FixtureRequest) -> Grid:
    """Each kind of 3-D grid in turn."""
    return GRIDS[request.param]


@pytest.fixture(params=ORTHOGONAL)
def grid_orthogonal(request: pytest.FixtureRequest) -> Grid:
    """Each kind of grid that ITK can hold in turn."""
    return GRIDS[request.param]


@pytest.fixture
def rng() -> np.random.Generator:
    """Randomness that is the same at every run."""
    return np.random.default_rng(20)


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of the real images; the test is skipped where there is none."""
    folder = os.environ.get("VOXALIGN_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs real images: set VOXALIGN_TEST_DATA to their folder")
    return Path(folder)
