"""Whether two images are of one modality does not depend on where they start."""
import numpy as np
import pytest

from voxalign import Image
from voxalign.phantom import Motion, head_pair, thorax_pair
from voxalign.register import Settings, register
from voxalign.transforms import Rigid

FAR = Motion(35.0, (0.2, 0.1, 1.0), (70.0, -50.0, 60.0), 4.0, 60.0)


def chosen(fixed: Image, moving: Image, initial: str) -> str:
    """What ``auto`` took."""
    notes = register(fixed, moving, Settings(transform="rigid", initial=initial)).notes
    return next(note.split()[1] for note in notes if note.startswith("loss "))


@pytest.mark.parametrize("initial", ["search", "headers", "centres"])
@pytest.mark.parametrize(("modality", "loss"), [("CT", "lncc"), ("T1", "mi")])
def test_chests_far_apart(modality, loss, initial):
    pair = thorax_pair(0, 8.0, "CT", modality, FAR)
    assert chosen(pair.fixed, pair.moving, initial) == loss


@pytest.mark.parametrize(("modality", "loss"), [("T1", "lncc"), ("T2", "mi"), ("PET", "mi")])
def test_heads_by_their_headers(modality, loss):
    pair = head_pair(1, 5.0, "T1", modality)
    assert chosen(pair.fixed, pair.moving, "headers") == loss


def test_a_poor_start_that_is_given_does_not_mislead_either():
    pair = thorax_pair(1, 8.0, motion=FAR)
    start = Rigid.identity(3, pair.fixed.grid.centre)
    notes = register(pair.fixed, pair.moving, Settings(transform="rigid"), initial=start).notes
    assert any(note.startswith("loss lncc") for note in notes)


def test_other_units_and_another_field_of_view_are_still_one_modality():
    pair = head_pair(0, 5.0)
    shape = pair.moving.grid.shape
    part = (slice(None), *(slice(0, n) for n in (*shape[:2], shape[2] * 3 // 4)))
    half = Image(np.sqrt(np.maximum(pair.moving.data[part], 0)) * 7 + 3, pair.moving.grid.crop((0, 0, 0), [s.stop for s in part[1:]]))
    assert chosen(pair.fixed, half, "search") == "lncc"
