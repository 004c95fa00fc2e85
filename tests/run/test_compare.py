import json
import os
import signal
import subprocess
import sys
import time

import nibabel
import numpy as np
import pytest
from pairs import blobs

from voxalign import io
from voxalign.core import Image, InputError, SecurityError, UsageError
from voxalign.phantom import rigid
from voxalign.run.compare import COLUMNS, Comparison, compare, summary
from voxalign.run.ways import Case, Way, read_cases, read_ways

SHIFT = (2.0, -3.0, 4.0)
RIGID = Way.of("rigid", {"transform": "rigid", "initial": "headers"})


def drawn(image: Image) -> Image:
    return Image((image.data > 0.5 * image.data.max()).astype(np.uint8), image.grid, is_label=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of two cases, one of which lacks a file, and a transform that is given."""
    folder = tmp_path_factory.mktemp("cases")
    for name, shift in (("fixed", (0, 0, 0)), ("moving", SHIFT)):
        io.save(blobs(shift), folder / f"{name}.nii.gz")
        io.save(drawn(blobs(shift)), folder / f"{name}_labels.nii.gz")
    io.save_transform(rigid(0, shift=SHIFT), folder / "one_true.h5")
    (folder / "cases.csv").write_text("case,fixed,moving,fixed_labels,moving_labels\n"
                                      "one,fixed.nii.gz,moving.nii.gz,fixed_labels.nii.gz,moving_labels.nii.gz\n"
                                      "two,fixed.nii.gz,missing.nii.gz,,\n")
    return folder


@pytest.fixture(scope="module")
def done(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "here"
    job = Comparison(read_cases(folder / "cases.csv"), (RIGID, Way("given", given=str(folder / "{case}_true.h5"))), out, threads=1)
    return job, compare(job)


def test_every_way_on_every_case(done):
    _, rows = done
    assert [(row["case"], row["way"]) for row in rows] == [("one", "rigid"), ("one", "given"), ("two", "rigid"), ("two", "given")]
    ran, given = rows[:2]
    assert ran["dice"] > 0.95 < given["dice"] and ran["folded_percent"] == given["folded_percent"] == 0
    assert ran["seconds"] > 0 and ran["cpu_seconds"] > 0 and ran["peak_memory_mb"] > 50
    assert given["seconds"] is given["peak_memory_mb"] is None and {ran["verdict"], given["verdict"]} <= {"PASS", "CHECK", "FAIL"}


def test_a_case_that_fails_is_a_row(done, folder):
    _, rows = done
    assert all("no such file" in row["error"] and str(folder) not in row["error"] and row["dice"] is None for row in rows[2:])
    means = summary(rows)
    assert means["rigid"]["cases"] == 2 and means["rigid"]["failed"] >= 1 and means["rigid"]["dice"] == rows[0]["dice"]


def test_what_was_odd_about_an_input_is_in_the_row(folder, tmp_path):
    torn = np.array(blobs(SHIFT).array)
    torn[3:5, 3:5, 3:5] = np.nan
    io.save(Image(torn, blobs().grid), tmp_path / "whole.nii.gz")  # masked voxels are written as 0
    header = nibabel.load(tmp_path / "whole.nii.gz")
    nibabel.save(nibabel.Nifti1Image(torn, header.affine), tmp_path / "torn.nii.gz")
    case = Case("torn", {"fixed": folder / "fixed.nii.gz", "moving": tmp_path / "torn.nii.gz"})
    rows = compare(Comparison((case,), (RIGID, Way("given", given=str(folder / "one_true.h5"))), tmp_path / "out", threads=1))
    for row in rows:
        assert row["error"] is None and "8 voxels" in row["warnings"] and str(tmp_path) not in row["warnings"]


def test_the_tables_hold_the_rows(done):
    job, rows = done
    lines = [line.split("\t") for line in (job.out / "comparison.tsv").read_text().splitlines()]
    assert tuple(lines[0]) == COLUMNS and len(lines) == 5 and float(lines[1][3]) == pytest.approx(rows[0]["dice"], rel=1e-5)
    assert json.loads((job.out / "comparison.json").read_text())["rows"] == rows
    assert (job.out / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert "rigid" in (job.out / "comparison.html").read_text()


def test_what_is_finished_is_not_done_again(done, monkeypatch):
    job, rows = done
    monkeypatch.setattr("voxalign.run.compare._made", lambda *_: pytest.fail("done again"))
    assert compare(Comparison(job.cases[:1], (RIGID,), job.out, 1)) == rows[:1]


@pytest.mark.parametrize("damage", ["moved.nii.gz", "run.json", "row.json"])
def test_what_was_changed_is_done_again(done, monkeypatch, damage):
    job, rows = done
    path = job.out / "one" / "rigid" / damage
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    made = []
    monkeypatch.setattr("voxalign.run.compare._made", lambda case, *_: made.append(case.name) or rows[0])
    compare(Comparison(job.cases[:1], (RIGID,), job.out, 1))
    path.write_bytes(content)
    assert made == ["one"]


def test_other_choices_are_another_run(done, monkeypatch):
    job, rows = done
    made = []
    monkeypatch.setattr("voxalign.run.compare._made", lambda case, *_: made.append(case.name) or rows[0])
    compare(Comparison(job.cases[:1], (Way.of("rigid", {"transform": "rigid", "initial": "headers", "loss": "mse"}),), job.out, 1))
    assert made == ["one"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_stopped_it_leaves_what_is_finished(folder, tmp_path):
    command = [sys.executable, "-m", "voxalign", "compare", "-f", str(folder / "fixed.nii.gz"), "-m", str(folder / "moving.nii.gz"),
               "-o", str(tmp_path), "--threads", "1", "--way", "quick transform=rigid initial=headers",
               *(word for k in range(6) for word in ("--way", f"way{k} transform=rigid initial=headers seed={k}"))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    table = tmp_path / "comparison.json"
    while not table.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate()[1]
    assert process.returncode == 130, said
    rows = json.loads(table.read_text())["rows"]
    assert 1 <= len(rows) < 7 and rows[0]["error"] is None
    assert not [path for path in tmp_path.rglob("*") if "partial" in path.name or "lock" in path.name]


# ---------------------------------------------------------------- what is read
def test_ways():
    assert Way.parse("fast").configuration.preset == "fast" and Way.parse("learned").configuration.method == "learned"
    assert Way.parse("stiff smoothness=2 loss=mi").configuration.settings.smoothness == 2
    assert Way.parse("other given=a_{case}.h5").given == "a_{case}.h5"
    for text, says in (("stiff smoothnes=2", "smoothness"), ("fst", "did you mean 'fast'"), ("", "expected a name"),
                       ("a b", "expected a name"), ("../up loss=mi", "becomes a folder"), ("x given=a.h5 loss=mi", "no other keys")):
        with pytest.raises(UsageError, match=says):
            Way.parse(text)


def test_ways_of_a_file(tmp_path):
    path = tmp_path / "ways.yaml"
    path.write_text("fast:\nstiff: {smoothness: 2}\nants: {given: x.h5}\n")
    assert [way.name for way in read_ways(path)] == ["fast", "stiff", "ants"]
    path.write_text("fast: 3\n")
    with pytest.raises(UsageError, match="under the name of a way"):
        read_ways(path)


def test_tables_of_other_programs(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_bytes(b"\xef\xbb\xbfcase;fixed;moving\r\na;f.nii;m.nii\r\n")
    assert read_cases(path) == (Case("a", {"fixed": tmp_path / "f.nii", "moving": tmp_path / "m.nii"}),)
    path.write_text("fixed\tmoving\nf.nii\tm.nii\n")
    assert read_cases(path)[0].name == "001"


@pytest.mark.parametrize(("text", "error", "says"), [
    ("fixed,moving\n/etc/passwd,m.nii\n", SecurityError, "leads out"), ("fixed,moving\n../f.nii,m.nii\n", SecurityError, "leads out"),
    ("fixed,movin\nf,m\n", InputError, "expected fixed, moving"), ("", InputError, "columns none"),
    ("fixed,moving\n", InputError, "no rows"), ("case,fixed,moving\n../a,f,m\n", UsageError, "becomes a folder")])
def test_tables_that_are_refused(tmp_path, text, error, says):
    path = tmp_path / "cases.csv"
    path.write_text(text)
    with pytest.raises(error, match=says):
        read_cases(path)


def test_names_are_unique(tmp_path):
    with pytest.raises(InputError, match="way 'rigid' is there twice"):
        Comparison((Case("a", {}),), (RIGID, RIGID), tmp_path)
    with pytest.raises(UsageError, match="at least one way"):
        Comparison((Case("a", {}),), (), tmp_path)
