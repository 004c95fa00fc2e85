"""The rows of the house: a package imports itself and lower rows only, and each outside library has its place."""
import ast
from pathlib import Path

import pytest

import voxalign

ROOT = Path(voxalign.__file__).parent
ROWS = (("core",), ("transforms", "filters", "features", "losses", "metrics", "optim"), ("nn", "io", "phantom"), ("register", "train"),
        ("judge",), ("report",), ("run",), ("cli",))
ROW = {package: row for row, packages in enumerate(ROWS) for package in packages}
PLACES = {"nibabel": ("io",), "pydicom": ("io",), "h5py": ("io",), "SimpleITK": ("io", "filters", "features"),
          "skimage": ("io", "filters", "features"), "pywt": ("io", "filters", "features"), "matplotlib": ("report",),
          "jinja2": ("report",), "dask": ("run",), "tensorboard": ("train",), "argparse": ("cli",)}
TORCH = ("core", "nn", "train", "register")
FILES = sorted(p for p in ROOT.rglob("*.py") if p.parent != ROOT)


def imported(path: Path) -> list[list[str]]:
    """Dotted names, as lists, of everything a file imports anywhere, relative ones made absolute."""
    here, found = ["voxalign", *path.relative_to(ROOT).parts[:-1]], []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[:len(here) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            found += [[*base, alias.name] for alias in node.names] if base == ["voxalign"] else [base]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports(path):
    package = path.relative_to(ROOT).parts[0]
    assert package in ROW, f"{package} has no row"
    for name in imported(path):
        if name[0] == "voxalign" and len(name) > 1 and name[1] in ROW and name[1] != package:
            assert ROW[name[1]] < ROW[package], f"imports {'.'.join(name)} of the same or a higher row"
        assert package in PLACES.get(name[0], (package,)), f"imports {name[0]}"
        assert name[0] != "torch" or package in TORCH, "imports torch"
