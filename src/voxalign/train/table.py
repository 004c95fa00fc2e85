"""Which images there are, whose they are, and who is kept aside."""
from __future__ import annotations

import csv
import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core import InputError

_IMAGES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".mgz", ".mgh", ".png", ".tif", ".tiff", ".jpg")
_POINTS = (".csv", ".fcsv", ".json", ".txt")
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Scan:
    """An image, what is known of it, and whose it is.

    Parameters
    ----------
    image, labels, points : files. Without an image, one is synthesised from the labels.
    person : by any name; people, not images, are divided among training, validation and test.
    """

    image: Path | None
    labels: Path | None = None
    points: Path | None = None
    person: str = ""


@dataclass(frozen=True)
class Table:
    """Scans, and which are registered with which.

    Parameters
    ----------
    pairs : (fixed, moving) numbers of scans; None: any two of different people.
    atlas : number of the scan that is always the fixed one; it belongs to no part.
    """

    scans: tuple[Scan, ...]
    pairs: tuple[tuple[int, int], ...] | None = None
    atlas: int | None = None


def read(path: Path, atlas: Path | None = None, atlas_labels: Path | None = None) -> Table:
    """The table of a folder or of a CSV file.

    A folder has ``images/`` and, under the same names, ``labels/`` and ``points/``; or just images. A CSV file has a row for each image
    (``image``, ``labels``, ``points``, ``person``) or for each pair (``fixed``, ``moving``, ``fixed_labels``, ..., ``person``); its paths
    are relative to it.

    Raises
    ------
    InputError : nothing there, files missing, columns missing.
    """
    table = _folder(path) if path.is_dir() else _rows(path)
    for scan in table.scans:
        for file in (scan.image, scan.labels, scan.points):
            if file is not None and not file.exists():
                raise InputError(f"{path.name}: {file.name} is listed and does not exist")
    if atlas is None:
        return table
    if table.pairs:
        raise InputError(f"{path.name}: lists pairs and an atlas was given; expected a row for each image, or no atlas")
    scans = (*table.scans, Scan(atlas, atlas_labels, None, "the atlas"))
    return Table(scans, tuple((len(table.scans), k) for k in range(len(table.scans))), len(table.scans))


def _folder(path: Path) -> Table:
    inside = path / "images" if (path / "images").is_dir() else path
    images = {_stem(file): file for file in sorted(inside.rglob("*")) if file.name.lower().endswith(_IMAGES)}
    labels, points = _named(path / "labels", _IMAGES), _named(path / "points", _POINTS)
    if not (path / "images").is_dir() and labels:  # label maps alone: images are synthesised from them
        images = dict.fromkeys(labels)
    if not images:
        raise InputError(f"{path.name}: no images found; expected a folder with images/ (and labels/, points/), or a CSV file")
    return Table(tuple(Scan(image, labels.get(stem), points.get(stem), person(stem)) for stem, image in images.items()))


def _named(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    return {_stem(file): file for file in sorted(folder.rglob("*")) if file.name.lower().endswith(endings)} if folder.is_dir() else {}


def _stem(file: Path) -> str:
    return file.name.partition(".")[0]


def person(stem: str) -> str:
    """Whose an image is, by the name of its file: ``sub-07_ses-2_T1w`` is sub-07's; any other name is a person of its own."""
    return stem.partition("_")[0] if stem.startswith("sub-") else stem


def _rows(path: Path) -> Table:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path.name}: cannot be read as a CSV table ({error})") from error
    columns = set(rows[0]) if rows else set()
    if {"fixed", "moving"} <= columns:
        scans = tuple(_scan(row, path.parent, f"{role}_") for row in rows for role in ("fixed", "moving"))
        return Table(scans, tuple((2 * k, 2 * k + 1) for k in range(len(rows))))
    if columns & {"image", "labels"}:
        return Table(tuple(_scan(row, path.parent, "") for row in rows))
    raise InputError(f"{path.name}: columns {', '.join(sorted(map(str, columns))) or 'none'}; expected image (or labels), or fixed, moving")


def _scan(row: Mapping[str, str], base: Path, role: str) -> Scan:
    def file(column: str) -> Path | None:
        return base / row[column] if row.get(column) else None

    image, labels = file(role[:-1] or "image"), file(f"{role}labels")
    if image is None and labels is None:
        raise InputError(f"a row without {role[:-1] or 'image'}: expected the path of a file in every row")
    return Scan(image, labels, file(f"{role}points"), row.get(f"{role}person") or row.get("person") or person(_stem(image or labels)))


def split(people: Sequence[str], validation: float, test: float, seed: int = 0, least: int = 1) -> dict[str, str]:
    """Which part (`PARTS`) each person belongs to; the same for the same people, in whatever order they come.

    Each part that is asked for gets at least ``least`` people, training included.

    Raises
    ------
    InputError : fewer people than parts.
    """
    wanted = [part for part, share in zip(PARTS, (1, validation, test), strict=True) if share > 0]
    order = sorted(set(people), key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    if len(order) < least * len(wanted):
        raise InputError(f"{len(order)} people for {' and '.join(wanted)}: expected at least {least * len(wanted)}; "
                         "set validation=0 and test=0")
    counts = [max(round(share * len(order)), least) if share > 0 else 0 for share in (validation, test)]
    if sum(counts) > len(order) - least:
        counts = [min(n, least) for n in counts]
    first, second = len(order) - sum(counts), len(order) - counts[1]
    return {name: PARTS[(k >= first) + (k >= second)] for k, name in enumerate(order)}


def pairs_of(table: Table, parts: Mapping[str, str], part: str) -> list[tuple[int, int]]:
    """The (fixed, moving) pairs whose people are all of one part; the atlas is of every part."""
    inside = [k == table.atlas or parts[scan.person] == part for k, scan in enumerate(table.scans)]
    if table.pairs is not None:
        return [(f, m) for f, m in table.pairs if inside[f] and inside[m]]
    chosen = [k for k, is_in in enumerate(inside) if is_in]
    return [(f, m) for f in chosen for m in chosen if table.scans[f].person != table.scans[m].person]


def sequences_of(table: Table, parts: Mapping[str, str], part: str) -> list[tuple[int, ...]]:
    """Scans of one person, in the order of the table, of every person of a part who has several; the atlas is nobody's."""
    whose: dict[str, list[int]] = {}
    for number, scan in enumerate(table.scans):
        if number != table.atlas and parts[scan.person] == part:
            whose.setdefault(scan.person, []).append(number)
    return [tuple(numbers) for numbers in whose.values() if len(numbers) > 1]


def some(pairs: Sequence[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """At most so many of the pairs, always the same ones, spread over all."""
    return sorted(random.Random(0).sample(list(pairs), most)) if len(pairs) > most else list(pairs)
