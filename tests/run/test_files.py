import gzip
import json
import shutil

import numpy as np
import pytest
from pairs import QUICK, blobs

from voxalign import io
from voxalign.core import InputError, Points, UsageError
from voxalign.run.choose import Choose
from voxalign.run.config import configure
from voxalign.run.files import Inputs, Job, plan, register_files

QUICKLY = configure(QUICK)


@pytest.fixture(scope="module")
def everything(tmp_path_factory, pair):
    """A job with labels, points and masks, done."""
    folder = tmp_path_factory.mktemp("everything")
    for name, shift in (("fixed", (0, 0, 0)), ("moving", (2, -3, 4))):
        io.save(blobs(shift, is_label=True), folder / f"{name}_labels.nii.gz")
        io.save(blobs(shift, is_label=True), folder / f"{name}_mask.nii.gz")
        io.save_points(Points(np.array([[0.0, 0, 0], [6, 4, 3]]) + shift, ("a", "b")), folder / f"{name}_points.csv")
    names = [f"{side}_{kind}" for kind in ("labels", "points", "mask") for side in ("fixed", "moving")]
    files = {name: next(folder.glob(f"{name}.*")) for name in names}
    return register_files(Job(Inputs(*pair, **files), folder / "out", QUICKLY))


def test_what_is_there(everything):
    names = {p.name for p in everything.out.iterdir()}
    assert names == {"moved.nii.gz", "transform.h5", "inverse.h5", "metrics.json", "run.json", "before_after.png", "report.html"}
    assert json.loads((everything.out / "run.json").read_text()) == json.loads(json.dumps(everything.record))


def test_scores(everything):
    scores = json.loads((everything.out / "metrics.json").read_text())
    assert set(scores) >= {"before", "after", "folded_percent", "sd_log_jacobian", "inverse_error_mm"}
    assert set(scores["after"]) >= {"dice", "dice_by_label", "hd95_mm", "tre_mm"}
    assert scores["before"]["tre_mm"] == pytest.approx(np.sqrt(29))
    assert scores["after"]["tre_mm"] < 0.5 < scores["before"]["tre_mm"]
    assert set(scores["after"]["dice_by_label"]) == {"1", "2", "3"}
    assert scores["after"]["dice"] > 0.9 > scores["before"]["dice"]
    assert scores["after"]["hd95_mm"] < scores["before"]["hd95_mm"]
    assert scores["folded_percent"] == 0 and scores["inverse_error_mm"] < 1e-3


def test_files_agree_with_each_other(everything):
    forward, back = (io.load_transform(everything.out / name) for name in ("transform.h5", "inverse.h5"))
    points = np.array([[1.0, 2, 3], [-5, 6, 7]])
    assert np.allclose(back(forward(points)), points, atol=1e-4)
    assert io.load(everything.out / "moved.nii.gz").grid.is_close(blobs().grid)


def test_record(everything, pair):
    record = everything.record
    assert record["inputs"]["fixed"] == {"name": "fixed.nii.gz", "sha256": io.sha256(pair[0])}
    for name, value in record["outputs"].items():
        assert io.sha256(everything.out / name) == value
    assert configure(record["configuration"]) == QUICKLY
    assert {"load", "score", "write", "total"} <= set(record["seconds"])
    assert str(pair[0].parent) not in json.dumps(record)


def test_without_pictures_labels_or_points(tmp_path, pair):
    done = register_files(Job(Inputs(*pair), tmp_path / "out", QUICKLY, report=False))
    assert done.metrics["before"] == {} == done.metrics["after"]
    assert not list(done.out.glob("*.png"))


def test_results_are_kept_unless_overwritten(tmp_path, pair):
    job = Job(Inputs(*pair), tmp_path, QUICKLY, report=False)
    register_files(job)
    with pytest.raises(InputError, match="already holds"):
        register_files(job)
    register_files(Job(Inputs(*pair), tmp_path, QUICKLY, report=False, overwrite=True))


def test_the_same_file_twice_is_said(tmp_path, pair):
    shutil.copy(pair[0], tmp_path / "copy.nii.gz")
    done = register_files(Job(Inputs(pair[0], tmp_path / "copy.nii.gz"), tmp_path / "out", QUICKLY, report=False))
    assert any("same file" in warning for warning in done.record["warnings"])
    assert np.abs(io.load_transform(tmp_path / "out" / "transform.h5")([1.0, 2, 3]) - [1, 2, 3]).max() < 0.1


