"""Landmarks: every table that is read, ours written, and no formula run."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxalign.core import InputError, InputWarning, Points, SecurityError, UsageError
from voxalign.io import load_points, save_points

RAS = np.array([[1.5, -2.0, 3.25], [-4.0, 5.0, 6.0]])
LPS = RAS * [-1, -1, 1]
COLUMNS = "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label\n"


def rows(values: np.ndarray, sign: str = ",") -> str:
    return "\n".join(sign.join(map(repr, row)) for row in values.tolist())


def stated() -> dict[str, tuple[str, str]]:
    """File name and content, all meaning RAS."""
    return {
        "ours": ("a.csv", "x,y,z,name\n1.5,-2.0,3.25,nose\n-4,5,6,ear\n"),
        "byte order mark, CRLF": ("a.csv", "\ufeffx,y,z,name\r\n1.5,-2.0,3.25,nose\r\n-4,5,6,ear\r\n"),
        "semicolons, decimal commas": ("a.csv", "x;y;z;name\n1,5;-2,0;3,25;nose\n-4;5;6;ear\n"),
        "tabs": ("a.tsv", "x\ty\tz\tname\n1.5\t-2.0\t3.25\tnose\n-4\t5\t6\tear\n"),
        "other order": ("a.csv", "label,z,x,y,space\nnose,3.25,1.5,-2,RAS\near,6,-4,5,RAS\n"),
        "space column": ("a.csv", "x,y,z,label,space\n-1.5,2,3.25,nose,LPS\n4,-5,6,ear,lps\n"),
        "comment": ("a.txt", "# space = LPS\n" + rows(LPS, " ")),
        "ANTs": ("a.csv", "x,y,z,t,label,comment\n-1.5,2,3.25,0,nose,\n4,-5,6,0,ear,\n"),
        "elastix": ("a.pts", "point\n2\n-1.5 2 3.25\n4 -5 6\n"),
        "Slicer, RAS": ("a.fcsv", "# Markups fiducial file version = 4.10\n# CoordinateSystem = 0\n" + COLUMNS +
                                  "n0,1.5,-2,3.25,0,0,0,1,1,1,0,nose\nn1,-4,5,6,0,0,0,1,1,1,0,ear\n"),
        "Slicer, LPS": ("a.fcsv", "# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n" + COLUMNS +
                                  "n0,-1.5,2,3.25,0,0,0,1,1,1,0,nose\nn1,4,-5,6,0,0,0,1,1,1,0,ear\n"),
        "markups": ("a.mrk.json", json.dumps({"markups": [{"coordinateSystem": "LPS", "controlPoints": [
            {"label": "nose", "position": [-1.5, 2, 3.25], "positionStatus": "defined"},
            {"label": "lost", "position": [0, 0, 0], "positionStatus": "undefined"}, {"label": "ear", "position": [4, -5, 6]}]}]})),
    }


@pytest.mark.parametrize("kind", stated())
def test_files_that_state_their_space(kind: str, tmp_path: Path) -> None:
    name, text = stated()[kind]
    (tmp_path / name).write_bytes(text.encode())
    points = load_points(tmp_path / name)
    assert np.array_equal(points.coordinates, RAS)
    assert points.names in (("nose", "ear"), None)


@pytest.mark.parametrize("text", [*(rows(RAS, sign) for sign in (",", " ", "\t", ";")), "x,y,z\n" + rows(RAS), "X, Y, Z\n" + rows(RAS)])
def test_a_space_that_is_not_stated_is_assumed_aloud(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.warns(InputWarning, match="RAS is assumed"):
        assert np.array_equal(load_points(tmp_path / "a.txt").coordinates, RAS)
    assert np.array_equal(load_points(tmp_path / "a.txt", space="LPS").coordinates, LPS)
    with pytest.raises(UsageError):
        load_points(tmp_path / "a.txt", space="MNI")


def test_contradiction_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pts").write_text("point\n1\n1 2 3\n")
    with pytest.raises(InputError, match="the file says LPS"):
        load_points(tmp_path / "a.pts", space="RAS")


def test_pixels_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(" ,X,Y\n1,236,142\n2,374,87\n")
    with pytest.warns(InputWarning, match="pixels"):
        assert np.array_equal(load_points(tmp_path / "a.csv").coordinates, [[-236, -142], [-374, -87]])


@pytest.mark.parametrize(("name", "text"), [
    ("a.csv", ""), ("a.csv", "x,y,z\n"), ("a.csv", "i,j,k\n1,2,3\n"), ("a.csv", "a,b,c\n1,2,3\n"), ("a.csv", "x,y,z,name\n1,2\n"),
    ("a.csv", "x,y,z,name\n1,2,three,n\n"), ("a.csv", "x,y,z,name\n1,2,nan,n\n"), ("a.csv", "x,y,z,space\n1,2,3,RAS\n1,2,3,LPS\n"),
    ("a.csv", "x,y,z,space\n1,2,3,MNI\n"), ("a.txt", "1 2 3\n1 2\n"), ("a.txt", "1 2 3 4\n"), ("a.txt", "1\n"),
    ("a.pts", "index\n1\n1 2 3\n"), ("a.pts", "point\n2\n1 2 3\n"), ("a.pts", "points\n1\n1 2 3\n"), ("a.pts", ""),
    ("a.mrk.json", "{}"), ("a.mrk.json", "{"), ("a.mrk.json", "[]"),
    ("a.mrk.json", '{"markups":[{"coordinateSystem":"IJK","controlPoints":[]}]}'), ("a.mrk.json", "[" * 100000), ("a.csv", "\0\1\2")])
def test_unusable_tables_are_refused(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as error:
        load_points(tmp_path / name)
    assert name in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.mrk.json"])
def test_round_trip(name: str, rng: np.random.Generator, tmp_path: Path) -> None:
    points = Points(rng.normal(size=(9, 3)) * 100, tuple(f'p "{k}", ä; {k}' for k in range(9)))
    save_points(points, tmp_path / name)
    loaded = load_points(tmp_path / name)
    assert np.array_equal(loaded.coordinates, points.coordinates) and loaded.names == points.names


def test_two_dimensions_without_names(rng: np.random.Generator, tmp_path: Path) -> None:
    points = Points(rng.normal(size=(4, 2)))
    save_points(points, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().startswith("x,y,name\n")
    assert np.array_equal(load_points(tmp_path / "a.csv").coordinates, points.coordinates) and load_points(tmp_path / "a.csv").names is None
    with pytest.raises(InputError):
        save_points(points, tmp_path / "a.mrk.json")


def test_formulas_are_quoted_and_come_back(tmp_path: Path) -> None:
    names = ("=1+1", "+a", "-a", "@a", "\ta", "plain", "'quoted")
    save_points(Points(np.ones((7, 3)), names), tmp_path / "a.csv")
    assert not any(cell[:1] in "=+@\t" for line in (tmp_path / "a.csv").read_text().splitlines() for cell in line.split(",")[3:])
    assert load_points(tmp_path / "a.csv").names == names


def test_unknown_suffix_and_links(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.csv"):
        save_points(Points(RAS), tmp_path / "a.xls")
    (tmp_path / "a.csv").symlink_to(tmp_path / "b.csv")
    with pytest.raises(SecurityError):
        save_points(Points(RAS), tmp_path / "a.csv")
