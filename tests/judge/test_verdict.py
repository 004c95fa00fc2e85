"""The verdict: what must pass, what must never pass, and that its parts mean what they say."""
import json
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from pairs import blobs

from voxalign.core import Grid, Identity, Image, Points, compose
from voxalign.judge import judge, uncertainty
from voxalign.judge.lines import Lines, shipped
from voxalign.judge.matching import Matching
from voxalign.judge.places import CLUES, affine_part
from voxalign.judge.signals import measure
from voxalign.judge.verdict import _sentence
from voxalign.judge.views import View
from voxalign.phantom import Motion, Pair, error_mm, failures, head_pair, limb, rigid, slice_pair
from voxalign.phantom.contrast import contrast
from voxalign.register import Registration, Settings, register
from voxalign.register.prepare import foreground, scale

GENTLE = Motion(amplitude_mm=3.0)
SETTINGS = Settings(device="cpu")


def middle(image: Image) -> np.ndarray:
    return image.grid.world(np.argwhere(foreground(scale(image))).mean(0))


@pytest.fixture(scope="module")
def head() -> tuple[Pair, Registration]:
    pair = head_pair(3, 4.5, motion=GENTLE)
    return pair, register(pair.fixed, pair.moving, SETTINGS)


@pytest.fixture(scope="module")
def section() -> tuple[Pair, Registration]:
    pair = slice_pair(2, 1.6, motion=GENTLE)
    return pair, register(pair.fixed, pair.moving, SETTINGS)


def status(pair: Pair, found: Registration) -> str:
    return judge(found, pair.fixed, pair.moving).status


# ---------------------------------------------------------------- what it says
def test_good_registrations_pass(head, section):
    for pair, found in (head, section):
        body = pair.fixed_labels.grid.world(np.argwhere(pair.fixed_labels.array > 0))
        verdict = judge(found, pair.fixed, pair.moving)
        assert error_mm(found.transform, pair.truth, body).mean() < verdict.limit_mm == 2
        assert verdict.status == "PASS" and verdict.probability < 0.2


@pytest.mark.parametrize("degrees", [15, 170])
def test_a_turn_left_over_never_passes(head, section, degrees):
    for pair, found in (head, section):
        shift = np.zeros(pair.fixed.dim)
        wrong = failures.left_over(found.transform, middle(pair.fixed), degrees, shift, (0.3, 0.2, 1))
        verdict = judge(replace(found, transform=wrong), pair.fixed, pair.moving)
        assert verdict.status != "PASS" and verdict.reasons


def test_forty_degrees_left_over_are_a_failure(head):
    pair, found = head
    wrong = failures.left_over(found.transform, middle(pair.fixed), 40.0, np.zeros(3), (0.3, 0.2, 1))
    assert status(pair, replace(found, transform=wrong)) == "FAIL"


@pytest.mark.parametrize("shift", [8, 60])
def test_a_shift_left_over_never_passes(head, section, shift):
    for pair, found in (head, section):
        along = np.zeros(pair.fixed.dim)
        along[1] = shift
        assert status(pair, replace(found, transform=failures.left_over(found.transform, middle(pair.fixed), 0.0, along))) != "PASS"


@pytest.mark.parametrize("depth", [1.3, 4])
def test_a_folded_field_never_passes(head, section, depth):
    for pair, found in (head, section):
        wrong = failures.folded(found.transform, pair.fixed.grid, np.random.default_rng(1), depth)
        assert status(pair, replace(found, transform=wrong)) != "PASS"


@pytest.mark.parametrize("grain", [0.0, 15.0])
def test_noise_never_passes(head, section, grain):
    pair, _ = section if grain else head
    noise = failures.nothing(pair.moving, np.random.default_rng(int(grain)), grain)
    assert status(replace(pair, moving=noise), register(pair.fixed, noise, SETTINGS)) != "PASS"


@pytest.fixture(scope="module")
def leg() -> Image:
    matrix = np.diag([5.0, 5.0, 5.0, 1.0])
    matrix[:3, 3] = -90, -90, -130
    return contrast(limb(Grid((36, 36, 52), matrix), 1), "T1", 1)


