import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tolerances as tol
from hypothesis import given
from hypothesis import strategies as st
from spaces import GRIDS, itk_image

from voxalign.core import Grid, Image, InputError, resample
from voxalign.metrics import dice_by_label, jaccard_by_label, overlap_by_label, volume_similarity_by_label

GRID = Grid((4, 5), np.eye(3))


def _image(array, grid: Grid = GRID, mask=None) -> Image:
    return Image(np.asarray(array), grid, mask, is_label=True)


def _two(rng, grid: Grid) -> tuple[Image, Image]:
    a = rng.choice([0, 1, 2, 5, 77], grid.shape).astype(np.int16)
    return _image(a, grid), _image(np.where(rng.random(grid.shape) < 0.6, a, rng.choice([0, 1, 5, 9], grid.shape)), grid)


def load_labels(path) -> Image:
    image = nib.load(path)
    return Image(np.asarray(image.dataobj).astype(np.int16), Grid(image.shape, image.affine), is_label=True)


def test_by_hand():
    a, b = np.zeros(GRID.shape, int), np.zeros(GRID.shape, int)
    a[0], b[0, :2], b[1, 0] = 3, 3, 3
    a, b = _image(a), _image(b)
    assert dice_by_label(a, b) == {3: pytest.approx(2 * 2 / (5 + 3))}
    assert jaccard_by_label(a, b) == {3: pytest.approx(2 / 6)}
    assert volume_similarity_by_label(a, b) == {3: pytest.approx(1 - 2 / 8)}


def test_equals_simpleitk(rng):
    grid = GRIDS["oblique"]
    a, b = _two(rng, grid)
    theirs = sitk.LabelOverlapMeasuresImageFilter()
    theirs.Execute(*[itk_image(i.array.astype(np.int32), grid) for i in (a, b)])
    for label in (1, 2, 5, 77):
        assert dice_by_label(a, b)[label] == pytest.approx(theirs.GetDiceCoefficient(label), abs=tol.OVERLAP)
        assert jaccard_by_label(a, b)[label] == pytest.approx(theirs.GetJaccardCoefficient(label), abs=tol.OVERLAP)


def test_labels_of_one_map_only_score_zero():
    a, b = _image(np.full(GRID.shape, 77)), _image(np.full(GRID.shape, 9))
    assert dice_by_label(a, b) == {9: 0.0, 77: 0.0} == volume_similarity_by_label(a, b)
    assert np.isnan(dice_by_label(a, b, [123456])[123456])


def test_background_is_scored_on_request():
    a, b = np.zeros(GRID.shape, int), np.zeros(GRID.shape, int)
    a[0], b[1] = 1, 1
    assert list(dice_by_label(_image(a), _image(b))) == [1]
    assert dice_by_label(_image(a), _image(b), [0]) == {0: pytest.approx(2 * 10 / 30)}


@given(st.integers(0, 2**32 - 1))
def test_properties(seed):
    a, b = _two(np.random.default_rng(seed), GRID)
    dice, jaccard, volume = dice_by_label(a, b), jaccard_by_label(a, b), volume_similarity_by_label(a, b)
    assert dice_by_label(b, a) == dice and set(dice_by_label(a, a).values()) <= {1.0}
    for label in dice:
        assert 0 <= jaccard[label] <= dice[label] <= volume[label] <= 1
        assert dice[label] == pytest.approx(2 * jaccard[label] / (1 + jaccard[label]))


def test_huge_and_negative_labels_are_counted_too(rng):
    a, b = _two(rng, GRID)
    want = dice_by_label(a, b)
    rename = {0: 0, 1: -4, 2: 2, 5: 2**31 - 1, 9: 9, 77: 2**24}
    a, b = (_image(np.vectorize(rename.get, otypes=[np.int64])(i.array)) for i in (a, b))
    assert dice_by_label(a, b) == {rename[k]: v for k, v in want.items()}
    assert list(dice_by_label(a, b, [2**24, 3])) == [3, 2**24]


def test_voxels_outside_a_mask_do_not_count():
    a, b = np.ones(GRID.shape, int), np.ones(GRID.shape, int)
    b[0] = 2
    mask = np.ones(GRID.shape, bool)
    mask[0] = False
    assert dice_by_label(_image(a, mask=mask), _image(b)) == {1: 1.0}
    assert dice_by_label(_image(a), _image(b, mask=mask)) == {1: 1.0}


def test_refused():
    a = _image(np.ones(GRID.shape, int))
    with pytest.raises(InputError, match="two grids"):
        dice_by_label(a, _image(np.ones(GRID.shape, int), Grid(GRID.shape, np.diag([1, 1.1, 1]))))
    with pytest.raises(InputError, match="is_label"):
        dice_by_label(a, Image(np.ones(GRID.shape), GRID))


def test_real_labels_equal_simpleitk(data):
    a, b = (load_labels(data / f"mouse/animal-{k}/labels.nii.gz") for k in (1, 2))
    b = resample(b, a.grid, interpolation="nearest")
    theirs = sitk.LabelOverlapMeasuresImageFilter()
    theirs.Execute(*[itk_image(i.array.astype(np.int32), a.grid) for i in (a, b)])
    dice = dice_by_label(a, b)
    assert len(dice) == 37 and np.mean(list(dice.values())) == pytest.approx(0.10, abs=0.01)
    for label, value in dice.items():
        assert value == pytest.approx(theirs.GetDiceCoefficient(label), abs=tol.OVERLAP)


def test_one_count_serves_all(rng):
    a, b = _two(rng, GRIDS["RAS"])
    found = overlap_by_label(a, b)
    assert found == {"dice": dice_by_label(a, b), "jaccard": jaccard_by_label(a, b), "volume_similarity": volume_similarity_by_label(a, b)}
    theirs = sitk.LabelOverlapMeasuresImageFilter()
    theirs.Execute(*[itk_image(i.array.astype(np.int32), a.grid) for i in (a, b)])
    for label in (1, 2, 5, 77):  # theirs is signed, and twice as large
        assert found["volume_similarity"][label] == pytest.approx(1 - abs(theirs.GetVolumeSimilarity(label)) / 2, abs=tol.OVERLAP)
