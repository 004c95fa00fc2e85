"""The report, in words and in a real browser."""
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from pairs import blobs

from voxalign.core import Identity, Image
from voxalign.judge.verdict import Verdict
from voxalign.register import Registration
from voxalign.register.result import Step
from voxalign.report import Case, Entry, Scene, case_page, cohort, view_page
from voxalign.transforms import Displacement

EVIL = "<script>alert(1)</script>{{7*7}}\"'.nii.gz"
LIMIT = 8_000_000  # bytes
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def record(name: str = "image.nii.gz") -> dict:
    grid = {"shape": [3, 3, 3], "spacing_mm": [1.0, 1.0, 1.0], "axes": "RAS"}
    chosen = {"method": "classical", "preset": "default", "transform": "deformable", "initial": "search", "loss": "auto",
              "smoothness": None, "spacing": None}
    inputs = {key: {"name": name, "sha256": "0"} for key in ("fixed", "moving")}
    return {"voxalign": "0", "started": "2026-01-02T03:04:05+00:00", "inputs": inputs, "configuration": chosen,
            "notes": ["loss mind chosen: " + name, "smoothness 2 chosen"], "warnings": [name],
            "seconds": {"total": 1.0}, "device": "cpu", "grids": {"fixed": grid, "moving": grid}, "outputs": {name: "0"}, "python": "3",
            "platform": "p", "packages": {"numpy": "2"}}


def case(shape: tuple[int, ...] = (28, 30, 26), name: str = "image.nii.gz") -> Case:
    fixed = blobs(shape=shape)
    wave = np.stack([2 * np.sin(fixed.grid.points()[..., 0] / 8)] * len(shape))
    history = tuple(Step("rigid", 0, k, 1 / (k + 1), 0.5, 2.0) for k in range(3))
    registration = Registration(Displacement.from_array(wave, fixed.grid), fixed.grid, fixed.grid, history)
    error = Image(np.abs(wave[0]).astype(np.float32), fixed.grid)
    metrics = {"before": {"dice": 0.5, "dice_by_label": {name: 0.5}}, "after": {"dice": 0.9, "dice_by_label": {name: 0.9}},
               "folded_percent": 0.0, "verdict": {"status": "CHECK"}}
    verdict = Verdict("CHECK", 0.3, 2.0, (name,))
    return Case(registration, fixed, blobs((1, 0, 0), shape=shape), record(name), metrics, verdict, error, error)


def page_of(given: Case) -> str:
    return case_page(given, Scene(given.fixed, given.moving, given.registration.transform))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages on disk by name: 3-D, 2-D, failed and badly named, a view, a cohort."""
    folder, evil = tmp_path_factory.mktemp("pages"), case(name=EVIL)
    failed = replace(evil, verdict=Verdict("FAIL", 0.999, 2.0, (EVIL,)), expected_error=None, evidence=None)
    flat = case((40, 44))
    texts = {"brain": page_of(case()), "flat": page_of(flat), "failed": page_of(failed),
             "view": view_page(Scene(flat.fixed, flat.moving, Identity(2)), (EVIL, EVIL), False),
             "cohort": cohort(EVIL, [Entry(EVIL, "FAIL", f"{EVIL}/report.html", 0.9, (EVIL,), {"dice": 0.5})])}
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


def test_the_verdict_comes_first(pages):
    text = pages["failed"].read_text()
    assert text.index("✗ FAIL") < text.index("above 99 %") < text.index("Warnings about the inputs") < text.index("<img")
    assert "✓ PASS" not in text and "its error has no bound" in text
    assert "How far off may it be?" in pages["brain"].read_text()


def test_nothing_given_can_run(pages):
    for path in pages.values():
        assert "<script>alert" not in path.read_text()


def test_numbers_methods_and_provenance(pages):
    text = re.sub(r"<[^>]+>", " ", pages["brain"].read_text())
    for said in ("Dice, mean over labels", "rotation, degrees", "modality-independent neighbourhood descriptors [1]",
                 "doi:10.1007/978-3-642-40811-3_24", "smoothness 2.", "fixed points to moving points", "numpy"):
        assert said in text


def test_the_viewer_carries_its_volumes(pages):
    content = json.loads(re.search(r'id="viewer-data">(.*?)</script>', pages["brain"].read_text())[1])
    assert [volume["name"] for volume in content["maps"]] == ["expected error", "evidence", "volume change"]
    assert [volume["name"] for volume in content["others"]] == ["moving, after", "moving, before"]
    assert not content["flat"] and content["fixed"]["high"] > content["fixed"]["low"]


def test_pages_are_small(pages):
    assert all(path.stat().st_size < LIMIT for path in pages.values())


def test_a_cohort_is_sorted_worst_first():
    entries = [Entry("good", "PASS", probability=0.1), Entry("worse", "CHECK", probability=0.6), Entry("lost", "ERROR"),
               Entry("bad", "FAIL", "bad/report.html", 0.99), Entry("odd", "CHECK", probability=0.2), Entry("unknown")]
    text = cohort("A study", entries)
    assert [name for name in re.findall(r">(good|worse|lost|bad|odd|unknown)<", text)] == ["lost", "bad", "worse", "odd", "unknown", "good"]
    assert 'href="bad/report.html"' in text


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as program:
        flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
        opened = program.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


@pytest.mark.parametrize("name", ["brain", "flat", "failed", "view", "cohort"])
def test_opens_from_disk_with_no_error_and_no_request(pages, browser, name):
    page, said, asked = browser.new_page(viewport={"width": 390, "height": 800}), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(pages[name].as_uri())
    if page.query_selector("#viewer") and "niivue" in page.content()[-3_000_000:]:
        page.wait_for_selector("#viewer[data-ready]", timeout=60_000)
        for mode in ("swipe", "checkerboard", "sides", "flicker", "fixed"):
            page.select_option("[name=mode]", mode)
        if page.query_selector("[name=map]"):
            page.select_option("[name=map]", "0")
            page.wait_for_selector("#viewer-scale", state="visible")
            content = "JSON.parse(document.getElementById('viewer-data').textContent)"
            assert page.evaluate(f"{content}.maps[0].name") in page.text_content("#viewer-scale")
        assert "mm (RAS)" in page.text_content("#viewer-readout")
        assert page.is_hidden("#viewer-missing") and page.is_hidden("#viewer-right")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "wider than a phone"
    page.close()
    assert said == [] and [url for url in asked if not url.startswith("data:")] == [pages[name].as_uri()]