def test_an_input_that_changes_meanwhile(tmp_path, pair):
    moving = tmp_path / "moving.nii.gz"
    shutil.copy(pair[1], moving)
    with pytest.raises(InputError, match="changed while it was in use"):
        register_files(Job(Inputs(pair[0], moving), tmp_path / "out", QUICKLY, report=False), lambda step: moving.write_bytes(b""))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ZeroDivisionError])
def test_nothing_is_left_when_it_stops(tmp_path, pair, error):
    def stop(step):
        raise error
    with pytest.raises(error):
        register_files(Job(Inputs(*pair), tmp_path / "out", QUICKLY), stop)
    assert list(tmp_path.iterdir()) == []


def test_plan_writes_nothing(tmp_path, pair):
    planned = plan(Job(Inputs(*pair), tmp_path / "out", QUICKLY))
    assert planned["memory_forecast_mb"] > 0 and "28x30x26" in planned["fixed"]
    assert list(tmp_path.iterdir()) == []


def test_inputs_that_cannot_be(tmp_path, pair):
    with pytest.raises(UsageError, match="--fixed-labels and --moving-labels go together"):
        Inputs(*pair, fixed_labels=pair[0])
    with pytest.raises(InputError, match="no such file"):
        Inputs(pair[0], tmp_path / "none.nii")
    flat = tmp_path / "flat.nii.gz"
    io.save(blobs(shape=(20, 22)), flat)
    with pytest.raises(InputError, match="2-D"):
        register_files(Job(Inputs(pair[0], flat), tmp_path / "out", QUICKLY))


def test_points_must_be_pairs_and_are_matched_by_name(tmp_path, pair):
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    io.save_points(Points(np.array([[0.0, 0, 0], [6, 4, 3]]), ("a", "b")), files[0])
    io.save_points(Points(np.array([[8.0, 1, 7], [2, -3, 4]]), ("b", "a")), files[1])
    inputs = Inputs(*pair, fixed_points=files[0], moving_points=files[1])
    done = register_files(Job(inputs, tmp_path / "out", QUICKLY, report=False))
    assert done.metrics["before"]["tre_mm"] == pytest.approx(np.sqrt(29))
    io.save_points(Points(np.zeros((1, 3))), files[1])
    with pytest.raises(InputError, match="2 fixed and 1 moving points"):
        register_files(Job(inputs, tmp_path / "other", QUICKLY, report=False))


def test_one_volume_of_several(tmp_path, pair):
    import nibabel

    grid = blobs().grid
    series = np.stack([np.zeros(grid.shape), blobs((2, -3, 4)).array], -1).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(series, grid.affine), tmp_path / "series.nii.gz")
    inputs = Inputs(pair[0], tmp_path / "series.nii.gz")
    with pytest.raises(InputError, match="--frame"):
        register_files(Job(inputs, tmp_path / "out", QUICKLY))
    register_files(Job(inputs, tmp_path / "out", QUICKLY, Choose(frame=1), report=False))
    assert np.allclose(io.load_transform(tmp_path / "out" / "transform.h5")([0.0, 0, 0]), [2, -3, 4], atol=0.5)


def test_damaged_files_leave_no_folder(tmp_path, pair):
    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_bytes(gzip.compress(b"nothing of the kind" * 99))
    with pytest.raises(InputError, match=r"damaged\.nii\.gz"):
        register_files(Job(Inputs(pair[0], damaged), tmp_path / "out", QUICKLY))
    assert not (tmp_path / "out").exists()


def test_two_dimensions(tmp_path):
    for name, shift in (("fixed", (0, 0)), ("moving", (2, -3))):
        io.save(blobs(shift, shape=(40, 44)), tmp_path / f"{name}.nii.gz")
    done = register_files(Job(Inputs(tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz"), tmp_path / "out", QUICKLY))
    assert io.load(done.out / "moved.nii.gz").dim == 2
    assert np.allclose(io.load_transform(done.out / "transform.h5")([0.0, 0]), [2, -3], atol=0.5)
