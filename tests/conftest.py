"""Fixtures that every test may use."""
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from spaces import GRIDS, ORTHOGONAL, SPATIAL

from voxalign.core import Grid


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
