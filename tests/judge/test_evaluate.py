import numpy as np
import pytest
from pairs import blobs
from spaces import Displaced

from voxalign.core import Field, Identity, Image, InputError, InputWarning, Points
from voxalign.judge import deformation_scores, evaluate, matched, overlap_scores
from voxalign.judge.evaluate import Evidence, assess, foreground, similarity_scores
from voxalign.phantom import smooth_deformation
from voxalign.register import Registration
from voxalign.transforms import Translation

SHIFT = Translation.from_params([2.0, -4, 6], centre=np.zeros(3))
PAIR = blobs(), blobs((2, -4, 6))
LABELS = blobs(is_label=True), blobs((2, -4, 6), is_label=True)
POINTS = Points(np.array([[1.0, 2, 3], [5, 5, 5]]), ("lung/1", "heart")), Points(np.array([[3.0, -2, 9], [7, 1, 14]]), ("lung/1", "heart"))


@pytest.fixture
def registration():
    return Registration(SHIFT, blobs().grid, blobs().grid)


def test_before_and_after(registration):
    points = Points(np.array([[1.0, 2, 3]])), Points(np.array([[3.0, -2, 9]]))
    scores = evaluate(registration, blobs(), LABELS, points)
    assert scores["after"]["dice"] == 1 and scores["after"]["hd95_mm"] == 0 and scores["after"]["tre_mm"] == pytest.approx(0)
    assert scores["before"]["dice"] < 0.8 and scores["before"]["tre_mm"] == pytest.approx(np.sqrt(56))
    assert scores["folded_percent"] == 0 and scores["inverse_error_mm"] < 1e-9


def test_lost_labels_have_no_distance_and_are_counted(registration):
    far = Registration(Translation.from_params([500.0, 0, 0], centre=np.zeros(3)), blobs().grid, blobs().grid)
    scores = evaluate(far, blobs(), (blobs(is_label=True),) * 2)
    after = scores["after"]
    assert after["dice"] == 0 and after["hd95_mm"] is None and after["hd95_mm_by_label"][1] is None
    assert after["labels_lost"] == 3 and scores["before"]["labels_lost"] == 0


def test_labels_of_one_file_are_said_and_not_scored(registration):
    labels = blobs(is_label=True)
    other = Image(np.where(labels.data == 3, 9, labels.data), labels.grid, is_label=True)
    with pytest.warns(InputWarning, match="labels 3, 9 are in one of the two"):
        scores = assess(Identity(3), Evidence(labels=(labels, other)))["after"]
    assert scores["dice"] == 1 and scores["dice_by_label"] == {1: 1, 2: 1, 3: None, 9: None} == scores["jaccard_by_label"]
    assert scores["mean_surface_distance_mm_by_label"] == {1: 0, 2: 0, 3: None, 9: None}
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


# ---------------------------------------------------------------- assess
def test_everything_at_once():
    scores = assess(SHIFT, Evidence(PAIR, LABELS, POINTS))
    before, after = scores["before"], scores["after"]
    assert after["ncc"] == pytest.approx(1, abs=1e-5) and after["ssim"] > 0.99 > before["ssim"]
    assert after["mutual_information_nats"] > before["mutual_information_nats"] and before["ncc"] < 0.9
    assert after["jaccard"] == after["volume_similarity"] == 1 and after["mean_surface_distance_mm"] == 0
    assert scores["jacobian_mean"] == pytest.approx(1) and scores["nondiffeomorphic_mm3"] == scores["folded_mm3"] == 0
    assert scores["inverse_error_max_mm"] < 1e-9


def test_landmarks_alone_and_their_regions():
    scores = assess(SHIFT, Evidence(points=POINTS))
    assert scores["after"]["tre_mm_by_region"] == {"lung": pytest.approx(0), "heart": pytest.approx(3)}
    assert scores["after"]["tre_median_mm"] == pytest.approx(1.5) and "jacobian_min" not in scores
    assert "tre_mm_by_region" not in assess(SHIFT, Evidence(points=(Points(POINTS[0].coordinates), Points(POINTS[1].coordinates))))["after"]


def test_a_way_back_is_a_cycle():
    back = Translation.from_params([-2.0, 4, -5], centre=np.zeros(3))
    scores = assess(SHIFT, Evidence(PAIR, back=back))
    assert scores["cycle_error_mm"] == pytest.approx(1) == scores["cycle_error_max_mm"] and "inverse_error_mm" not in scores


def test_a_transform_without_inverse_is_said():
    flat = _Flat(SHIFT.matrix)
    with pytest.warns(InputWarning, match="no inverse"):
        assert assess(flat, Evidence(points=POINTS))["inverse_error_mm"] is None


class _Flat(Translation):
    def inverse(self):
        raise InputError("singular")


def test_folds_are_measured():
    field = smooth_deformation(blobs().grid, 3, 6.0, 12.0).displacement.field
    scores = assess(Displaced(Field(field.data * 4, field.grid)), Evidence(PAIR, back=SHIFT))
    assert scores["jacobian_min"] < 0 < scores["jacobian_p99"]
    for name in ("folded_percent", "folded_mm3", "nondiffeomorphic_mm3", "nondiffeomorphic_percent"):
        assert scores[name] > 0


def test_no_overlap_is_no_similarity():
    far = Translation.from_params([500.0, 0, 0], centre=np.zeros(3))
    scores = similarity_scores(far, *PAIR)
    assert scores["covered_percent"] == 0 and np.isnan(scores["ncc"]) and np.isnan(scores["ssim"])
    assert assess(far, Evidence(PAIR))["after"]["ncc"] is None


def test_refused():
    with pytest.raises(InputError, match="nothing to judge by"):
        Evidence()
    with pytest.raises(InputError, match="one dimension"):
        Evidence(PAIR, points=(Points(np.zeros((1, 2))),) * 2)
    with pytest.raises(InputError, match="2-D transform"):
        assess(Identity(2), Evidence(PAIR))
