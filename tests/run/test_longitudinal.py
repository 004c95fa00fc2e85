import numpy as np
import pytest

from voxalign import io
from voxalign.core import Grid, Image, InputError, UsageError
from voxalign.phantom import image_pair, rigid, shapes
from voxalign.phantom.pair import Scan
from voxalign.run.longitudinal import OUTPUTS, LongitudinalJob, longitudinal_files, trial_files
from voxalign.run.study import read_table
from voxalign.run.volumes import Structure, effect, joined, percent, structures

UNCHANGED_PERCENT = 5.0  # of what a map may show where nothing changed; before it was smoothed it showed 13
GRID = Grid((26, 24, 22), np.array([[8.0, 0, 0, -104], [0, 8, 0, -96], [0, 0, 8, -98], [0, 0, 0, 1]]))


@pytest.fixture(scope="module")
def files(tmp_path_factory, request):
    from voxalign.phantom import head_anatomy

    folder = tmp_path_factory.mktemp("times")
    pair = image_pair(head_anatomy(np.random.default_rng(0)), (GRID, GRID), rigid(3, (0, 0, 1), (4, 2, 0)), scan=Scan(1))
    for name, image in {"1": pair.fixed, "2": pair.moving, "l1": pair.fixed_labels, "l2": pair.moving_labels}.items():
        io.save(image, folder / f"{name}.nii.gz")
    return folder


def test_all_results_are_there_and_swapping_times_negates_changes(files, tmp_path):
    times, labels = (files / "1.nii.gz", files / "2.nii.gz"), (files / "l1.nii.gz", files / "l2.nii.gz")
    found = longitudinal_files(LongitudinalJob(times, tmp_path / "a", labels))
    swapped = longitudinal_files(LongitudinalJob(times[::-1], tmp_path / "b", labels[::-1], report=False))
    assert {p.name for p in (tmp_path / "a").iterdir()} == set(OUTPUTS)
    assert (tmp_path / "a" / "report.html").read_text().count("data:image/jpeg") == 1  # where it changed
    back = {row["label"]: row for row in swapped["changes"]}
    for row in found["changes"]:
        assert row["value_percent"] == pytest.approx(-back[row["label"]]["value_percent"], abs=1e-6)
    one, other = (io.load(tmp_path / k / "maps" / "change-1-2.nii.gz").data for k in "ab")
    assert np.allclose(one, -other, atol=1e-4) and np.abs(one).max() > 0
    assert np.percentile(np.abs(one), 95) < UNCHANGED_PERCENT  # coarse voxels, and nothing changed
    assert next(row["label"] for row in read_table(tmp_path / "a" / "volumes.tsv")) == "2"


def test_a_trial(files, tmp_path):
    lines = ["subject\tarm\tvisit\timage\tlabels"]
    people = (("s1", "drug"), ("s2", "placebo"))
    lines += [f"{name}\t{arm}\t{visit}\t{visit}.nii.gz\tl{visit}.nii.gz" for name, arm in people for visit in "12"]
    (files / "trial.tsv").write_text("\n".join(lines))
    trial_files(files / "trial.tsv", tmp_path / "out")
    rows = read_table(tmp_path / "out" / "effects.tsv")
    assert {(row["arm"], row["other"], row["visit"]) for row in rows} == {("drug", "placebo", "2")}
    assert all(float(row["difference_percent"]) == 0 and row["p"] == "n/a" for row in rows)
    (files / "bad.tsv").write_text("\n".join([*lines, "s1\tplacebo\t3\t1.nii.gz\tl1.nii.gz"]))
    with pytest.raises(InputError, match="expected one arm"):
        trial_files(files / "bad.tsv", tmp_path / "bad")


def test_refusals(files, tmp_path):
    with pytest.raises(UsageError, match="at least two"):
        LongitudinalJob((files / "1.nii.gz",), tmp_path)
    with pytest.raises(UsageError, match="label maps"):
        LongitudinalJob((files / "1.nii.gz",) * 3, tmp_path, (files / "l1.nii.gz",) * 2)


def test_volumes_and_intervals(rng):
    labels = shapes(Grid((40, 30, 30), np.array([[5.0, 0, 0, -98], [0, 5, 0, -72], [0, 0, 5, -80], [0, 0, 0, 1]])))
    noise = [np.ones(labels.grid.shape, np.float32), 0.9 + 0.05 * rng.standard_normal(labels.grid.shape).astype(np.float32)]
    for one in structures(labels, noise).values():
        change = one.change(0, 1)
        assert change.low < percent(1, 0.9) < change.high and change.high - change.low < 4
        back = one.change(1, 0)
        assert (back.value, back.low, back.high) == pytest.approx((-change.value, -change.high, -change.low))


def test_intervals_cover_what_they_say(rng):
    hits = 0
    for _ in range(400):
        parts = np.stack([np.full(7, 3.0), 3.0 * (1 + 0.02 * rng.standard_normal(7))], 1)
        found = Structure(parts.sum(0), parts).change(0, 1)
        hits += found.low <= 0 <= found.high
    assert 0.9 < hits / 400 < 0.99


def test_label_maps_are_averaged():
    one, two = (Structure(np.array([a, a + 1.0]), np.empty((0, 2))) for a in (10, 12))
    found = joined([{1: one, 2: one}, {1: two}])
    assert list(found) == [1] and found[1].volumes.tolist() == [11, 12]
    assert np.isnan(found[1].change(0, 1).low)


def test_effects_are_those_of_welch(rng):
    from scipy.stats import ttest_ind

    a, b = rng.normal(0, 1, 9), rng.normal(1, 3, 14)
    found, expected = effect(a, b), ttest_ind(a, b, equal_var=False)
    interval = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high))
    assert np.isnan(effect([1.0], [2.0, 3]).p)


def test_tables_that_are_none(tmp_path):
    path = tmp_path / "t.csv"
    for text in ("", "subject,arm\n", "subject,arm\n1\n"):
        path.write_text(text)
        with pytest.raises(InputError):
            read_table(path, ("subject",))
    path.write_text("subject,arm\n1, a\n")
    assert read_table(path, ("arm",)) == [{"subject": "1", "arm": "a"}]


def test_images_of_one_value_are_refused(tmp_path):
    for k in range(2):
        io.save(Image(np.ones((1, *GRID.shape)), GRID), tmp_path / f"{k}.nii.gz")
    with pytest.raises(InputError, match="expected contrast"):
        longitudinal_files(LongitudinalJob((tmp_path / "0.nii.gz", tmp_path / "1.nii.gz"), tmp_path / "out"))
