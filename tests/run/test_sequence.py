import json
from dataclasses import replace

import numpy as np
import pytest

from voxalign import io, phantom
from voxalign.core import Grid, Image, InputError, UsageError, resample
from voxalign.io.sequence import open_series, writing
from voxalign.register import Settings
from voxalign.run.sequence import OUTPUTS, SequenceJob, sequence_files

GRID = Grid((40, 44, 24), np.array([[-5.0, 0, 0, 97], [0, 5, 0, -105], [0, 0, 6, -85], [0, 0, 0, 1]]))


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    path = tmp_path_factory.mktemp("series") / "moving.nii.gz"
    image = next(phantom.sequence("drifting", 1, GRID)).image
    truths = [phantom.rigid(2.0 * k, (0, 0.3, 1), (2.0 * k, -k, 0.5 * k)) for k in range(4)]
    with writing(path, 4, 2.0) as append:
        for truth in truths:
            append(resample(image, GRID, truth.inverse()))
    return path, truths


def test_all_results_are_there_and_agree(series, tmp_path):
    path, truths = series
    steps = []
    outcome = sequence_files(SequenceJob((path,), tmp_path / "out", fixed="first"), steps.append)
    assert {p.name for p in (tmp_path / "out").iterdir()} == set(OUTPUTS)
    aligned = open_series([tmp_path / "out" / "aligned.nii.gz"])
    assert len(aligned) == 4 and aligned.seconds == 2 and aligned.grid.is_close(GRID)
    transform = io.load_transform(tmp_path / "out" / "transforms" / "0002.h5")
    assert phantom.error_mm(transform, truths[2], GRID.with_shape((4, 4, 4)).points().reshape(-1, 3)).mean() < 0.5
    frame = open_series([path]).frame(2)
    assert np.allclose(aligned.frame(2).data, resample(frame, GRID, transform).data, atol=1e-3 * frame.data.max())
    assert outcome.metrics["temporal_deviation_percent"]["after"] < 0.6 * outcome.metrics["temporal_deviation_percent"]["before"]
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert not any("vary more" in note for note in record["notes"])
    assert record["inputs"]["frames"]["name"] == "moving.nii.gz" and str(tmp_path) not in json.dumps(record)
    assert [step.fraction for step in steps] == sorted(step.fraction for step in steps)


