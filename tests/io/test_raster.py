"""Pictures: grey and colour, placed as SimpleITK places them."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image as Pillow

from voxalign import io
from voxalign.core import Grid, Image, InputError, InputWarning, SecurityError
from voxalign.io.raster import raster_grid


@pytest.fixture
def grey(rng: np.random.Generator) -> np.ndarray:
    """(height, width), as pictures are stored."""
    return rng.integers(0, 256, (11, 17)).astype(np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_as_simpleitk_reads_it(name: str, dtype: type, grey: np.ndarray, tmp_path: Path) -> None:
    Pillow.fromarray((grey.astype(dtype) * (256 if dtype is np.uint16 else 1)).astype(dtype)).save(tmp_path / name)
    image, itk = io.load(tmp_path / name), sitk.ReadImage(str(tmp_path / name))
    assert np.array_equal(image.array, sitk.GetArrayFromImage(itk).T) and image.dim == 2
    assert np.array_equal(image.grid.world((3, 4)), -np.array(itk.TransformIndexToPhysicalPoint((3, 4)))[:2])


def test_jpeg_resolution_and_kinds(grey: np.ndarray, tmp_path: Path) -> None:
    Pillow.fromarray(grey).save(tmp_path / "a.jpg", dpi=(72, 72), quality=95)
    image = io.load(tmp_path / "a.jpg")
    assert np.array_equal(image.grid.spacing, (1, 1)) and np.array_equal(image.array, np.asarray(Pillow.open(tmp_path / "a.jpg")).T)
    Pillow.fromarray(grey > 99).save(tmp_path / "b.png")
    assert set(np.unique(io.load(tmp_path / "b.png").data)) == {0, 255}
    Pillow.fromarray(grey.astype(np.float32) / 7).save(tmp_path / "f.tif")
    assert np.array_equal(io.load(tmp_path / "f.tif").array, (grey.astype(np.float32) / 7).T)


def test_colour_needs_a_channel(rng: np.random.Generator, tmp_path: Path) -> None:
    colours = rng.integers(0, 256, (5, 6, 3)).astype(np.uint8)
    Pillow.fromarray(colours).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="grey"):
        io.load(tmp_path / "a.png")
    assert np.array_equal(io.load(tmp_path / "a.png", channel=2).array, colours[..., 2].T)
    assert np.allclose(io.load(tmp_path / "a.png", channel="grey").array, (colours @ [0.299, 0.587, 0.114]).T, atol=1e-3)
    Pillow.fromarray(colours).quantize(9).save(tmp_path / "p.png")
    with pytest.raises(InputError, match="colour"):
        io.load(tmp_path / "p.png")


def test_pages_are_frames(grey: np.ndarray, tmp_path: Path) -> None:
    Pillow.fromarray(grey).save(tmp_path / "a.tif", save_all=True, append_images=[Pillow.fromarray(255 - grey)])
    with pytest.raises(InputError, match="2 frames"):
        io.load(tmp_path / "a.tif")
    assert np.array_equal(io.load(tmp_path / "a.tif", frame=1).array, 255 - grey.T)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_truncated_pictures_are_refused(suffix: str, rng: np.random.Generator, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    Pillow.fromarray(rng.integers(0, 256, (90, 90)).astype(np.uint8)).save(path)
    raw = path.read_bytes()
    for cut in (9, 60, len(raw) // 2):
        path.write_bytes(raw[:cut])
        with pytest.raises(InputError):
            io.load(path)


def test_pixel_bomb_is_a_security_error(grey: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Pillow.fromarray(grey).save(tmp_path / "a.png")
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(SecurityError):
        io.load(tmp_path / "a.png")


def test_turned_by_exif_is_said(grey: np.ndarray, tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[274] = 6
    Pillow.fromarray(grey).save(tmp_path / "a.jpg", exif=exif)
    with pytest.warns(InputWarning, match="EXIF"):
        assert io.load(tmp_path / "a.jpg").data.shape == (1, 17, 11)


@pytest.mark.parametrize("high", [255, 65535])
def test_round_trip(high: int, rng: np.random.Generator, tmp_path: Path) -> None:
    values = rng.integers(0, high + 1, (7, 9))
    values[0, 0] = high
    for label in (False, True):
        io.save(Image(values, raster_grid((7, 9)), is_label=label), tmp_path / "a.png")
        assert np.array_equal(io.load(tmp_path / "a.png", is_label=label).array, values)
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.png"))).T, values)


def test_colour_round_trip(rng: np.random.Generator, tmp_path: Path) -> None:
    values = rng.integers(0, 256, (3, 7, 9))
    io.save(Image(values, raster_grid((7, 9))), tmp_path / "a.png")
    assert np.array_equal(io.load(tmp_path / "a.png", channel="all").data, values)


def test_what_a_png_cannot_hold(tmp_path: Path) -> None:
    grid = raster_grid((4, 5))
    with pytest.warns(InputWarning, match="stretched"):
        io.save(Image(np.linspace(-1, 1, 20).reshape(4, 5), grid), tmp_path / "a.png")
    with pytest.warns(InputWarning, match="where its pixels are"):
        io.save(Image(np.full((4, 5), 7), Grid((4, 5), np.eye(3))), tmp_path / "a.png")
    with pytest.raises(InputError, match="labels"):
        io.save(Image(np.full((4, 5), -7), grid, is_label=True), tmp_path / "b.png")
    with pytest.raises(InputError, match="2-D"):
        io.save(Image.from_array(np.ones((4, 5, 6))), tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()
