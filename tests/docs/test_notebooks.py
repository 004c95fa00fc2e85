"""Every notebook of the docs runs, with the smaller numbers given here, and is stored without what it printed."""
import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

DOCS = Path(__file__).parents[2] / "docs"
SMALL = {"learn-in-2d": {"SIZE": 48, "PEOPLE": 6, "STEPS": 3}}
NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))


def cells(path: Path, kind: str) -> list[dict]:
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def text(cell: dict) -> str:
    return "".join(cell["source"])


@pytest.fixture
def pictures():
    """Figures that are not shown, and closed in the end."""
    before = plt.get_backend()
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(before)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_runs(path, tmp_path, monkeypatch, pictures):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    names, code = {}, cells(path, "code")
    assert [c["metadata"].get("tags") for c in code].count(["parameters"]) == 1
    for number, cell in enumerate(code):
        exec(compile(text(cell), f"{path.name}, cell {number}", "exec"), names)
        if cell["metadata"].get("tags") == ["parameters"]:
            assert SMALL[path.stem].keys() <= names.keys(), "a number that the notebook does not know"
            names |= SMALL[path.stem]
    assert plt.get_fignums()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_nothing_of_a_machine_is_stored(path):
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells(path, "code"))
    assert json.loads(path.read_text(encoding="utf-8"))["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_links_lead_somewhere(path):
    links = [target for cell in cells(path, "markdown") for target in re.findall(r"\]\(([^)#:]+)\)", text(cell))]
    assert links and all((path.parent / target).exists() for target in links)