def test_the_table(series, tmp_path):
    sequence_files(SequenceJob((series[0],), tmp_path / "out", report=False))
    lines = [line.split("\t") for line in (tmp_path / "out" / "motion.tsv").read_text().splitlines()]
    assert lines[0] == ["frame", "seconds", "x_mm", "y_mm", "z_mm", "rotation_x_degrees", "rotation_y_degrees", "rotation_z_degrees",
                        "framewise_displacement_mm", "confidence", "uncertain"]
    assert [row[:2] for row in lines[1:]] == [["0", "0"], ["1", "2"], ["2", "4"], ["3", "6"]]
    assert not (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize("motion", ["breathing", "drifting"])
def test_alignment_that_does_good_gets_no_remark(motion, tmp_path):
    grid = Grid((32, 36), np.array([[-6.0, 0, 93], [0, 6, -106], [0, 0, 1]]))
    with writing(tmp_path / "in.nii.gz", 5) as append:
        for frame in phantom.sequence(motion, 5, grid):
            append(frame.image)
    outcome = sequence_files(SequenceJob((tmp_path / "in.nii.gz",), tmp_path / "out", report=False))
    spread = outcome.metrics["temporal_deviation_percent"]
    assert spread["after"] < spread["before"] and not any("vary more" in note for note in outcome.record["notes"])


def test_deformable(tmp_path):
    grid = Grid((50, 44), np.array([[-8.0, 0, 196], [0, 7, -150], [0, 0, 1]]))
    frames = [frame.image for frame in phantom.sequence("beating", 3, grid)]
    paths = tuple(tmp_path / f"{k}.nii.gz" for k in range(3))
    for frame, path in zip(frames, paths, strict=True):
        io.save(frame, path)
    job = SequenceJob(paths, tmp_path / "out", "first", "deformable", smooth=0.5, settings=Settings(loss="lncc"), report=False)
    outcome = sequence_files(job)
    assert outcome.metrics["model"] == "deformable"
    assert type(io.load_transform(tmp_path / "out" / "transforms" / "0001.h5")).__name__ == "Compose"


PLANE = Grid((40, 36), np.array([[-5.0, 0, 98], [0, 5, -90], [0, 0, 1]]))


@pytest.fixture(scope="module")
def breath(tmp_path_factory):
    """Six frames of a slice, the fourth of which shows noise only."""
    path = tmp_path_factory.mktemp("breath") / "cine.nii.gz"
    with writing(path, 6, 0.1) as append:
        for number, frame in enumerate(phantom.sequence("breathing", 6, PLANE)):
            noise = np.random.default_rng(0).random(frame.image.data.shape, np.float32)
            append(frame.image if number != 3 else frame.image.with_data(noise))
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Weights that move a little, by chance."""
    torch = pytest.importorskip("torch")
    from voxalign import nn
    from voxalign.nn import weights

    path = tmp_path_factory.mktemp("network") / "follow.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.build(nn.Recurrent(2, channels=(4, 6), hidden=8))
        torch.nn.init.normal_(module.head.weight, std=0.04)
    weights.save(path, module, meta={"inputs": {"start": "headers"}})
    return Settings(weights=str(path), device="cpu")


def test_a_network_follows_and_leaves_the_same_results(breath, network, tmp_path):
    from voxalign.register.recurrent import RecurrentTracker

    outcome = sequence_files(SequenceJob((breath,), tmp_path / "out", method="recurrent", settings=network))
    assert {p.name for p in (tmp_path / "out").iterdir()} == set(OUTPUTS)
    assert outcome.metrics["model"] == "recurrent" and outcome.metrics["uncertain_frames"] == [3]
    frames = replace(open_series([breath]), flat=True)
    said = [io.load_transform(tmp_path / "out" / "transforms" / f"{k:04d}.h5") for k in range(6)]
    tracker, points = RecurrentTracker(frames.frame(0), network.weights), PLANE.points().reshape(-1, 2)
    for frame, transform in zip(frames, said, strict=True):
        assert np.allclose(tracker(frame).transform(points), transform(points), atol=1e-3)
    assert np.array_equal(said[3](points), said[2](points)) and not np.allclose(said[4](points), said[2](points), atol=1e-3)
    moved = replace(open_series([tmp_path / "out" / "aligned.nii.gz"]), flat=True).frame(4)
    assert np.allclose(moved.data, resample(frames.frame(4), PLANE, said[4]).data, atol=1e-3 * moved.data.max())
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["configuration"]["settings"]["weights"] == "follow.safetensors" == record["inputs"]["weights"]["name"]
    assert record["configuration"]["fixed"] == "first" and "network" in record["notes"][1]


def test_what_comes_later_changes_nothing_before(breath, network, tmp_path):
    frames = open_series([breath])
    with writing(tmp_path / "short.nii.gz", 3) as append:
        for number in range(3):
            append(frames.frame(number))
    for name, path in (("whole", breath), ("short", tmp_path / "short.nii.gz")):
        outcome = sequence_files(SequenceJob((path,), tmp_path / name, method="recurrent", settings=network, report=False))
    one, other = (io.load_transform(tmp_path / name / "transforms" / "0002.h5") for name in ("whole", "short"))
    assert np.array_equal(one(PLANE.corners()), other(PLANE.corners()))
    assert "vary more" in outcome.record["notes"][-1]  # chance does no good


def test_networks_that_cannot_be_used(breath, network, tmp_path):
    with pytest.raises(UsageError, match="remembers by itself"):
        SequenceJob((breath,), tmp_path / "o", method="recurrent", smooth=2.0)
    with pytest.raises(UsageError, match="the network deforms"):
        SequenceJob((breath,), tmp_path / "o", model="rigid", method="recurrent")
    with pytest.raises(UsageError, match="--weights"):
        sequence_files(SequenceJob((breath,), tmp_path / "o", method="recurrent"))
    noise = Image(np.random.default_rng(1).random((1, *PLANE.shape), np.float32), PLANE)
    io.save(noise, tmp_path / "noise.nii.gz")
    with pytest.raises(InputError, match="no frame looks like"):
        sequence_files(SequenceJob((breath,), tmp_path / "o", str(tmp_path / "noise.nii.gz"), method="recurrent", settings=network))
    assert not (tmp_path / "o").exists()


def test_refusals(series, tmp_path):
    path, _ = series
    with pytest.raises(UsageError, match="model of motion"):
        SequenceJob((path,), tmp_path / "o", model="riged")
    with pytest.raises(InputError, match="no such file"):
        sequence_files(SequenceJob((path,), tmp_path / "o", fixed="last"))
    io.save(open_series([path]).frame(0), tmp_path / "one.nii.gz")
    with pytest.raises(InputError, match="one frame"):
        sequence_files(SequenceJob((tmp_path / "one.nii.gz",), tmp_path / "o"))
    assert not (tmp_path / "o").exists()
