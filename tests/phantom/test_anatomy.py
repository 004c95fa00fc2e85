import numpy as np
import pytest
from scipy import ndimage
from tolerances import PHANTOM_VOLUME, PHANTOM_VOLUME_SMALL

from voxalign import phantom
from voxalign.core import Grid
from voxalign.phantom import HeadLabel, LimbLabel, ShapeLabel, ThoraxLabel


def covering(spacing, half, centre=(0.0, 0.0, 0.0), turn=None):
    """A grid of ``spacing`` over a box of half edges ``half`` about ``centre``."""
    spacing = np.broadcast_to(np.asarray(spacing, float), len(half))
    shape = np.round(2 * np.asarray(half) / np.abs(spacing)).astype(int)
    affine = np.eye(len(half) + 1)
    affine[:-1, :-1] = (np.eye(len(half)) if turn is None else turn) @ np.diag(spacing)
    affine[:-1, -1] = np.asarray(centre[: len(half)]) - affine[:-1, :-1] @ ((shape - 1) / 2)
    return Grid(tuple(shape), affine)


HEAD = covering(2.5, (88, 112, 100), (0, 8, -12))


def volumes(labels, family):
    """ml of each structure that is there."""
    count = np.bincount(labels.array.ravel(), minlength=256) * labels.grid.voxel_volume / 1000
    return {label: count[label] for label in family if count[label] and label != 0}


@pytest.fixture(scope="module")
def head():
    return phantom.head(HEAD, 1)


@pytest.fixture(scope="module")
def thorax():
    return phantom.thorax(covering(5, (190, 130, 160)), 1)


def test_a_seed_is_a_person(head):
    grid = HEAD.crop((20, 20, 20), (50, 60, 24))
    again, generator, other = phantom.head(grid, 1), phantom.head(grid, np.random.default_rng(1)), phantom.head(grid, 2)
    assert np.array_equal(again.array, head.array[20:50, 20:60, 20:24])
    assert np.array_equal(again.array, generator.array)
    assert np.mean(again.array != other.array) > 0.1


def test_head_is_whole_and_of_human_size(head):
    ml = volumes(head, HeadLabel)
    assert set(HeadLabel) - set(ml) <= {HeadLabel.BACKGROUND, HeadLabel.LESION, HeadLabel.LENS}
    usual = {HeadLabel.LEFT_CORTEX: (170, 320), HeadLabel.LEFT_WHITE_MATTER: (150, 300), HeadLabel.LEFT_THALAMUS: (3, 9),
             HeadLabel.LEFT_CAUDATE: (1, 5), HeadLabel.LEFT_HIPPOCAMPUS: (1, 5), HeadLabel.LEFT_LATERAL_VENTRICLE: (3, 30),
             HeadLabel.BRAINSTEM: (18, 45), HeadLabel.CSF: (120, 420), HeadLabel.LEFT_CEREBELLUM_CORTEX: (30, 80)}
    for label, (low, high) in usual.items():
        assert low < ml[label] < high, (label, ml[label])
    assert 950 < sum(ml.get(label, 0) for label in phantom.BRAIN) < 1600


def test_left_is_left(head):
    x = head.grid.points()[..., 0]
    assert x[head.array == HeadLabel.LEFT_CORTEX].mean() < -15 < 15 < x[head.array == HeadLabel.RIGHT_CORTEX].mean()


def test_cortex_is_a_folded_ribbon():
    labels = phantom.head(covering(1.0, (60, 40, 25), (0, 0, 30)), 3).array
    cortex = np.isin(labels, (HeadLabel.LEFT_CORTEX, HeadLabel.RIGHT_CORTEX))
    white = np.isin(labels, (HeadLabel.LEFT_WHITE_MATTER, HeadLabel.RIGHT_WHITE_MATTER))
    to_white = ndimage.distance_transform_edt(~white)[cortex]
    assert 1.2 < np.median(to_white) < 2.6 and np.percentile(to_white, 95) < 6
    hull = ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(cortex | white, 12), iterations=9))[12:-12, 12:-12, 12:-12]
    depth = ndimage.distance_transform_edt(np.pad(hull, ((0, 0), (0, 0), (1, 1)), mode="edge"))[:, :, 1:-1]
    assert np.mean(depth[cortex] > 8) > 0.25  # much of it lies along sulci


