"""Small images that register in a blink."""
from __future__ import annotations

from pathlib import Path

import pytest
from pairs import blobs

from voxalign import io


@pytest.fixture(scope="session")
def pair(tmp_path_factory) -> tuple[Path, Path]:
    """Files of a fixed and a moving image that are (2, -3, 4) mm apart."""
    folder = tmp_path_factory.mktemp("pair")
    io.save(blobs(), folder / "fixed.nii.gz")
    io.save(blobs((2, -3, 4)), folder / "moving.nii.gz")
    return folder / "fixed.nii.gz", folder / "moving.nii.gz"
