import numpy as np
import pytest

from voxalign.core import Grid, Image, InputError, resample
from voxalign.metrics.overlap import dice_by_label
from voxalign.phantom import BRAIN, head_anatomy, image_pair, rigid, smooth_deformation
from voxalign.phantom.pair import Scan
from voxalign.register import Settings
from voxalign.register.template import first_round, next_round

GRID = Grid((56, 66), np.array([[-3.5, 0, 96], [0, 3.5, -112], [0, 0, 1]]))
SETTINGS = Settings(initial="headers", loss="lncc")


@pytest.fixture(scope="module")
def people():
    """One anatomy, deformed and turned in four ways, and its labels."""
    from voxalign.core import compose

    anatomy = head_anatomy(np.random.default_rng(0))
    truths = [compose([smooth_deformation(GRID, k, 6.0, 50.0), rigid(8 * k - 12, None, (3 * k - 4, 2 - k))]) for k in range(4)]
    pairs = [image_pair(anatomy, (GRID, GRID), truth, scan=Scan(k, height=15.0)) for k, truth in enumerate(truths)]
    return [pair.moving for pair in pairs], [pair.moving_labels for pair in pairs], truths


@pytest.fixture(scope="module")
def rounds(people):
    found = [first_round(people[0])]
    for _ in range(2):
        found.append(next_round(found[-1], people[0], SETTINGS))
    return found


def test_the_template_gets_sharper(rounds):
    sharp = [one.sharpness for one in rounds]
    assert sharp[1] > 1.02 * sharp[0] and sharp[2] > 0.98 * sharp[1]


def test_labels_agree_through_the_template(people, rounds):
    def agreement(one):
        brains = [resample(Image(np.isin(labels.data, BRAIN).astype(np.uint8), labels.grid, is_label=True), one.mean.grid, transform)
                  for labels, transform in zip(people[1], one.transforms, strict=True)]
        return np.mean([dice_by_label(brains[i], brains[j])[1] for i in range(4) for j in range(i)])

    assert agreement(rounds[2]) > max(0.96, agreement(rounds[0]))


def test_no_image_is_preferred(people, rounds):
    points = GRID.with_shape((7, 7)).points().reshape(-1, 2)
    points = points[np.linalg.norm(points, axis=1) < 60]
    shifts = np.mean([transform(points) - points for transform in rounds[2].transforms], 0)
    linear = np.mean([affine(points) - points for affine in rounds[2].affines], 0)
    assert np.abs(linear).max() < 1.5 and np.linalg.norm(shifts - linear, axis=1).mean() < 0.7


def test_maps_between_images_by_way_of_the_template_are_right(people, rounds):
    one, other = rounds[2].transforms[0], rounds[2].transforms[2]
    points = GRID.with_shape((8, 8)).points().reshape(-1, 2)
    points = points[np.linalg.norm(points - [0, 5], axis=1) < 55]
    truth = people[2][2](people[2][0].inverse()(one(points)))
    assert np.linalg.norm(other(points) - truth, axis=1).mean() < 2.0


def test_jobs_change_nothing(people):
    one, two = (first_round(people[0][:3], spacing=7, jobs=jobs) for jobs in (1, 2))
    assert np.array_equal(one.mean.data, two.mean.data)


def test_refusals(people):
    with pytest.raises(InputError, match="at least two"):
        first_round(people[0][:1])
