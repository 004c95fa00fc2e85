"""Pictures (.png, .jpg, .tif) as 2-D images.

The first array axis runs along a row (x, to the right in the picture), the second down the picture (y). A pixel is
1 mm whatever resolution the file claims (that is meant for printers), the first pixel lies at the origin, and the axes
are those of ITK: x to the left, y to posterior; in RAS mm the pixel (i, j) lies at (-i, -j).
"""
from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Image, InputError, SecurityError
from .header import Header, note, refuse, shown, warn
from .stream import open_file

_COLOUR_MODES = {"RGB": 3, "RGBA": 4, "LA": 2, "CMYK": 3, "YCbCr": 3, "LAB": 3, "HSV": 3, "P": 3, "PA": 4}
_CONVERTED = {"1": "L", "P": "RGB", "PA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB"}


def raster_grid(shape: tuple[int, int]) -> Grid:
    """The grid of a picture of ``shape`` (width, height) pixels."""
    return Grid(shape, np.diag([-1.0, -1.0, 1.0]))


def read_header(path: Path) -> Header:
    """Understand a picture.

    Raises
    ------
    InputError : damaged or of an unknown kind.  SecurityError : it announces absurdly many pixels.
    """
    with _picture(path) as picture:
        frames, mode, size = getattr(picture, "n_frames", 1), _mode(picture), picture.size
        turned = picture.getexif().get(274, 1) != 1
    if mode not in _COLOUR_MODES and not mode.startswith(("1", "L", "I", "F")):
        raise refuse(path, f"pixels of type {mode!r} are not supported: convert it to grey values")
    notes = (note(path, "its EXIF tag asks to turn the picture; the pixels are taken as stored"),) if turned else ()
    channels = _COLOUR_MODES.get(mode, 1)
    dtype = np.dtype("f4" if mode == "F" else "i4" if mode == "I" else "u2" if mode.startswith("I;16") else "u1")
    return Header("picture", raster_grid(size), dtype, partial(_read, path), frames, channels,
                  "colour" if channels > 1 else "scalar", notes=notes, details={"mode": mode, "units": "pixels, taken as 1 mm"})


@contextmanager
def _picture(path: Path) -> Iterator[Any]:
    """The opened picture; Pillow's ways to fail become errors that name the file, its warnings are dropped."""
    from PIL import Image as Pillow

    try:
        with open_file(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Pillow.open(file, formats=("PNG", "JPEG", "TIFF")) as picture:
                yield picture
    except InputError:
        raise
    except Pillow.DecompressionBombError:
        most = 2 * Pillow.MAX_IMAGE_PIXELS
        raise SecurityError(note(path, f"it announces more than {most} pixels; crop or downsample it first")) from None
    except Exception as error:  # Pillow raises whatever its parsing runs into
        raise refuse(path, f"not a readable PNG, JPEG or TIFF, or damaged ({_first_line(error)}); copy it again") from None


def _read(path: Path, frame: int) -> NDArray:
    """(channels, width, height)."""
    with _picture(path) as picture:
        picture.seek(frame)
        mode = _mode(picture)
        pixels = np.asarray(picture.convert("L" if mode == "L" else _CONVERTED[mode]) if mode in {"L", *_CONVERTED} else picture)
    return pixels.T[None] if pixels.ndim == 2 else pixels.transpose(2, 1, 0)


def _mode(picture: Any) -> str:
    """Pillow's name of the kind of pixels; a palette of greys is grey."""
    if picture.mode != "P":
        return picture.mode
    entries = np.array(picture.getpalette("RGB")).reshape(-1, 3)
    return "L" if (entries == entries[:, :1]).all() else "P"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:80] if str(error) else type(error).__name__


def write_png(image: Image, path: Path) -> list[bytes]:
    """The bytes of a PNG of a 2-D image: 8 or 16 bits, rounded; values beyond are stretched, with an `InputWarning`."""
    from PIL import Image as Pillow

    if image.dim != 2 or image.channels not in (1, 3):
        raise InputError(f"cannot write {shown(path)}: a PNG holds a 2-D image of 1 or 3 channels; "
                         f"given {image.dim}-D with {image.channels}; choose .nii.gz")
    if not image.grid.is_close(raster_grid(image.grid.shape)):
        warn(path, "a PNG cannot say where its pixels are; positions, spacing and direction are lost")
    pixels = _whole_pixels(image, path)
    pixels = np.ascontiguousarray(pixels[0].T if image.channels == 1 else pixels.transpose(2, 1, 0))
    if pixels.ndim == 3 and pixels.dtype != np.uint8:
        raise InputError(f"cannot write {shown(path)}: a colour PNG holds 0 to 255; given up to {pixels.max()}; choose .nii.gz")
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return [buffer.getvalue()]


def _whole_pixels(image: Image, path: Path) -> NDArray:
    low, high = float(image.data.min()), float(image.data.max())
    if low >= 0 and high <= 65535.4 and (image.is_label or high > 1 or low == high == 0):
        return np.rint(image.data).astype(np.uint8 if high < 255.5 else np.uint16)
    if image.is_label:
        raise InputError(f"cannot write {shown(path)}: labels from {low:g} to {high:g} do not fit a PNG; choose .nii.gz")
    factor = 65535 / ((high - low) or 1.0)
    warn(path, f"values from {low:g} to {high:g} were stretched to 0 to 65535 to fit a PNG")
    return np.rint((image.data - low) * factor).astype(np.uint16)
