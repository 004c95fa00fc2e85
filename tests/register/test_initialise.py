"""The first position: plain starts, and the search, which finds any pose and says how sure it is."""
from dataclasses import replace

import numpy as np
import pytest
import tolerances as tol

from voxalign.core import Grid, Image, kernels
from voxalign.phantom import contrast, error_mm, head, rigid
from voxalign.register import Settings, register
from voxalign.register.initialise import PLAIN, remarks, rotations, searched, start
from voxalign.register.prepare import scale
from voxalign.register.search import confidence
from voxalign.transforms import Similarity

HEAD = Grid((32, 38, 34), np.array([[6.0, 0, 0, -93], [0, 6, 0, -106], [0, 0, 6, -114], [0, 0, 0, 1]]))
SLICE = Grid((64, 76), np.array([[3.0, 0, -94], [0, 3, -108], [0, 0, 1]]))


@pytest.fixture(scope="module")
def labels() -> dict[int, Image]:
    return {3: head(HEAD, 1), 2: head(SLICE, 1)}


def turned(labels: Image, angle: float, axis=(0.5, -0.3, 1.0), shift=(20.0, -30.0, 10.0), kinds=("T1", "T1")):
    """Two contrasts of a head, the second turned by its header, and the truth."""
    images = [contrast(labels, kind, np.random.default_rng(k)) for k, kind in enumerate(kinds)]
    truth = rigid(angle, axis, shift[: labels.dim])
    return images[0], placed(images[1], truth.matrix), truth


def placed(image: Image, matrix: np.ndarray) -> Image:
    return replace(image, grid=Grid(image.grid.shape, matrix @ image.grid.affine))


def found(fixed: Image, moving: Image, sizes: bool = False):
    return searched(scale(fixed), scale(moving), sizes)


def far(transform, truth, labels: Image) -> float:
    """Mean mm over the head."""
    return float(error_mm(transform, truth, labels, np.unique(labels.array)[1:]).mean())


@pytest.mark.parametrize("name", PLAIN)
def test_plain_starts_only_shift(labels, name):
    fixed, moving, _ = turned(labels[3], 0)
    position = start(scale(fixed), scale(moving), name)
    assert np.allclose(position.matrix[:3, :3], np.eye(3))
    shift = [0, 0, 0] if name == "headers" else [20, -30, 10]
    assert np.abs(position.matrix[:3, 3] - shift).max() < tol.START_MM


@pytest.mark.parametrize("angle", [0, 90, 180])
@pytest.mark.parametrize("kinds", [("T1", "T1"), ("T1", "T2")])
def test_any_turn_is_found(labels, angle, kinds):
    fixed, moving, truth = turned(labels[3], angle, kinds=kinds)
    position, facts = found(fixed, moving)
    assert far(position, truth, labels[3]) < tol.START_MM
    assert facts.confidence > 0.9 and not remarks(facts)


@pytest.mark.parametrize("angle", [0, 60, 90, 180, 300])
def test_any_turn_is_found_in_a_plane(labels, angle):
    fixed, moving, truth = turned(labels[2], angle, (0, 0, 1))
    position, facts = found(fixed, moving)
    assert far(position, truth, labels[2]) < tol.START_MM and facts.confidence > 0.9


