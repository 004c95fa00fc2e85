import csv
import json

import numpy as np
import pytest
import yaml
from pairs import blobs

from voxalign import io
from voxalign.cli.main import main
from voxalign.core import InputError, Points, SecurityError, UsageError
from voxalign.run.cases import read_rows, table_text
from voxalign.run.clinical import made_by, read_request
from voxalign.run.evaluate import Case, Evaluation, evaluate_files, read_label_names, read_table, rows
from voxalign.transforms import Rigid

SHIFT = Rigid.from_params([0.0, 0, 0, 2, -4, 6], np.zeros(3))
POINTS = Points(np.array([[1.0, 2, 3], [5, 5, 5]]), ("lung/1", "heart"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of one case, a transform and its inverse."""
    folder = tmp_path_factory.mktemp("case")
    io.save(blobs(), folder / "fixed.nii.gz")
    io.save(blobs((2, -4, 6)), folder / "moving.nii.gz")
    io.save(blobs(is_label=True), folder / "fl.nii.gz")
    io.save(blobs((2, -4, 6), is_label=True), folder / "ml.nii.gz")
    io.save_points(POINTS, folder / "f.csv")
    io.save_points(Points(SHIFT(POINTS.coordinates), POINTS.names), folder / "m.csv")
    io.save_transform(SHIFT, folder / "t.tfm")
    io.save_transform(SHIFT.inverse(), folder / "i.tfm")
    return folder


@pytest.fixture
def options(folder):
    """All there is to evaluate."""
    return ["-f", f"{folder}/fixed.nii.gz", "-m", f"{folder}/moving.nii.gz", "--fixed-labels", f"{folder}/fl.nii.gz", "--moving-labels",
            f"{folder}/ml.nii.gz", "--fixed-points", f"{folder}/f.csv", "--moving-points", f"{folder}/m.csv", "-t", f"{folder}/t.tfm"]


def test_everything(options, tmp_path, capsys):
    (tmp_path / "names.txt").write_text("# a table\n1 255 0 0 255 \"whole body\"\n2  liver  120 18 3 0\n3,Spleen\n")
    assert main(["evaluate", *options, "-o", str(tmp_path / "out"), "--label-names", str(tmp_path / "names.txt")]) == 0
    said = capsys.readouterr().out
    assert "case 1" in said and "dice_by_label" not in said
    found = list(csv.reader((tmp_path / "out" / "scores.tsv").read_text().splitlines(), delimiter="\t"))
    assert found[1][:3] == ["1", "dice", ""] and found[1][4] == "1" and 0 < float(found[1][3]) < 0.8
    by_region = {(row[1], row[2]): row[4] for row in found}
    assert by_region["hd95_mm", "2 liver"] == "0" and by_region["dice", "1 whole body"] == "1" == by_region["dice", "3 Spleen"]
    assert float(by_region["tre_mm", "lung"]) < 1e-3 and by_region["nondiffeomorphic_mm3", ""] == "0"
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["inputs"]["1"]["transform 1"]["name"] == "t.tfm" and str(options[1]) not in json.dumps(record)
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["cases"][0]["scores"]["after"]["labels_lost"] == 0
    page = (tmp_path / "out" / "evaluation.html").read_text()
    assert "2 liver" in page and "mean surface distance" in page and not (tmp_path / "out" / "clinical.html").exists()


def test_headers_alone(folder, capsys):
    assert main(["evaluate", "-f", f"{folder}/fixed.nii.gz", "-m", f"{folder}/moving.nii.gz", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["cases"][0]["scores"]
    assert scores["before"] == scores["after"] and scores["before"]["ncc"] < 0.9


def test_landmarks_alone(folder, capsys):
    words = ["evaluate", "--fixed-points", f"{folder}/f.csv", "--moving-points", f"{folder}/m.csv", "-t", f"{folder}/t.tfm", "--json"]
    assert main([*words, "--inverse", f"{folder}/i.tfm"]) == 0
    scores = json.loads(capsys.readouterr().out)["cases"][0]["scores"]
    assert scores["after"]["tre_max_mm"] < 1e-3 < scores["before"]["tre_mm"] and scores["cycle_error_max_mm"] < 1e-3


@pytest.mark.parametrize(("drop", "add", "code", "says"), [
    (("-m",), [], 2, "fixed and moving go together"), (("--moving-labels",), [], 2, "fixed labels and moving labels go together"),
    (("-f", "-m", "--fixed-labels", "--moving-labels", "--fixed-points", "--moving-points"), [], 2, "nothing to judge by"),
    ((), ["-t", "none.h5"], 3, "none.h5: no such file"), ((), ["--cases", "x.tsv"], 2, "takes its files from the table"),
    ((), ["--clinical"], 2, "--clinical needs"), ((), ["--label-names", "none.txt"], 3, "cannot be read"),
])
def test_refusals(options, drop, add, code, says, capsys):
    kept = [word for k in range(0, len(options), 2) if options[k] not in drop for word in options[k:k + 2]]
    assert main(["evaluate", *kept, *add]) == code
    assert says in capsys.readouterr().err


def test_singular_transforms_are_refused(options, tmp_path, capsys):
    path = tmp_path / "flat.tfm"
    path.write_text("#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
                    "Parameters: 0 0 0 0 1 0 0 0 1 1 2 3\nFixedParameters: 0 0 0\n")
    assert main(["evaluate", *options[:-2], "-t", str(path)]) == 3 and "singular" in capsys.readouterr().err


# ---------------------------------------------------------------- tables
TABLE = "case\tfixed\tmoving\tfixed_labels\tmoving_labels\ttransform\n"


@pytest.fixture
def table(folder):
    def write(text: str, encoding: str = "utf-8"):
        path = folder / "cases.tsv"
        path.write_bytes(text.encode(encoding))
        return path
    return write


def test_a_row_that_fails_does_not_stop_the_others(table, tmp_path, capsys):
    path = table(TABLE + "a\tfixed.nii.gz\tmoving.nii.gz\tfl.nii.gz\tml.nii.gz\tt.tfm\n=b\tfixed.nii.gz\tgone.nii.gz\t\t\n"
                         "c\tfixed.nii.gz\tmoving.nii.gz\tn/a\tn/a\tt.tfm i.tfm\n")
    assert main(["evaluate", "--cases", str(path), "-o", str(tmp_path / "out")]) == 3
    said = capsys.readouterr()
    assert "case =b: moving gone.nii.gz: no such file" in said.err and "case a" in said.out and "case c" in said.out
    cases = json.loads((tmp_path / "out" / "scores.json").read_text())["cases"]
    assert [case["error"] is None for case in cases] == [True, False, True]
    assert "dice" in cases[0]["scores"]["after"] and "dice" not in cases[2]["scores"]["after"]
    assert cases[2]["scores"]["after"]["ncc"] == pytest.approx(cases[2]["scores"]["before"]["ncc"], abs=1e-4)  # there and back
    assert "no such file" in (tmp_path / "out" / "evaluation.html").read_text()


def test_tables_of_spreadsheets(table):
    path = table("﻿Fixed;Moving;Transform\r\nfixed.nii.gz;moving.nii.gz;t.tfm\r\n\r\n")
    [case] = read_table(path)
    assert case.name == "001" and case.transforms == (path.parent / "t.tfm",)


@pytest.mark.parametrize(("text", "error", "says"), [
    (TABLE + "a\tfixed.nii.gz\t../x.nii\t\t\t\n", SecurityError, "leads out"),
    (TABLE + "a\tfixed.nii.gz\t/etc/passwd\t\t\t\n", SecurityError, "leads out"),
    (TABLE + "a\tfixed.nii.gz\tmoving.nii.gz\n" * 2, InputError, "'a' is there twice"),
    (TABLE, InputError, "a row for each case"), ("", InputError, "a row for each case"), ("\x00", UsageError, "unknown column"),
    ("fixed\tmovin\na\tb\n", UsageError, "did you mean 'moving'"), ("fixed\tfixed\na\tb\n", InputError, "each once"),
    ("fixed\tmoving\na\tb\tc\n", InputError, "line 2 has more cells"),
])
def test_tables_that_are_refused(table, text, error, says):
    with pytest.raises(error, match=says):
        read_table(table(text))


def test_no_table(tmp_path):
    with pytest.raises(InputError, match="cannot be read as a table"):
        read_rows(tmp_path / "none.tsv", ["fixed"])


def test_no_cell_is_a_formula():
    assert table_text(["a"], [["=1+1"], ["@x"], [-1.5], [None], [float("nan")], ["x\ty"]]) == "a\n'=1+1\n'@x\n-1.5\nn/a\nn/a\nx y\n"


def test_names_of_labels_need_numbers(tmp_path):
    (tmp_path / "names.txt").write_text("liver\nspleen\n")
    with pytest.raises(InputError, match="no names of labels"):
        read_label_names(tmp_path / "names.txt")
    (tmp_path / "names.txt").write_text("# No. Label Name: R G B A\n17  Left-Hippocampus   220 216 20 0\n\n18\tLeft Amygdala\n")
    assert read_label_names(tmp_path / "names.txt") == {17: "Left-Hippocampus", 18: "Left Amygdala"}


def test_rows_name_what_they_know():
    from voxalign.run.evaluate import Scored

    scores = {"before": {"dice_by_label": {1: 0.5, 2: None}}, "after": {"dice_by_label": {1: 0.75, 2: None}}, "jacobian_min": 0.5}
    assert rows([Scored("x", scores)], {1: "liver"}) == [("x", "dice", "1 liver", 0.5, 0.75), ("x", "dice", "2", None, None),
                                                         ("x", "jacobian_min", "", None, 0.5)]


# ---------------------------------------------------------------- clinical pages
def test_a_clinical_page_says_what_is_asked_for(options, tmp_path, capsys):
    request = tmp_path / "request.yaml"
    request.write_text(yaml.safe_dump({"patient": "<b>P-7</b>", "purpose": "contour transfer", "accuracy_mm": 2}))
    assert main(["evaluate", *options, "-o", str(tmp_path / "out"), "--clinical", str(request)]) == 0
    page = (tmp_path / "out" / "clinical.html").read_text()
    for words in ("&lt;b&gt;P-7&lt;/b&gt;", "contour transfer", "usable, with risk of deformation", "reviewed by", "not a medical device",
                  "fixed points to moving points", "No record of the run", "sha256", "landmark error"):
        assert words in page
    assert "fiducial error (fitted)" not in page and str(tmp_path) not in page


def test_a_clinical_page_needs_no_request(options, tmp_path):
    assert main(["evaluate", *options, "-o", str(tmp_path / "out"), "--clinical"]) == 0
    assert (tmp_path / "out" / "clinical.html").exists()


def test_the_record_beside_a_transform_counts_if_it_is_its_own(folder, tmp_path):
    path = tmp_path / "t.tfm"
    path.write_bytes((folder / "t.tfm").read_bytes())
    case = Case("1", {name: folder / f"{name}.nii.gz" for name in ("fixed", "moving")}, (path,))
    assert made_by(case) is None
    (tmp_path / "run.json").write_text(json.dumps({"outputs": {"t.tfm": io.sha256(path)}, "notes": ["mine"]}))
    assert made_by(case)["notes"] == ["mine"]
    io.save_transform(SHIFT.inverse(), path)
    assert made_by(case) is None


def test_points_that_were_fitted_are_called_fiducials(options, folder, tmp_path, capsys):
    out = tmp_path / "reg"
    words = ["register", *options[:4], *options[8:12], "-o", str(out), "--no-report", "--set", "point_weight=1", "--set", "iterations=1"]
    assert main([*words, "--set", "spacing=8", "--initial", "headers"]) in (0, 4)
    assert main(["evaluate", *options[:-2], "-t", str(out / "transform.h5"), "-o", str(tmp_path / "out"), "--clinical"]) == 0
    page = (tmp_path / "out" / "clinical.html").read_text()
    assert "fiducial error (fitted)" in page and "The points took part" in page and "was registered to the fixed image" in page


@pytest.mark.parametrize(("text", "says"), [("pateint: x", "did you mean 'patient'"), ("patient: [a, b]", "holds a list"),
                                            ("- x", "expected lines")])
def test_requests_that_are_refused(tmp_path, text, says):
    (tmp_path / "request.yaml").write_text(text)
    with pytest.raises(UsageError, match=says):
        read_request(tmp_path / "request.yaml")


def test_one_case_that_fails_is_an_error(folder):
    case = Case("1", {"fixed": folder / "fixed.nii.gz", "moving": folder / "gone.nii.gz"})
    with pytest.raises(InputError, match=r"moving gone\.nii\.gz: no such file"):
        evaluate_files(Evaluation((case,)))
