import numpy as np
import pytest
import tolerances as tol
from hypothesis import given, settings
from hypothesis import strategies as st
from spaces import GRIDS, Matrix, homogeneous, rotation, smooth_image, tilt, waves

from voxalign.core import Compose, Grid, Identity, Image, InputError, UsageError, resample, sample

names = st.sampled_from(sorted(GRIDS))
seeds = st.integers(0, 2**32 - 1)


def _labels(grid: Grid, seed: int, kind: type = np.int16) -> Image:
    coarse = np.random.default_rng(seed).choice([0, 2, 3, 17, 41, 250], grid.shape)
    return Image(coarse.astype(kind), grid, is_label=True)


@settings(max_examples=30, deadline=None)
@given(names, seeds, st.sampled_from(["linear", "nearest"]))
def test_the_same_grid_changes_nothing(name, seed, interpolation):
    image = Image(np.random.default_rng(seed).normal(0, 1000, GRIDS[name].shape), GRIDS[name])
    out = resample(image, image.grid, interpolation=interpolation)
    assert np.abs(out.data - image.data).max() <= tol.IDENTITY + tol.SAME_IMAGE * np.ptp(image.data) * (interpolation == "linear")


@settings(max_examples=30, deadline=None)
@given(names, seeds)
def test_label_interpolation_never_invents_a_label(name, seed):
    labels = _labels(GRIDS[name], seed)
    moved = resample(labels, labels.grid.with_spacing(0.77), Compose((tilt(labels.dim), waves(labels.grid, 2.0))))
    assert moved.is_label and moved.data.dtype == labels.data.dtype
    assert set(np.unique(moved.data)) <= set(np.unique(labels.data)) | {0}


@settings(max_examples=30, deadline=None)
@given(names, seeds, st.permutations(range(3)), st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_the_order_and_sense_of_the_axes_do_not_matter(name, seed, order, flipped):
    rng = np.random.default_rng(seed)
    image = smooth_image(GRIDS[name], rng)
    other = _restored(image, [k for k in order if k < image.dim], flipped)
    points = image.grid.world(rng.uniform(-1, np.array(image.grid.shape), (200, image.dim)))
    index = image.grid.index(points)
    edge = np.minimum(np.abs(index + 0.5), np.abs(index + 0.5 - image.grid.shape)).min(1) < tol.KERNEL_TIE
    a, b = (sample(i.data, i.grid, points)[0] for i in (image, other))
    assert np.abs(a - b)[~edge].max() <= tol.SAME_IMAGE * np.ptp(image.data)


def _restored(image: Image, order: list[int], flipped: tuple[bool, ...]) -> Image:
    """The same physical image with permuted and reversed array axes."""
    data, affine = image.array, image.grid.affine.copy()
    for axis in range(image.dim):
        if flipped[axis]:
            data = np.flip(data, axis)
            affine[:-1, -1] += affine[:-1, axis] * (data.shape[axis] - 1)
            affine[:-1, axis] *= -1
    affine[:-1, :-1] = affine[:-1, order]
    return Image(data.transpose(order), Grid(tuple(data.shape[k] for k in order), affine))


def test_a_known_shift(grid):
    image = Image(np.random.default_rng(3).random(grid.shape), grid)
    step = grid.affine[:-1, 0]
    moved = resample(image, grid, Matrix(homogeneous(np.eye(grid.dim), step)))
    assert np.allclose(moved.array[:-1], image.array[1:], atol=tol.RESAMPLED) and np.allclose(moved.array[-1], 0)


def test_half_a_voxel_beyond_the_centres_the_edge_continues(grid):
    data = np.full((1, *grid.shape), 5, np.float32)
    ends = np.array([[-0.499] * grid.dim, np.array(grid.shape) - 0.501, [-0.501] * grid.dim, np.array(grid.shape) - 0.499])
    assert np.allclose(sample(data, grid, grid.world(ends), outside=-1)[0], [5, 5, -1, -1])


def test_labels_win_by_weight_not_by_value():
    labels = Image(np.array([[1, 9, 9], [1, 9, 9]], np.uint8), Grid((2, 3), np.eye(3)), is_label=True)
    values = sample(labels.data, labels.grid, [[0.5, 0.4], [0.5, 0.6]], "label")
    assert values.tolist() == [[1, 9]]


def test_masks_travel_with_their_image(grid):
    mask = np.ones(grid.shape, bool)
    mask[:3] = False
    image = Image(np.ones(grid.shape), grid, mask)
    assert np.array_equal(resample(image, grid).mask, mask)
    assert resample(image.with_mask(None), grid).mask is None
    shifted = resample(image, grid, Matrix(homogeneous(np.eye(grid.dim), grid.affine[:-1, 0])))
    assert not shifted.mask[:2].any() and shifted.mask[2:-1].all() and not shifted.mask[-1].any()


def test_channels_are_sampled_alike(grid):
    data = np.random.default_rng(4).random((3, *grid.shape))
    out = resample(Image(data, grid), grid, tilt(grid.dim))
    for c in range(3):
        assert np.array_equal(out.data[c], resample(Image(data[c], grid), grid, tilt(grid.dim)).array)


def test_outside_value(grid):
    far = Matrix(homogeneous(np.eye(grid.dim), (1e4,) * grid.dim))
    assert (resample(Image(np.ones(grid.shape), grid), grid, far, outside=-7).data == -7).all()


def test_two_fields_and_a_chain_agree_with_sampling_at_the_points(grid):
    image = smooth_image(grid, np.random.default_rng(5))
    for chain in (tilt(grid.dim), waves(grid), Compose((tilt(grid.dim), waves(grid))), Compose((waves(grid), tilt(grid.dim))),
                  Compose((tilt(grid.dim), waves(grid), tilt(grid.dim))), Compose((waves(grid), waves(grid, 0.5)))):
        target = grid.with_spacing(1.7)
        points = chain(target.points())
        want, got = sample(image.data, grid, points), resample(image, target, chain).data
        index = grid.index(points)
        edge = np.minimum(np.abs(index + 0.5), np.abs(index + 0.5 - grid.shape)).min(-1) < tol.KERNEL_TIE
        assert np.abs(want - got)[:, ~edge].max() <= tol.RESAMPLED * np.ptp(image.data)


def test_a_rotation_and_back_is_nearly_nothing():
    grid = GRIDS["RAS"]
    image = Image(np.cos(grid.points() / 6).sum(-1), grid)
    turn = Matrix(homogeneous(rotation((3, 4, 5)), (0, 0, 0)))
    back = resample(resample(image, grid, turn, "cubic"), grid, turn.inverse(), "cubic")
    inner = (slice(4, -4),) * 3
    assert np.abs(back.array - image.array)[inner].max() < 0.01 * np.ptp(image.data)


def test_refused():
    grid = GRIDS["RAS"]
    with pytest.raises(InputError, match="never blended"):
        resample(_labels(grid, 0), grid, interpolation="linear")
    with pytest.raises(UsageError, match="did you mean 'linear'"):
        resample(Image(np.zeros(grid.shape), grid), grid, interpolation="liner")
    with pytest.raises(InputError, match="2-D grid"):
        resample(Image(np.zeros(grid.shape), grid), GRIDS["2-D"])
    with pytest.raises(InputError, match="2-D transform"):
        resample(Image(np.zeros(grid.shape), grid), grid, Identity(2))
