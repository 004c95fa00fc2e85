"""Landmarks from and to tables.

Ours is CSV with the header ``x,y,z,name`` (``x,y,name`` in 2-D), RAS mm. Read as well: other CSV and TSV, plain numbers,
the points of ANTs (``x,y,z,t``, LPS), ITK and elastix (``.pts``, LPS) and 3D Slicer (``.fcsv``, ``.mrk.json``, which say
their space). Where a file does not say its space, an `InputWarning` says which was assumed.
"""
from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core import InputError, Points
from ..core.errors import choose
from .atomic import write_json, write_text
from .header import refuse, shown, warn
from .stream import open_file

_MAX_BYTES = 256 << 20
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NAMES = ("name", "label", "id", "comment")
_SPACES = ("RAS", "LPS")
_NUMBERED = {"0": "RAS", "1": "LPS"}  # as older Slicer writes them
_SCHEMA = ("https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
           "markups-schema-v1.0.3.json#")


def load_points(path: str | os.PathLike[str], space: str | None = None) -> Points:
    """Read landmarks as RAS mm.

    Parameters
    ----------
    space : ``RAS`` or ``LPS``, what the numbers of the file mean; by default what the file says.

    Raises
    ------
    InputError : no numbers, rows of different length, voxel indices instead of mm, contradiction with ``space``.
    """
    path = Path(path)
    if space is not None:
        choose(space, _SPACES, "space")
    text = _text(path)
    name = path.name.lower()
    if name.endswith(".json"):
        found, names, said = _markups(path, text)
    elif name.endswith(".pts"):
        found, names, said = _pts(path, text)
    else:
        found, names, said = _table(path, text)
    if space and said and space != said:
        raise refuse(path, f"space {space} was asked for, the file says {said}; leave the choice to the file")
    coordinates = _numbers(path, found)
    space = space or said or _assumed(path)
    if space == "LPS":
        coordinates[:, :2] *= -1
    return Points(coordinates + 0.0, names)


def save_points(points: Points, path: str | os.PathLike[str]) -> None:
    """Write landmarks: ``.csv`` or ``.tsv`` (ours, RAS mm), or ``.mrk.json`` for 3D Slicer; whole or not at all.

    Names that a spreadsheet would run as a formula are quoted with an apostrophe.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(".mrk.json"):
        return write_json(path, _as_markups(path, points))
    if not name.endswith((".csv", ".tsv")):
        raise InputError(f"cannot write points to {shown(path)}: expected a name ending in .csv .tsv .mrk.json")
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter="," if name.endswith(".csv") else "\t", lineterminator="\n")
    writer.writerow([*"xyz"[:points.dim], "name"])
    for k, place in enumerate(points.coordinates.tolist()):
        writer.writerow([*map(repr, place), _quoted(points.names[k]) if points.names else ""])
    return write_text(path, buffer.getvalue())


# ---------------------------------------------------------------- text
def _text(path: Path) -> str:
    with open_file(path) as file:
        raw = file.read(_MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES or b"\0" in raw[:4096]:
        raise refuse(path, "not a table of points (binary, or far too long)")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _assumed(path: Path) -> str:
    warn(path, "it does not say whether x and y grow to right and anterior (RAS) or to left and posterior (LPS); RAS is assumed, "
               "add a column 'space' or pass space=")
    return "RAS"


def _numbers(path: Path, rows: Sequence[Sequence[str | float]]) -> NDArray[np.float64]:
    try:
        coordinates = np.array([[float(v) for v in row] for row in rows], np.float64)
    except ValueError as error:
        raise refuse(path, f"a coordinate is not a number ({error})") from None
    if coordinates.ndim != 2 or coordinates.shape[1] not in (2, 3):
        raise refuse(path, "no points: expected rows of x, y and z in mm (or of x and y)")
    if not np.isfinite(coordinates).all():
        raise refuse(path, "a coordinate is NaN or infinite")
    return coordinates


def _quoted(name: str) -> str:
    return "'" + name if name.startswith(_FORMULA) else name


def _unquoted(name: str) -> str:
    return name[1:] if name[:1] == "'" and name[1:].startswith(_FORMULA) else name


# ---------------------------------------------------------------- tables
def _table(path: Path, text: str) -> tuple[list, tuple[str, ...] | None, str | None]:
    """Coordinates as text, names, and the space the file states, of CSV, TSV, ``.fcsv`` or plain numbers."""
    comments = [line for line in text.splitlines() if line.lstrip().startswith("#")]
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise refuse(path, "the file holds no points")
    split = _splitter(lines[0])
    rows = split(lines)
    header = _slicer_columns(comments) or _header(rows[0])
    body = rows[1:] if header and not _slicer_columns(comments) else rows
    if not header:
        return _bare_rows(path, body), None, _stated(comments)
    columns = _columns(path, header)
    if any(len(row) <= max(columns) for row in body):
        raise refuse(path, f"a row has fewer than {max(columns) + 1} entries: expected as many as the header names")
    said = _stated(comments) or _space_of(path, header, body)
    return [[row[k] for k in columns] for row in body], _name_column(header, body), said


def _splitter(first: str):
    """How the lines are cut; with semicolons a comma is the decimal mark."""
    for sign in (";", "\t", ","):
        if sign in first:
            def split(lines: list[str], sign: str = sign) -> list[list[str]]:
                rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=sign)]
                return [[re.sub(r"^([-+]?\d+),(\d)", r"\1.\2", cell) for cell in row] for row in rows] if sign == ";" else rows
            return split
    return lambda lines: [line.split() for line in lines]


def _header(row: list[str]) -> list[str]:
    """Lower-case column names, or none if the row holds numbers."""
    return [] if all(_is_number(cell) for cell in row if cell) else [cell.lower() for cell in row]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _columns(path: Path, header: list[str]) -> list[int]:
    """Where x, y and z stand."""
    if "x" in header and "y" in header:
        return [header.index(c) for c in "xyz" if c in header]
    slicer = [header.index(c) for c in "ras" if c in header]
    if len(slicer) == 3:
        return slicer
    if {"i", "j"} <= set(header):
        raise refuse(path, "its columns i, j, k are voxel indices: expected x, y, z in mm; convert them with grid.world(indices)")
    raise refuse(path, f"its columns are {header}: expected x, y and z in mm (or x and y)")


def _name_column(header: list[str], body: list[list[str]]) -> tuple[str, ...] | None:
    column = next((header.index(name) for name in _NAMES if name in header), None)
    if column is None:
        return None
    names = tuple(_unquoted(row[column]) if len(row) > column else "" for row in body)
    return names if any(names) else None


def _space_of(path: Path, header: list[str], body: list[list[str]]) -> str | None:
    """The space a column states, or that a known program writes."""
    if "space" in header:
        said = {row[header.index("space")].upper() for row in body}
        if len(said) > 1 or not said <= set(_SPACES):
            raise refuse(path, f"its column 'space' says {sorted(said)}: expected RAS or LPS throughout")
        return said.pop() if said else None
    if header in (["x", "y", "z", "name"], ["x", "y", "name"]) or header[:3] == ["r", "a", "s"]:
        return "RAS"
    if header[:4] == ["x", "y", "z", "t"]:
        return "LPS"
    if header[1:] == ["x", "y"]:  # a numbered table of pixels, as ImageJ writes it; pictures are LPS here
        warn(path, "taken as pixels of a picture, from its upper left corner")
        return "LPS"
    return None


def _stated(comments: list[str]) -> str | None:
    """``# space = LPS`` or Slicer's ``# CoordinateSystem = 0``."""
    for line in comments:
        match = re.search(r"(?:space|coordinatesystem)\s*[=:]\s*(\w+)", line, re.IGNORECASE)
        if match:
            word = match[1].upper()
            return _NUMBERED.get(word, word if word in _SPACES else None)
    return None