@pytest.mark.parametrize("factor", [1.0, 0.1])
def test_another_body_never_passes(head, leg, factor):
    """A leg on a head, and one as small as a mouse's; and the head on them."""
    other = Image(leg.data, Grid(leg.grid.shape, np.diag([factor] * 3 + [1]) @ leg.grid.affine))
    pair, _ = head
    for fixed, moving in ((pair.fixed, other), (other, pair.fixed)):
        assert judge(register(fixed, moving, SETTINGS), fixed, moving).status != "PASS"


def test_a_mouse_on_a_man_never_passes(data):
    from voxalign import load, resample

    mouse, man = (load(data / name) for name in ("mouse/animal-1/mr.nii.gz", "brain/subject-a/t1.nii.gz"))
    man, mouse = resample(man, man.grid.with_spacing(4.0)), resample(mouse, mouse.grid.with_spacing(0.3))
    for fixed, moving in ((man, mouse), (mouse, man)):
        assert judge(register(fixed, moving, SETTINGS), fixed, moving).status != "PASS"


# ---------------------------------------------------------------- what it is made of
def test_what_is_shipped_never_gets_better_as_a_signal_gets_worse():
    for name in ("verdict", "uncertainty"):
        for at, adds in shipped(name).corners.values():
            assert (np.diff(at) > 0).all() and (np.diff(adds) >= 0).all() and adds[0] == 0
    limits = shipped("verdict").constants
    assert 0 < limits["pass_below"] < limits["fail_above"] < 1


def test_every_signal_has_words_and_every_line_a_signal(section):
    pair, found = section
    limit, signals = measure(found, pair.fixed, pair.moving)
    assert set(shipped("verdict").corners) <= set(signals)
    assert set(shipped("uncertainty").corners) <= {*CLUES, "log_odds"}
    for name, value in signals.items():
        assert np.isfinite(value) and _sentence(name, value, limit)


def test_lines():
    model = Lines(-1.0, {"a": ((0.0, 2.0), (0.0, 4.0))}, {})
    assert [model({"a": v}) for v in (-5, 0, 1, 2, 9)] == [-1, -1, 1, 3, 3]
    assert json.loads(files("voxalign.judge").joinpath("verdict.json").read_text())["bias"] == shipped("verdict").bias


def test_reasons_name_numbers(head):
    pair, found = head
    wrong = failures.inflated(found.transform, middle(pair.fixed), 1.9)
    verdict = judge(replace(found, transform=wrong), pair.fixed, pair.moving)
    assert verdict.status == "FAIL" and verdict.signals["stretch"] == pytest.approx(np.log(1.9), abs=0.05)
    assert _sentence("stretch", np.log(1.9), 2.0) == "the affine scales by 1.90"
    assert _sentence("outside", 0.88, 2.0) == "fields of view overlap by 12% of the fixed body"


def test_small_bodies_are_judged_by_their_voxels(head):
    pair, _ = head
    small = [Image(i.data, Grid(i.grid.shape, np.diag([0.1, 0.1, 0.1, 1]) @ i.grid.affine)) for i in (pair.fixed, pair.moving)]
    found = register(*small, SETTINGS)
    verdict = judge(found, *small)
    assert verdict.limit_mm == pytest.approx(0.9) and verdict.status == "PASS"
    wrong = failures.left_over(found.transform, middle(small[0]), 0.0, np.array([4.0, 0, 0]))
    assert judge(replace(found, transform=wrong), *small).status != "PASS"


def test_images_that_share_nothing(head):
    pair, found = head
    away = replace(found, transform=compose([rigid(0, (0, 0, 1), (1e4, 0, 0)), found.transform]))
    verdict = judge(away, pair.fixed, pair.moving)
    assert verdict.status == "FAIL" and verdict.signals["outside"] == 1


# ---------------------------------------------------------------- matching
def test_a_shift_is_seen_and_measured():
    fixed = blobs(shape=(40, 44, 38))
    for axis in range(3):
        shift = np.zeros(3)
        shift[axis] = fixed.grid.spacing[axis]
        view = View.of((scale(fixed), scale(fixed)), rigid(0, (0, 0, 1), shift), 1.0)
        match = Matching.of(view)
        assert match.mean(match.better_beside) > 0.9
        assert match.common_offset[axis] < -0.6 and np.abs(np.delete(match.common_offset, axis)).max() < 0.1


