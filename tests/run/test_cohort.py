"""Results of many registrations on one page."""
import json
import re

import pytest
from pairs import blobs

import voxalign as vx
from voxalign.cli.main import main
from voxalign.core import InputError
from voxalign.run.cohort import Cohort, cohort_files


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Three results and one that was interrupted, deep in a folder whose name needs quoting."""
    folder = tmp_path_factory.mktemp("a study")
    vx.save(blobs(), folder / "fixed.nii.gz")
    vx.save(blobs((2, -3, 4)), folder / "moving.nii.gz")
    vx.save(blobs(is_label=True), folder / "labels.nii.gz")
    labels = [word for side in ("fixed", "moving") for word in (f"--{side}-labels", str(folder / "labels.nii.gz"))]
    images = ["-f", str(folder / "fixed.nii.gz"), "-m", str(folder / "moving.nii.gz")]
    command = ["register", *images, *labels, "--transform", "rigid", "--no-report"]
    for name in ("one", "deep/two", "odd"):
        assert main([*command, "-o", str(folder / "results" / name)]) in (0, 4)
    (folder / "results/one/report.html").write_text("<p>a report</p>")
    (folder / "results/lost/.voxalign.partial").mkdir(parents=True)
    metrics = folder / "results/deep/two/metrics.json"
    failed = {"verdict": {"status": "FAIL", "probability": 0.99, "reasons": ["<b>"]}}
    metrics.write_text(json.dumps(json.loads(metrics.read_text()) | failed))
    (folder / "results/odd/metrics.json").write_text("{")
    return folder


def test_all_results_in_a_folder_worst_first(results):
    page = results / "pages" / "cohort.html"
    page.parent.mkdir()
    entries = {entry.name: entry for entry in cohort_files(Cohort([results / "results"], page, "A study"))}
    assert set(entries) == {"one", "deep/two", "odd", "lost"}
    assert entries["lost"].status == entries["odd"].status == "ERROR" and entries["deep/two"].status == "FAIL"
    assert set(entries["one"].numbers) == {"Dice before", "Dice after", "folded, %"} and entries["one"].numbers["Dice before"] == 1
    text = page.read_text()
    assert re.findall(r">(one|deep/two|odd|lost)<", text) == ["lost", "odd", "deep/two", "one"]
    assert entries["one"].report == "../results/one/report.html" and f'href="{entries["one"].report}"' in text
    assert str(results) not in text and "<b>" not in text


def test_addresses_are_quoted(results):
    entries = cohort_files(Cohort([results / "results/one"], results.parent / "page.html"))
    assert [entry.report for entry in entries] == [f"{results.name.replace(' ', '%20')}/results/one/report.html"]


def test_folders_without_results_are_refused(results, tmp_path):
    with pytest.raises(InputError, match="holds no results"):
        cohort_files(Cohort([tmp_path], tmp_path / "page.html"))
    with pytest.raises(InputError, match="no folder"):
        cohort_files(Cohort([tmp_path / "none"], tmp_path / "page.html"))
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(InputError, match="exists"):
        cohort_files(Cohort([results], tmp_path / "page.html"))


def test_the_command_counts(results, tmp_path, capsys):
    assert main(["cohort", str(results / "results"), "-o", str(tmp_path / "c.html"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["cases"]) == 4 and said["cases"][0]["name"]
    assert main(["cohort", str(results), "-o", str(tmp_path / "c.html"), "--overwrite"]) == 0
    assert "ERROR  2" in re.sub(r" +", "  ", capsys.readouterr().out)
