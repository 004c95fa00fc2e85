"""Files with bytes changed at random load or are refused in one line; nothing else happens."""
from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image as Pillow

from voxalign import io
from voxalign.core import Grid, Image, InputWarning, Points, VoxalignError

SUFFIXES = (".nii", ".nii.gz", ".mha", ".nrrd", ".raw.mha", ".raw.nrrd", ".mgz", ".mgh", ".png", ".tif", ".csv", ".mrk.json", ".pts")


def good(path: Path, rng: np.random.Generator) -> Callable[[Path], object]:
    """Write a whole file; what reads it."""
    image = Image(rng.integers(0, 99, (9, 8, 7)), Grid((9, 8, 7), np.diag([2, 2, 2, 1.0])))
    if ".raw." in path.name:
        sitk.WriteImage(io.to_sitk(image), str(path))
    elif path.suffix in (".png", ".tif"):
        Pillow.fromarray(rng.integers(0, 255, (40, 40)).astype(np.uint8)).save(path)
    elif path.suffix == ".pts":
        path.write_text("point\n2\n1 2 3\n4 5 6\n")
    elif path.suffix in (".csv", ".json"):
        io.save_points(Points(rng.random((3, 3)), ("a", "b", "c")), path)
    else:
        io.save(image, path)
    return io.load_points if path.suffix in (".pts", ".csv", ".json") else io.load


def damaged(raw: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes changed, removed or added, mostly near the start."""
    out = bytearray(raw)
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(min(len(out), 600) if rng.random() < 0.8 else len(out)))
        some = bytes(rng.integers(0, 256, int(rng.integers(1, 9))).astype(np.uint8))
        stop = at + (0, 1, len(some), len(some))[int(rng.integers(4))]
        out[at:stop] = some[:max(stop - at, 0)] if rng.random() < 0.6 else some if stop == at else b""
    return bytes(out)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damage_is_loaded_or_refused(suffix: str, rng: np.random.Generator, tmp_path: Path) -> None:
    read = good(tmp_path / f"good{suffix}", rng)
    raw, path = (tmp_path / f"good{suffix}").read_bytes(), tmp_path / f"bad{suffix}"
    for _ in range(60):
        path.write_bytes(damaged(raw, rng))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)
            try:
                read(path)
            except VoxalignError as error:
                assert error.exit_code in (3, 5, 6) and "\n" not in str(error)
