"""Whether two images are of one modality does not depend on where they start."""
import numpy as np
import pytest

from voxalign import Image
from voxalign.core import resample
from voxalign.phantom import Motion, error_mm, head_pair, slice_pair, smooth_deformation, thorax_pair
from voxalign.register import Settings, modality, register
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


def notes_of(fixed: Image, moving: Image, **choices) -> str:
    return " ".join(register(fixed, moving, Settings(**choices)).notes)


def test_what_looks_like_one_modality_from_afar_is_looked_at_closely():
    pair = slice_pair(0, 2.0, "T1", "FLAIR")
    said = notes_of(pair.fixed, pair.moving)
    assert "loss lncc chosen" in said and "of two modalities" in said
    asked = notes_of(pair.fixed, pair.moving, loss="lncc")
    assert "two modalities" not in asked  # what was asked for is kept


def test_noise_leaves_a_line_straight_and_another_contrast_bends_it(rng):
    values = rng.random(5000)
    assert modality.straightness(values, 2 * values + rng.normal(0, 1, 5000)) > 0.8  # hardly correlated, and by a line
    assert modality.straightness(values, (values - 0.5) ** 2 + rng.normal(0, 0.02, 5000)) < 0.1
    assert modality.straightness(values, np.ones(5000)) == modality.straightness(values[:3], values[:3]) == 1


def test_of_one_modality_is_so_closely_too():
    pair = slice_pair(0, 2.0)
    assert "two modalities" not in notes_of(pair.fixed, pair.moving)


# ---------------------------------------------------------------- one body or two
def test_one_image_bent_is_one_body_and_another_person_is_not():
    one, other = slice_pair(0, 2.0), slice_pair(5, 2.0)
    bent = resample(one.fixed, one.fixed.grid, smooth_deformation(one.fixed.grid, 1, 4.0, 20.0))
    assert "one body twice" in notes_of(one.fixed, bent)
    assert "one body" not in notes_of(one.fixed, other.fixed, loss="lncc")
    assert "one body" not in notes_of(one.fixed, bent, body="two")


def test_two_modalities_are_taken_for_one_body_unless_told_otherwise():
    pair = slice_pair(0, 2.0, "T1", "T2")
    assert "taken for one body, in two modalities" in notes_of(pair.fixed, pair.moving)
    assert "one body" not in notes_of(pair.fixed, pair.moving, body="two")


@pytest.mark.parametrize("modality", ["T1", "T2"])
def test_one_body_said_to_be_one_is_found_more_exactly(modality):
    pair = head_pair(1, 4.0, "T1", modality)
    one, two = (register(pair.fixed, pair.moving, Settings(body=body)).transform for body in ("one", "two"))
    assert error_mm(one, pair.truth, pair.fixed_labels).mean() < 0.95 * error_mm(two, pair.truth, pair.fixed_labels).mean()