@pytest.mark.parametrize("side", ["left", "front", "top"])
def test_half_of_the_moving_image_is_missing(labels, side):
    fixed, moving, truth = turned(labels[3], 120)
    axis = ["left", "front", "top"].index(side)
    half = moving.data.take(range(moving.grid.shape[axis] // 2, moving.grid.shape[axis]), axis + 1)
    begin = [moving.grid.shape[k] // 2 * (k == axis) for k in range(3)]
    moving = Image(half, moving.grid.crop(begin, moving.grid.shape))
    assert far(found(fixed, moving)[0], truth, labels[3]) < tol.START_MM


def test_half_of_the_fixed_image_is_missing(labels):
    fixed, moving, truth = turned(labels[3], 90)
    fixed = Image(fixed.data[:, :, :19], fixed.grid.crop((0, 0, 0), (32, 19, 34)))
    assert far(found(fixed, moving)[0], truth, labels[3]) < tol.START_MM


def test_origins_metres_apart(labels):
    fixed, moving, truth = turned(labels[3], 40, shift=(3000.0, -2000.0, 500.0))
    assert far(found(fixed, moving)[0], truth, labels[3]) < tol.START_MM


def test_headers_that_swap_axes(labels):
    fixed, moving, _ = turned(labels[3], 0)
    swap = np.array([[0, 0, 1.0, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    position, _ = found(fixed, placed(moving, swap))
    truth = placed(fixed, swap @ rigid(0, (0, 0, 1), (20.0, -30, 10)).matrix).grid.affine @ fixed.grid.inverse_affine
    assert np.abs(position(HEAD.corners()) - (HEAD.corners() @ truth[:3, :3].T + truth[:3, 3])).max() < 3 * tol.START_MM


def test_another_size_is_seen_where_it_may_be(labels):
    fixed, moving, _ = turned(labels[3], 90)
    moving = placed(moving, np.diag([0.1, 0.1, 0.1, 1]))
    position, _ = found(fixed, moving, sizes=True)
    assert isinstance(position, Similarity)
    assert np.isclose(np.linalg.det(position.matrix) ** (1 / 3), 0.1, rtol=0.1)
    assert np.isclose(np.linalg.det(found(fixed, moving)[0].matrix), 1)


def test_a_mirrored_header_is_told(labels):
    fixed, moving, _ = turned(labels[3], 0)
    assert not found(fixed, moving)[1].mirrored
    side = labels[3].grid.points()[..., 0] > 30  # a head that is not like its own mirror image
    fixed, moving = (image.with_data(np.where(side, 0.3 * image.data, image.data)) for image in (fixed, moving))
    facts = found(fixed, placed(moving, np.diag([-1, 1, 1, 1.0])))[1]
    assert facts.mirrored and "mirror image" in remarks(facts)[-1]


def test_a_ball_is_uncertain_and_stays_as_the_headers_say():
    ball = Image(np.maximum(60 - np.linalg.norm(HEAD.points() - HEAD.centre, axis=-1), 0), HEAD)
    position, facts = found(ball, ball)
    assert np.abs(position(HEAD.corners()) - HEAD.corners()).max() < 3 * tol.START_MM
    assert facts.confidence < 0.1 and "uncertain" in remarks(facts)[0]


def test_confidence_grows_with_the_margin():
    values = [confidence(np.array([1.0, second])) for second in (1.0, 0.95, 0.9, 0.8, 0.5)]
    assert values == sorted(values) and 0 <= values[0] < 0.05 and values[-1] > 0.99
    assert confidence(np.array([0.0])) < 0.05


def test_same_bits_whatever_the_threads(labels):
    fixed, moving, _ = turned(labels[3], 75)
    before = kernels.get_threads()
    try:
        matrices = []
        for threads in (1, 2, 3, 1):
            kernels.set_threads(threads)
            matrices.append(found(fixed, moving)[0].matrix)
    finally:
        kernels.set_threads(before)
    assert all(np.array_equal(matrices[0], other) for other in matrices)


@pytest.mark.parametrize("dim", [2, 3])
def test_rotations_are_rotations_and_leave_no_gap(dim, rng):
    turns = rotations(dim)
    assert np.allclose(turns @ turns.swapaxes(1, 2), np.eye(dim)) and np.allclose(np.linalg.det(turns), 1)
    some = np.linalg.qr(rng.normal(size=(200, dim, dim)))[0]
    some[np.linalg.det(some) < 0, 0] *= -1
    cosine = (np.einsum("aij,bij->ab", some, turns).max(1) - (dim - 2)) / 2
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < (30 if dim == 3 else 3)


@pytest.mark.parametrize("initial", ["search", "headers", "centres", "moments", "none"])
def test_registration_from_every_start(labels, initial):
    fixed, moving, truth = turned(labels[3], 4, shift=(3.0, -4, 2))
    result = register(fixed, moving, Settings(transform="rigid", initial=initial))
    assert far(result.transform, truth, labels[3]) < tol.LINEAR_MM
    assert (result.start_confidence is None) == (initial != "search")


def test_a_registration_says_that_its_start_is_uncertain():
    ball = Image(np.maximum(60 - np.linalg.norm(HEAD.points() - HEAD.centre, axis=-1), 0), HEAD)
    result = register(ball, ball, Settings(transform="rigid"))
    assert result.start_confidence < 0.1 and any("start is uncertain" in note for note in result.notes)
