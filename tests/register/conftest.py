"""Pairs that several tests register."""
import pytest

from voxalign.phantom import Motion, slice_pair


@pytest.fixture(scope="session")
def bent():
    """Two slices of a head: 6 degrees and 7 mm apart, bent by up to 6 mm."""
    return slice_pair(1, 2.0, motion=Motion(6.0, (0, 0, 1), (6.0, -4.0, 0.0), 6.0))
