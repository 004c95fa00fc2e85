import json

import numpy as np
import pytest

from voxalign import io
from voxalign.core import Grid, Image, InputError, UsageError
from voxalign.phantom import Inflation, head_anatomy, image_pair
from voxalign.phantom.pair import Scan
from voxalign.register import Settings
from voxalign.run import template
from voxalign.run.statistics import PopulationJob, permutation_test, population_files
from voxalign.run.study import read_table
from voxalign.run.template import OUTPUTS, TemplateJob, template_files

GRID = Grid((38, 44), np.array([[-5.0, 0, 93], [0, 5, -106], [0, 0, 1]]))
SETTINGS = Settings(initial="headers", loss="lncc")
CENTRE = (35.0, 10.0)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Six people: in three of them a ball is larger."""
    folder = tmp_path_factory.mktemp("people")
    anatomy = head_anatomy(np.random.default_rng(0))
    for k in range(6):
        truth = Inflation(CENTRE, 20.0, 1.25 if k % 2 else 0.85)
        io.save(image_pair(anatomy, (GRID, GRID), truth, scan=Scan(k, height=15.0)).moving, folder / f"{k}.nii.gz")
    return tuple(folder / f"{k}.nii.gz" for k in range(6))


@pytest.fixture(scope="module")
def made(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("template") / "out"
    return out, template_files(TemplateJob(images, out, 1, settings=SETTINGS))


def test_all_results_are_there(made):
    out, found = made
    assert {p.name for p in out.iterdir()} == {*OUTPUTS, "rounds"} and found["images"] == 6
    assert (out / "report.html").read_text().count("data:image/jpeg") == 2  # the template, and its sharpness
    assert found["sharpness"][1] > found["sharpness"][0]
    assert [row["kind"] for row in read_table(out / "rounds.tsv")] == ["affine", "deformable"]
    grid = io.load(out / "template.nii.gz").grid
    assert all(io.load(out / kind / f"{k:04d}.nii.gz").grid.is_close(grid) for kind in ("moved", "jacobians") for k in range(1, 7))
    assert json.loads((out / "run.json").read_text())["inputs"]["image_0001"]["name"] == "0.nii.gz"


def test_an_interrupted_run_continues(made, images, tmp_path, monkeypatch):
    out, _ = made
    stopped = tmp_path / "out"

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(template, "next_round", interrupt)
        template_files(TemplateJob(images, stopped, 1, settings=SETTINGS))
    assert [p.name for p in stopped.iterdir()] == ["rounds"] and [p.name for p in (stopped / "rounds").iterdir()] == ["00"]
    with monkeypatch.context() as patch:
        patch.setattr(template, "first_round", interrupt)
        template_files(TemplateJob(images, stopped, 1, settings=SETTINGS))
    one, other = (io.load(folder / "template.nii.gz").data for folder in (out, stopped))
    assert np.allclose(one, other, atol=0.02)


def test_what_is_larger_in_a_group_is_found(made, tmp_path):
    out, _ = made
    grid = io.load(out / "template.nii.gz").grid
    ball = np.linalg.norm(grid.points() - CENTRE, axis=-1) < 14
    io.save(Image(ball.astype(np.uint8), grid, is_label=True), tmp_path / "ball.nii.gz")
    (tmp_path / "t.tsv").write_text("\n".join(["image\tgroup\tage", *(f"{k}.nii.gz\t{'ab'[k % 2]}\t{20 + k * k}" for k in range(6))]))
    job = PopulationJob(out, tmp_path / "t.tsv", tmp_path / "stats", "group", ("age",), tmp_path / "ball.nii.gz", permutations=100)
    found = population_files(job)
    assert found["effect"] == "b against a" and found["people"] == 6
    t, effect = (io.load(tmp_path / "stats" / f"{name}.nii.gz").array for name in ("t", "effect"))
    assert np.median(t[ball]) > 4 and np.median(effect[ball]) > 25
    assert float(read_table(tmp_path / "stats" / "tests.tsv")[0]["effect_percent"]) > 25
    page = (tmp_path / "stats" / "report.html").read_text()
    assert "Where groups differ" in page and "b against a" in page and "Regions" in page
    (tmp_path / "bad.tsv").write_text("image\tgroup\n1.nii.gz\ta\n")
    with pytest.raises(InputError, match="a row for each"):
        population_files(PopulationJob(out, tmp_path / "bad.tsv", tmp_path / "s2", "group"))


def test_the_test_keeps_its_level_and_finds_what_is_there(rng):
    effect, age = np.repeat([0.0, 1, 2], 6), rng.standard_normal(18)
    false = 0
    for k in range(60):
        values = rng.standard_normal((18, 40)) + 3 * age[:, None]
        false += permutation_test(values, effect, age[:, None], 200, k).p.min() < 0.05
    assert false <= 9  # 3 are expected; more than 9 of 60 has a probability of 0.001
    values[:, 7] += 2.5 * effect
    found = permutation_test(values, effect, age[:, None], 200)
    assert found.p[7] < 0.02 and found.effect[7] == pytest.approx(2.5, abs=0.8) and (found.p[np.arange(40) != 7] > 0.05).sum() > 34


def test_t_is_that_of_ordinary_least_squares(rng):
    values, effect, others = rng.standard_normal((12, 3)), rng.standard_normal(12), rng.standard_normal((12, 2))
    design = np.column_stack([effect, np.ones(12), others])
    slopes, rest, _, _ = np.linalg.lstsq(design, values, rcond=None)
    error = np.sqrt(rest / (12 - 4) * np.linalg.inv(design.T @ design)[0, 0])
    found = permutation_test(values, effect, others, 20)
    assert np.allclose(found.effect, slopes[0]) and np.allclose(found.t, slopes[0] / error)


def test_refusals(images, tmp_path, rng):
    with pytest.raises(UsageError, match="at least two"):
        TemplateJob(images[:1], tmp_path)
    with pytest.raises(InputError, match="same for all"):
        permutation_test(rng.random((5, 2)), np.ones(5))
    with pytest.raises(InputError, match="more people"):
        permutation_test(rng.random((3, 2)), np.arange(3.0), rng.random((3, 1)))
    with pytest.raises(InputError, match="made by voxalign template"):
        population_files(PopulationJob(tmp_path, tmp_path / "t.tsv", tmp_path / "o", "x"))
