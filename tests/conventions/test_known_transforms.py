"""Real slices that were moved by a known amount, which the file's name states, and the amount that registration finds."""
import numpy as np
import pytest

from voxalign import io
from voxalign.register import Settings, register
from voxalign.transforms import Affine, decompose

FIXED = "slices2d/known-transform/BrainProtonDensitySliceBorder20.png"


def found(data, fixed: str, moving: str, model: str) -> Affine:
    images = (io.load(data / name) for name in (fixed, moving))
    return register(*images, Settings(transform=model)).transform


def known(name: str) -> str:
    return f"slices2d/known-transform/BrainProtonDensitySlice{name}"


@pytest.mark.parametrize(("model", "within_mm"), [("rigid", 0.1), ("similarity", 0.15), ("affine", 0.4)])
def test_shift_of_13_and_17_mm(data, model, within_mm):
    """A shift to the right and down of the picture; in RAS both are negative. Everywhere in the head."""
    fixed = io.load(data / FIXED)
    head = fixed.grid.world(np.argwhere(fixed.array > 60))
    error = np.linalg.norm(found(data, FIXED, known("Shifted13x17y.png"), model)(head) - head - [-13.0, -17.0], axis=1)
    assert error.max() < within_mm


def test_rotation_by_10_degrees(data):
    t = decompose(found(data, FIXED, known("Rotated10.png"), "rigid"))
    assert abs(t.angle_degrees) == pytest.approx(10, abs=0.1)


def test_rotation_shift_and_scale(data):
    """10 degrees, (13, 17) mm and 1.2: the scale is that of the picture's content or its inverse, by the direction of the map."""
    t = found(data, FIXED, known("R10X13Y17S12.png"), "similarity")
    parts = decompose(t)
    assert abs(parts.angle_degrees) == pytest.approx(10, abs=0.2)
    scale = parts.scales.mean()
    assert min(abs(scale - 1.2), abs(scale - 1 / 1.2)) < 0.01
    affine = found(data, FIXED, known("R10X13Y17S12.png"), "affine")
    corners = io.load(data / FIXED).grid.corners()
    assert np.abs(affine(corners) - t(corners)).max() < 1.5


@pytest.mark.parametrize("sign", ["Plus", "Minus"])
def test_direction_cosines_of_30_degrees(data, sign):
    """The pixels of one picture under axes turned by 30 degrees: only the header differs, and registration undoes what it says."""
    fixed, moving = io.load(data / known("Border20.mhd")), io.load(data / known(f"Shifted13x17yDirection{sign}30.mhd"))
    t = register(fixed, moving, Settings(transform="rigid")).transform
    index = np.array([[60.0, 80], [120, 150], [150, 70]])
    assert moving.grid.index(t(fixed.grid.world(index))) - index == pytest.approx(np.tile([13.0, 17.0], (3, 1)), abs=0.15)


def test_bspline_deformation_is_undone(data):
    fixed, moving = (io.load(data / known(name)) for name in ("Border20.png", "BSplined10.png"))
    before, after = (np.corrcoef(fixed.array.ravel(), image.array.ravel())[0, 1]
                     for image in (moving, register(fixed, moving, Settings()).apply(moving)))
    assert after > 0.98 > before