def test_size_does_not_depend_on_the_grid(head):
    turn = phantom.rigid(24, (1, 2, -1)).matrix[:-1, :-1]
    oblique = phantom.head(covering((-2.0, 3.0, 2.4), (112, 130, 120), (0, 8, -12), turn), 1)
    for label, ml in volumes(head, phantom.BRAIN).items():
        tolerance = PHANTOM_VOLUME if ml > 20 else PHANTOM_VOLUME_SMALL
        assert volumes(oblique, HeadLabel)[label] == pytest.approx(ml, rel=tolerance), label


def test_a_slice_is_a_plane_of_the_volume(head):
    k = 55
    flat = Grid(HEAD.shape[:2], HEAD.affine[np.ix_([0, 1, 3], [0, 1, 3])])
    slice_ = phantom.head(flat, 1, height=float(HEAD.world((0, 0, k))[2]))
    assert np.array_equal(slice_.array, head.array[:, :, k])


def test_thorax_has_its_organs(thorax):
    ml = volumes(thorax, ThoraxLabel)
    assert set(ThoraxLabel) - set(ml) == {ThoraxLabel.BACKGROUND, ThoraxLabel.LESION}
    assert 1000 < ml[ThoraxLabel.LEFT_LUNG] < 3500 and 1000 < ml[ThoraxLabel.RIGHT_LUNG] < 3500
    assert 600 < ml[ThoraxLabel.LIVER] < 2500
    assert 100 < ml[ThoraxLabel.MYOCARDIUM] < 350


def test_breathing_in_fills_the_lungs(thorax):
    inhaled = phantom.thorax(thorax.grid, 1, phase=0.5)
    lungs = [np.isin(image.array, (ThoraxLabel.LEFT_LUNG, ThoraxLabel.RIGHT_LUNG)).sum() for image in (thorax, inhaled)]
    assert 1.05 < lungs[1] / lungs[0] < 1.6
    assert np.array_equal(phantom.thorax(thorax.grid, 1, phase=1.0).array, thorax.array)


def test_limb_has_bones_and_muscles_and_bends():
    grid = covering(4, (95, 130, 200))
    straight, bent = phantom.limb(grid, 1), phantom.limb(grid, 1, joint_angle=0.6)
    ml = volumes(straight, LimbLabel)
    assert set(LimbLabel) - set(ml) == {LimbLabel.BACKGROUND, LimbLabel.LESION}
    thigh = grid.points()[..., 2] > 60
    assert np.array_equal(straight.array[thigh], bent.array[thigh])
    tibia = [grid.points()[image.array == LimbLabel.TIBIA_MARROW].mean(0) for image in (straight, bent)]
    assert tibia[1][1] < tibia[0][1] - 20  # the shin goes back


@pytest.mark.parametrize("dim", [2, 3])
def test_lesion_has_the_volume_asked_for(dim):
    grid = covering(1.0, (30,) * dim)
    labels = phantom.head(grid, 1)
    found = phantom.lesion(labels, (5.0,) * dim, 8.0, seed=4).array == HeadLabel.LESION
    assert found.sum() * grid.voxel_volume == pytest.approx(4 / 3 * np.pi * 512 if dim == 3 else np.pi * 64, rel=0.01)
    centre = grid.world(np.argwhere(found).mean(0))
    assert np.linalg.norm(centre - 5) < 5
    radius = np.linalg.norm(grid.world(np.argwhere(found & ~ndimage.binary_erosion(found))) - centre, axis=1)
    assert radius.std() > 0.4  # no ball


def test_shapes_have_the_sizes_they_say():
    ml = volumes(phantom.shapes(covering(1.0, (72, 28, 66), (0.3, 0.2, 0.1))), ShapeLabel)
    assert ml[ShapeLabel.SPHERE] == pytest.approx(4 / 3 * np.pi * 25**3 / 1000, rel=0.01)
    assert ml[ShapeLabel.CUBE] == pytest.approx(64, rel=0.03)
    assert ml[ShapeLabel.CONE] == pytest.approx(np.pi * 25**2 * 45 / 3 / 1000, rel=0.03)
