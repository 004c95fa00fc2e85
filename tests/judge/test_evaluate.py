import numpy as np
import pytest
from pairs import blobs

from voxalign.core import Image, InputError, Points
from voxalign.judge import deformation_scores, evaluate, matched, overlap_scores
from voxalign.judge.evaluate import foreground
from voxalign.register import Registration
from voxalign.transforms import Translation

SHIFT = Translation.from_params([2.0, -4, 6], centre=np.zeros(3))


@pytest.fixture
def registration():
    return Registration(SHIFT, blobs().grid, blobs().grid)


def test_before_and_after(registration):
    points = Points(np.array([[1.0, 2, 3]])), Points(np.array([[3.0, -2, 9]]))
    scores = evaluate(registration, blobs(), (blobs(is_label=True), blobs((2, -4, 6), is_label=True)), points)
    assert scores["after"]["dice"] == 1 and scores["after"]["hd95_mm"] == 0 and scores["after"]["tre_mm"] == pytest.approx(0)
    assert scores["before"]["dice"] < 0.8 and scores["before"]["tre_mm"] == pytest.approx(np.sqrt(56))
    assert scores["folded_percent"] == 0 and scores["inverse_error_mm"] < 1e-9


def test_what_cannot_be_computed_is_none(registration):
    far = Registration(Translation.from_params([500.0, 0, 0], centre=np.zeros(3)), blobs().grid, blobs().grid)
    after = evaluate(far, blobs(), (blobs(is_label=True),) * 2)["after"]
    assert after["dice"] == 0 and after["hd95_mm"] is None and after["hd95_mm_by_label"][1] is None


def test_only_labels_that_both_have_count():
    labels = blobs(is_label=True)
    other = Image(np.where(labels.data == 3, 9, labels.data), labels.grid, is_label=True)
    assert set(overlap_scores(SHIFT.identity(3), labels, other)["dice_by_label"]) == {1, 2}
    with pytest.raises(InputError, match="no label in common"):
        overlap_scores(SHIFT, labels, Image(labels.data + np.uint8(10), labels.grid, is_label=True))


def test_the_mask_says_where_a_transform_is_judged(registration):
    assert deformation_scores(registration, blobs())["sd_log_jacobian"] == pytest.approx(0, abs=1e-6)
    inside = np.zeros(blobs().grid.shape, bool)
    inside[10:15, 10:15, 10:15] = True
    assert (foreground(blobs().with_mask(inside)) <= inside).all()


def test_points_are_matched_by_name():
    fixed, moving = Points(np.eye(3), ("a", "b", "c")), Points(np.eye(3)[::-1], ("c", "b", "a"))
    assert np.array_equal(matched(fixed, moving)[1].coordinates, np.eye(3))
    with pytest.raises(InputError, match="3 fixed and 2 moving"):
        matched(fixed, Points(np.eye(3)[:2]))