def test_nothing_fits_better_beside_the_truth():
    fixed = blobs(shape=(40, 44, 38))
    match = Matching.of(View.of((scale(fixed), scale(fixed)), Identity(3), 1.0))
    assert match.mean(match.better_beside) < 0.05 and np.abs(match.common_offset).max() < 0.01


def test_the_affine_part_of_an_affine_map_is_itself():
    points = np.random.default_rng(0).normal(size=(50, 3))
    turn = rigid(30, (1, 2, 3), (4.0, 5, 6))
    matrix, apart = affine_part(turn, points)
    assert np.allclose(matrix, turn.matrix) and apart < 1e-12


def test_a_volume_of_one_slice_is_not_stretched_across_it(section):
    """Its points tell nothing about that direction."""
    pair, _ = section
    grid = Grid((*pair.fixed.grid.shape, 1), np.diag([*pair.fixed.grid.spacing, 5.0, 1.0]))
    fixed = Image(pair.fixed.array[..., None], grid)
    verdict = judge(Registration(Identity(3), grid, grid), fixed, fixed)
    assert verdict.signals["stretch"] == pytest.approx(0, abs=1e-6) and verdict.status == "PASS"


# ---------------------------------------------------------------- the map
def test_the_map_is_larger_where_the_error_is(head):
    pair, found = head
    grid = pair.fixed.grid
    at = middle(pair.fixed) + np.array([30.0, 0, 0])
    pull = 9 * np.exp(-((grid.points() - at) ** 2).sum(-1) / (2 * 25.0**2))
    from voxalign.transforms import Displacement

    wrong = replace(found, transform=compose([Displacement.from_array(np.stack([0 * pull, pull, 0 * pull]), grid), found.transform]))
    there = at + np.array([[0.0, 0, 0], [5, 5, 0], [-5, 0, 5], [0, -8, -5]])
    maps = [uncertainty(f, judge(f, pair.fixed, pair.moving), pair.fixed, pair.moving) for f in (found, wrong)]
    before, after = (m.expected.array[tuple(np.rint(m.expected.grid.index(there)).astype(int).T)].mean() for m in maps)
    assert after > 1.5 * before


def test_bound_and_evidence(head):
    pair, found = head
    maps = uncertainty(found, judge(found, pair.fixed, pair.moving), pair.fixed, pair.moving)
    body = maps.expected.mask
    assert (maps.bound.array[body] > maps.expected.array[body]).all() and (maps.expected.array[~body] == 0).all()
    assert 0 <= maps.evidence.array.min() and maps.evidence.array.max() <= 1
    points = maps.bound.grid.world(np.argwhere(body))
    covered = np.linalg.norm(found.transform(points) - pair.truth(points), axis=1) <= maps.bound.array[body]
    assert covered.mean() > 0.8
    assert Points(points).dim == 3


def test_evidence_is_where_there_is_something_to_see(head):
    pair, found = head
    blind = pair.fixed.with_data(np.where(pair.fixed.grid.points()[..., 0] > 0, np.float32(500), pair.fixed.array))
    maps = uncertainty(found, judge(found, blind, pair.moving), blind, pair.moving)
    points = maps.evidence.grid.world(np.argwhere(maps.evidence.mask))
    values, (nothing, something) = maps.evidence.array[maps.evidence.mask], ((points[:, 0] > 25), (points[:, 0] < -25))
    assert values[something].mean() > 3 * values[nothing].mean()


def test_small_windows_alone_fail_nothing():
    """MR and CT or PET of one head, rightly aligned, share little in small windows."""
    pair = head_pair(spacing=4, moving_modality="PET", motion=Motion(amplitude_mm=0.0))
    found = register(pair.fixed, pair.moving, Settings(transform="rigid"))
    assert error_mm(found.transform, pair.truth, pair.fixed_labels).mean() < 1.5
    assert not judge(found, pair.fixed, pair.moving).failed
