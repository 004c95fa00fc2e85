"""The search for the first position, where `test_initialise` does not look."""
import numpy as np

from voxalign.register import search


def test_a_mouse_in_a_man_is_tried_in_a_hundred_places():
    """A billion shifts were listed first to find the hundred: 8 GB."""
    mouse, man = (search.Body(np.zeros(3), np.eye(3) * radius) for radius in (0.5, 500.0))
    assert 20 < len(search.shifts(mouse, man)) <= 100
