"""Sums of losses and features as users write them, and what they do."""
import numpy as np
import pytest

from voxalign.core import Grid, Image, UsageError
from voxalign.phantom import Motion, error_mm, slice_pair
from voxalign.register import Settings, register
from voxalign.register.prepare import scale
from voxalign.register.similarity import FEATURES, Term, described, spelled, terms
from voxalign.run.config import configure


@pytest.mark.parametrize("written, wanted", [
    ("lncc", (Term("lncc"),)),
    ("mi + 0.3*ngf", (Term("mi"), Term("ngf", None, 0.3))),
    ("mi+.3 ngf + 2 * ncc( canny )", (Term("mi"), Term("ngf", None, 0.3), Term("ncc", "canny", 2.0))),
    ("mi + 2*lncc(adapted)", (Term("mi"), Term("lncc", "adapted", 2.0))),
    ({"lncc": 1, "ngf": 0.3, "mse(gabor)": 0.5}, (Term("lncc"), Term("ngf", None, 0.3), Term("mse", "gabor", 0.5))),
    ("auto + 0.001*ncc(gradient_magnitude)", (Term("auto"), Term("ncc", "gradient_magnitude", 0.001))),
])
def test_sums_of_losses(written, wanted):
    assert terms(written) == wanted
    assert terms(spelled(written)) == wanted


@pytest.mark.parametrize("written, words", [
    ("lnc", "'lncc'"), ("mi + ng", "unknown loss 'ng'"), ("ncc(cany)", "unknown feature 'cany': did you mean 'canny'"),
    ("", "expected a name"),
    ("mi +", "expected a name"), ("0*mi", "above 0"), ({"mi": -1}, "above 0"), ({"mi": "much"}, "above 0"), ({"mi": True}, "above 0"),
    ({}, "empty"), ("mi ngf", "expected a name"), ({"mi": float("nan")}, "above 0"),
])
def test_refused(written, words):
    with pytest.raises(UsageError, match=words) as caught:
        terms(written)
    assert "\n" not in str(caught.value)


def test_from_files_flags_and_assignments(tmp_path):
    path = tmp_path / "choices.yaml"
    path.write_text("loss:\n  lncc: 1\n  ngf: 0.3\n")
    made = configure(file=path)
    assert made.settings.loss == "lncc + 0.3*ngf" and configure(made.as_dict()) == made
    assert configure(assignments=["loss=mi+0.5*ncc(canny)"]).settings.loss == "mi + 0.5*ncc(canny)"
    assert configure({"loss": "mi"}, ["loss=ncc"], path).settings.loss == "mi"


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_features_are_images_that_a_turn_leaves_alone(name, rng):
    """A turned array under a header turned likewise is the same body."""
    grid = Grid((40, 36), np.diag([2.0, 2, 1]))
    places = grid.points()
    blobs = sum(np.exp(-((places - at) ** 2).sum(-1) / 60) * rng.uniform(1, 5) for at in rng.uniform(15, 60, (9, 2)))
    turned = Grid((36, 40), np.array([[0, 2.0, 0], [2, 0, 0], [0, 0, 1]]))
    one = described(scale(Image(blobs, grid)), name, 2.0)
    other = described(scale(Image(blobs.T.copy(), turned)), name, 2.0)
    assert one.data.shape == (40, 36) and 0 <= one.data.min() and one.data.max() <= 1.5 and one.data.std() > 0.02
    assert np.corrcoef(one.data.ravel(), other.data.T.ravel())[0, 1] > 0.9


def mean_error(bent, result):
    return float(error_mm(result.transform, bent.truth, bent.fixed_labels).mean())


@pytest.mark.parametrize("loss", ["mse(canny)", "lncc + 0.3*ngf", "ncc(gradient_magnitude)", "auto + 0.5*mse(gabor)",
                                  "mse(wavelet_energy) + mi"])
def test_sums_and_features_align(bent, loss):
    result = register(bent.fixed, bent.moving, Settings(loss=loss, initial="moments"))
    start = register(bent.fixed, bent.moving, Settings(transform="rigid", initial="moments", iterations=(1,)))
    assert mean_error(bent, result) < min(0.9 * mean_error(bent, start), 3.0)


def test_a_weight_of_nearly_nothing_changes_nearly_nothing(bent):
    alone, beside = (register(bent.fixed, bent.moving, Settings(loss=loss, initial="moments")).transform
                     for loss in ("ncc", "ncc + 0.0000001*mse(gradient_magnitude)"))
    corners = bent.fixed.grid.corners() * 0.5
    assert np.abs(alone(corners) - beside(corners)).max() < 0.05


def test_across_modalities_images_are_compared_as_the_other_would_look():
    pair = slice_pair(0, 3.0, "T1", "T2", Motion(6.0, (0, 0, 1), (6.0, -4.0, 0.0), 6.0))
    ours, theirs, mi = (register(pair.fixed, pair.moving, Settings(loss=loss, initial="moments")) for loss in ("auto", "mi + mind", "mi"))
    assert any(note.startswith("loss mi chosen (for the deformation 0.25*mi + 0.5*mind + 2*lncc(adapted))") for note in ours.notes)
    assert mean_error(pair, ours) < 0.9 * min(mean_error(pair, other) for other in (theirs, mi))


def test_tensors_are_described_too():
    pytest.importorskip("torch")
    from voxalign.losses import MIND

    image = np.random.default_rng(0).random((9, 10, 8)).astype(np.float32)
    import torch

    want, got = (MIND().bind(one).terms(one.flip(0) if hasattr(one, "flip") else one[::-1].copy()) for one in (image, torch.tensor(image)))
    assert np.allclose(want.residual, got.residual) and np.allclose(want.curvature, got.curvature, rtol=1e-4)
