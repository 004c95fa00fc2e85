import numpy as np
import pytest
import tolerances

from voxalign.core import Grid, Image, InputError, UsageError, resample
from voxalign.phantom import error_mm, sequence
from voxalign.register.follow import Anchor, suited_model
from voxalign.register.sequence import follow, mean_image, settled, smooth_in_time
from voxalign.register.track import Tracker
from voxalign.transforms import Rigid

AFFINE = np.array([[-4.0, 0, 0, 94], [0, 4, 0, -90], [0, 0, 5, -80], [0, 0, 0, 1]])
HEAD = Grid((48, 48, 28), AFFINE)
SLICE = Grid((96, 112), np.array([[-1.75, 0, 84], [0, 1.75, -92], [0, 0, 1]]))


@pytest.fixture(scope="module")
def head():
    return list(sequence("drifting", 4, HEAD))


@pytest.fixture(scope="module")
def plane():
    return list(sequence("drifting", 5, SLICE))


@pytest.mark.parametrize("name", ["head", "plane"])
def test_known_motion_is_found(name, request):
    frames = request.getfixturevalue(name)
    anchor = Anchor(frames[0].image)
    for frame in frames[1:]:
        fit = anchor.fit(frame.image)
        error = error_mm(fit.transform, frame.truth, frames[0].labels) / frames[0].image.grid.spacing.min()
        assert error.mean() < tolerances.FRAME_VOXELS and fit.confidence > 0.9
        before = error_mm(anchor.start, frame.truth, frames[0].labels) / frames[0].image.grid.spacing.min()
        assert error.mean() < 0.3 * before.mean()


def test_gain_offset_and_outliers_do_not_matter(head):
    fixed, frame = head[0].image, head[2]
    spoilt = frame.image.data * 3 - 200
    spoilt[:, 10:16, 10:16, 10:16] = spoilt.max()
    fit = Anchor(fixed).fit(frame.image.with_data(spoilt))
    assert error_mm(fit.transform, frame.truth, head[0].labels).mean() / 4 < tolerances.FRAME_VOXELS


def test_few_slices_move_within_themselves(head):
    thin = HEAD.crop((0, 0, 12), (48, 48, 16))
    assert suited_model(thin) == "in-plane" and suited_model(HEAD) == suited_model(SLICE) == "rigid"
    image = resample(head[0].image, thin)
    motion = Rigid.identity(3, thin.centre).retract([0, 0, 0.04, 5, -3, 0])
    fit = Anchor(image, "in-plane").fit(resample(head[0].image, thin, motion.inverse()))
    corners = thin.corners()
    assert np.allclose(fit.transform(corners)[:, 2], corners[:, 2])
    assert np.abs(fit.transform(corners) - motion(corners)).max() / 4 < 3 * tolerances.FRAME_VOXELS


def test_refusals(plane):
    with pytest.raises(UsageError, match="did you mean 'rigid'"):
        Anchor(plane[0].image, "rigit")
    with pytest.raises(InputError, match="constant"):
        Anchor(Image(np.ones((1, 8, 8)), Grid((8, 8), np.eye(3))))
    with pytest.raises(InputError, match="3-D, expected 2-D"):
        Tracker(plane[0].image)(Image.from_array(np.zeros((4, 4, 4))))


def test_a_lost_target_is_said_and_found_again(plane, rng):
    tracker = Tracker(plane[0].image)
    assert not tracker(plane[1].image).lost
    here = tracker.lost, tracker(plane[1].image).transform
    for nothing in (rng.random((1, *SLICE.shape)), np.zeros((1, *SLICE.shape))):
        found = tracker(Image(nothing.astype(np.float32), SLICE))
        assert found.lost and tracker.lost and found.confidence < 0.3
        assert np.allclose(found.transform.matrix, here[1].matrix)
    for truth in (Rigid.from_params([np.radians(50), 40, -25], SLICE.centre), Rigid.from_params([0, -45, 40], SLICE.centre)):
        found = tracker(resample(plane[0].image, SLICE, truth.inverse()))
        assert not found.lost and error_mm(found.transform, truth, plane[0].labels).mean() < 1


def test_another_body_is_not_the_target(plane):
    other = next(sequence("breathing", 1, SLICE)).image
    assert Tracker(plane[0].image)(other).lost


def test_frames_that_do_not_fit_take_the_motion_of_their_neighbours(plane, rng):
    images = [frame.image for frame in plane]
    images[2] = Image(rng.random((1, *SLICE.shape)).astype(np.float32), SLICE)
    motion = settled(follow(images, images[0], "rigid"))
    assert motion.uncertain.tolist() == [False, False, True, False, False]
    assert np.allclose(motion.parameters[2], motion.parameters[[1, 3]].mean(0), atol=1e-9)
    steps = motion.framewise_displacement
    assert steps[0] == 0 and np.allclose(steps[1], np.abs(motion.parameters[1, :2] - motion.parameters[0, :2]).sum()
                                         + 50 * np.radians(abs(motion.parameters[1, 2] - motion.parameters[0, 2])))
    with pytest.raises(InputError, match="no frame looks like"):
        settled(follow([images[2]] * 3, images[0], "rigid"))


def test_the_mean_prefers_no_frame(plane):
    images = [frame.image for frame in plane]
    mean = mean_image(images, "rigid")
    found = settled(follow(images, mean, "rigid"))
    back = [frame.truth for frame in plane]
    for k in (1, 3):  # from frame 0 to frame k by way of the mean
        points = SLICE.with_shape((5, 5)).points().reshape(-1, 2)
        by_mean = found.transforms[k](found.transforms[0].inverse()(points))
        assert np.linalg.norm(by_mean - back[k](points), axis=-1).max() / 1.75 < 4 * tolerances.FRAME_VOXELS


def test_noise_of_a_frame_in_the_mean_does_not_hold_it(plane, rng):
    image, model = plane[0].image, "rigid"
    truths = [Rigid.identity(2, SLICE.centre).retract([0.03 * k, 2 * k, -k]) for k in range(4)]
    noise = 0.25 * image.data.max()
    frames = [(moved := resample(image, SLICE, truth.inverse())).with_data(
        moved.data + noise * rng.standard_normal(moved.data.shape).astype(np.float32)) for truth in truths]
    found = settled(follow(frames, mean_image(frames, model), model))
    points = SLICE.world(np.argwhere(np.isin(plane[0].labels.array, (2, 41, 3, 42))))
    step = found.transforms[3](found.transforms[0].inverse()(points)) - truths[3](points)
    assert np.linalg.norm(step, axis=1).mean() / 1.75 < 0.3


def test_smoothing_in_time_is_a_gaussian_that_forgets_nothing(rng):
    values = rng.standard_normal((30, 2, 3))
    smoothed = np.stack(list(smooth_in_time(values, 1.5)))
    middle = np.stack(list(smooth_in_time(np.eye(31)[15][:, None], 1.5)))[:, 0]
    assert smoothed.shape == values.shape and np.isclose(middle.sum(), 1) and middle.argmax() == 15
    assert np.allclose(np.stack(list(smooth_in_time(np.ones((7, 1)), 2))), 1)
    assert np.allclose(smoothed[15], sum(middle[k] * values[k] for k in range(31 - 1)), atol=1e-6)
