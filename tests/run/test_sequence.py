import json

import numpy as np
import pytest

from voxalign import io, phantom
from voxalign.core import Grid, InputError, UsageError, resample
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
    assert record["inputs"]["frames"]["name"] == "moving.nii.gz" and str(tmp_path) not in json.dumps(record)
    assert [step.fraction for step in steps] == sorted(step.fraction for step in steps)


def test_the_table(series, tmp_path):
    sequence_files(SequenceJob((series[0],), tmp_path / "out", report=False))
    lines = [line.split("\t") for line in (tmp_path / "out" / "motion.tsv").read_text().splitlines()]
    assert lines[0] == ["frame", "seconds", "x_mm", "y_mm", "z_mm", "rotation_x_degrees", "rotation_y_degrees", "rotation_z_degrees",
                        "framewise_displacement_mm", "confidence", "uncertain"]
    assert [row[:2] for row in lines[1:]] == [["0", "0"], ["1", "2"], ["2", "4"], ["3", "6"]]
    assert not (tmp_path / "out" / "report.html").exists()


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