def _slicer_columns(comments: list[str]) -> list[str]:
    line = next((line for line in comments if re.match(r"#\s*columns\s*=", line)), "")
    return [word.strip().lower() for word in line.partition("=")[2].split(",")] if line else []


def _bare_rows(path: Path, rows: list[list[str]]) -> list[list[str]]:
    """Rows of plain numbers, two or three each."""
    kept = [[cell for cell in row if cell] for row in rows]
    if len({len(row) for row in kept}) != 1 or len(kept[0]) not in (2, 3):
        raise refuse(path, "without a header every row must hold two or three numbers")
    return kept


# ---------------------------------------------------------------- other programs
def _pts(path: Path, text: str) -> tuple[list, None, str]:
    """ITK and elastix: ``point``, the count, then rows, LPS mm."""
    words = text.split("\n", 2)
    if words[0].strip().lower() == "index":
        raise refuse(path, "it holds voxel indices: expected points in mm; convert them with grid.world(indices)")
    rows = [line.split() for line in (words[2] if len(words) > 2 else "").splitlines() if line.strip()]
    if words[0].strip().lower() != "point" or len(words) < 2:
        raise refuse(path, "its first lines are not 'point' and the number of points")
    if words[1].strip() != str(len(rows)) or len({len(row) for row in rows}) > 1:
        raise refuse(path, f"it announces {words[1].strip()[:20]!r} points and holds {len(rows)} rows; complete it")
    return rows, None, "LPS"


def _markups(path: Path, text: str) -> tuple[list, tuple[str, ...], str]:
    """3D Slicer's markups."""
    try:
        lists = json.loads(text)["markups"]
        units = {str(one.get("coordinateUnits", "mm")) for one in lists}
        spaces = {_NUMBERED.get(word, word) for word in (str(one.get("coordinateSystem", "LPS")) for one in lists)}
        placed = [p for one in lists for p in one["controlPoints"] if p.get("positionStatus", "defined") == "defined"]
        rows, names = [point["position"] for point in placed], tuple(str(point.get("label", "")) for point in placed)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise refuse(path, "not a markups file of 3D Slicer, or damaged") from None
    if len(spaces) != 1 or not spaces <= set(_SPACES) or units - {"mm", "[mm]"}:
        raise refuse(path, f"coordinates in {sorted(spaces)}, units {sorted(units)}: expected RAS or LPS throughout, mm")
    return rows, names, spaces.pop()


def _as_markups(path: Path, points: Points) -> dict:
    if points.dim != 3:
        raise InputError(f"cannot write {shown(path)}: 3D Slicer's points are 3-D; choose .csv")
    names = points.names or tuple(str(k + 1) for k in range(len(points)))
    lps = (points.coordinates * [-1, -1, 1] + 0.0).tolist()
    controls = [{"id": str(k + 1), "label": name, "position": place, "positionStatus": "defined"}
                for k, (name, place) in enumerate(zip(names, lps, strict=True))]
    fiducials = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": controls}
    return {"@schema": _SCHEMA, "markups": [fiducials]}
