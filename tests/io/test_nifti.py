"""NIfTI and Analyze byte by byte: what must be refused, warned of, or read exactly."""
from __future__ import annotations

import gzip
import io as stdio
import struct
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from voxalign import io
from voxalign.core import Grid, Image, InputError, InputWarning, SecurityError
from voxalign.io import stream as stream_module

SHAPE = (9, 8, 7)
# offsets of NIfTI-1 fields
DIM, INTENT, DATATYPE, PIXDIM, VOX_OFFSET, SLOPE, INTER, UNITS = 40, 68, 70, 76, 108, 112, 116, 123
QFORM, SFORM, QUATERN, SROW, MAGIC = 252, 254, 256, 280, 344


@pytest.fixture
def image(rng: np.random.Generator) -> Image:
    affine = np.diag([2.0, 2.5, 3.0, 1.0])
    affine[:3, 3] = -8, -9, -10
    return Image(rng.random(SHAPE).astype(np.float32), Grid(SHAPE, affine))


@pytest.fixture
def whole(image: Image, tmp_path: Path) -> bytes:
    """The bytes of a good .nii file."""
    io.save(image, tmp_path / "whole.nii")
    return (tmp_path / "whole.nii").read_bytes()


def patched(raw: bytes, *changes: tuple[int, str, object]) -> bytes:
    """``raw`` with fields at offsets replaced."""
    out = bytearray(raw)
    for offset, kind, value in changes:
        values = value if isinstance(value, tuple) else (value,)
        struct.pack_into("<" + kind, out, offset, *values)
    return bytes(out)


def written(tmp_path: Path, raw: bytes, name: str = "a.nii") -> Path:
    path = tmp_path / name
    path.write_bytes(raw)
    return path


REFUSED = {
    "wrong magic": [(MAGIC, "4s", b"nope")],
    "no magic": [(MAGIC, "4s", b"n-1\0")],
    "header size": [(0, "i", 347)],
    "dim[0] of 0": [(DIM, "h", 0)],
    "dim[0] of 8": [(DIM, "h", 8)],
    "dim[0] of 1": [(DIM, "h", 1)],
    "negative dim": [(DIM + 2, "h", -4)],
    "zero dim": [(DIM + 4, "h", 0)],
    "six axes": [(DIM, "8h", (6, 3, 2, 7, 2, 1, 6, 1))],
    "huge dim": [(DIM, "4h", (3, 30000, 30000, 30000))],
    "unknown type": [(DATATYPE, "h", 3)],
    "binary type": [(DATATYPE, "h", 1)],
    "float128": [(DATATYPE, "h", 1536)],
    "vox_offset in header": [(VOX_OFFSET, "f", 348.0)],
    "vox_offset 0": [(VOX_OFFSET, "f", 0.0)],
    "vox_offset beyond": [(VOX_OFFSET, "f", 1e6)],
    "vox_offset NaN": [(VOX_OFFSET, "f", np.nan)],
    "vox_offset fraction": [(VOX_OFFSET, "f", 352.5)],
    "spacing 0": [(PIXDIM + 4, "f", 0.0)],
    "spacing negative": [(PIXDIM + 8, "f", -2.0)],
    "spacing NaN": [(PIXDIM + 12, "f", np.nan)],
    "spacing infinite": [(PIXDIM + 4, "f", np.inf)],
    "NaN in sform": [(SROW, "f", np.nan)],
    "infinite origin": [(SROW + 12, "f", np.inf)],
    "singular sform": [(SROW, "4f", (0, 0, 0, 1))],
    "all-zero sform": [(SROW, "12f", (0,) * 12)],
    "NaN in qform": [(SFORM, "h", 0), (QUATERN, "f", np.nan)],
    "CIFTI": [(INTENT, "h", 3001)],
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("packed", [False, True])
def test_damaged_header_is_refused(name: str, packed: bool, whole: bytes, tmp_path: Path) -> None:
    raw = patched(whole, *REFUSED[name])
    path = written(tmp_path, gzip.compress(raw) if packed else raw, "bad\nname.nii.gz" if packed else "bad.nii")
    with pytest.raises(InputError) as error:
        io.load(path)
    assert "\n" not in str(error.value) and "bad" in str(error.value)


@pytest.mark.parametrize("cut", [0, 1, 100, 347, 350, 352, 353, -1])
@pytest.mark.parametrize("packed", [False, True])
def test_truncated_file_is_refused(cut: int, packed: bool, whole: bytes, tmp_path: Path) -> None:
    raw = gzip.compress(whole[:cut]) if packed else whole[:cut]
    with pytest.raises(InputError):
        io.load(written(tmp_path, raw, "a.nii.gz" if packed else "a.nii"))


@pytest.mark.parametrize("cut", [0, 5, 12, 40, 600, -9, -8, -4, -1])
def test_truncated_gzip_is_refused(cut: int, whole: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        io.load(written(tmp_path, gzip.compress(whole)[:cut], "a.nii.gz"))


@pytest.mark.parametrize("where", [-8, -5, -4, -1, 700])
def test_wrong_checksum_is_refused(where: int, whole: bytes, tmp_path: Path) -> None:
    raw = bytearray(gzip.compress(whole))
    raw[where] ^= 0x55
    with pytest.raises(InputError, match=r"damaged|truncated"):
        io.load(written(tmp_path, bytes(raw), "a.nii.gz"))


def test_empty_missing_and_odd_files_are_refused(tmp_path: Path) -> None:
    for path in (written(tmp_path, b""), tmp_path / "missing.nii", written(tmp_path, b"hello" * 99), tmp_path):
        with pytest.raises(InputError):
            io.load(path)


def test_declared_size_is_checked_before_anything_is_allocated(whole: bytes, tmp_path: Path) -> None:
    raw = patched(whole, (DIM, "5h", (4, 32000, 32000, 32000, 32000)))
    for data, name in ((raw, "a.nii"), (gzip.compress(raw), "a.nii.gz")):
        with pytest.raises(InputError, match=r"truncated|GiB"):
            io.load(written(tmp_path, data, name), frame=0)


def test_gzip_bomb_behind_a_small_image_is_a_security_error(whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "_SURPLUS", 1 << 20)
    with pytest.raises(SecurityError):
        io.load(written(tmp_path, gzip.compress(whole + bytes(8 << 20)), "a.nii.gz"))


def test_gzip_bomb_as_an_image_is_a_security_error(whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "_BOMB_BYTES", 1 << 20)
    raw = patched(whole, (DIM, "4h", (3, 128, 128, 128)))[:352] + bytes(128**3 * 4)
    with pytest.raises(SecurityError):
        io.load(written(tmp_path, gzip.compress(raw), "a.nii.gz"))


@pytest.mark.parametrize("packed", [False, True])
def test_trailing_bytes_are_said(packed: bool, whole: bytes, image: Image, tmp_path: Path) -> None:
    raw = whole + b"garbage"
    path = written(tmp_path, gzip.compress(raw) if packed else raw, "a.nii.gz" if packed else "a.nii")
    with pytest.warns(InputWarning, match="7 bytes after"):
        assert np.array_equal(io.load(path).data, image.data)


def test_garbage_after_gzip_is_said_and_padding_is_not(whole: bytes, tmp_path: Path) -> None:
    with pytest.warns(InputWarning, match="after the image"):
        io.load(written(tmp_path, gzip.compress(whole) + b"garbage", "a.nii.gz"))
    io.load(written(tmp_path, gzip.compress(whole) + bytes(512), "a.nii.gz"))


def test_gzip_of_several_members(whole: bytes, image: Image, tmp_path: Path) -> None:
    raw = b"".join(gzip.compress(whole[k:k + 700]) for k in range(0, len(whole), 700))
    assert np.array_equal(io.load(written(tmp_path, raw, "a.nii.gz")).data, image.data)


@pytest.mark.parametrize(("packed", "name"), [(True, "a.nii"), (False, "a.nii.gz"), (True, "a.mha"), (False, "a.png"), (False, "scan")])
def test_content_decides_the_format(packed: bool, name: str, whole: bytes, image: Image, tmp_path: Path) -> None:
    with pytest.warns(InputWarning):
        loaded = io.load(written(tmp_path, gzip.compress(whole) if packed else whole, name))
    assert np.array_equal(loaded.data, image.data)


def test_odd_extension_is_said_and_a_good_one_is_not(whole: bytes, tmp_path: Path) -> None:
    good = patched(whole, (VOX_OFFSET, "f", 384.0), (348, "4B", (1, 0, 0, 0)))
    block = struct.pack("<ii", 32, 6) + b"comment".ljust(24, b"\0")
    io.load(written(tmp_path, good[:352] + block + good[352:]))
    odd = struct.pack("<ii", 17, 6) + b"comment".ljust(24, b"\0")
    with pytest.warns(InputWarning, match="extension of 17 bytes"):
        io.load(written(tmp_path, good[:352] + odd + good[352:]))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image, nib.Nifti1Pair])
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_every_type_and_byte_order(order: str, kind: type, dtype: str, rng: np.random.Generator, tmp_path: Path) -> None:
    values = rng.integers(0, 100, SHAPE).astype(order + dtype)
    affine = np.diag([2, 2, 2, 1.0])
    header = kind.header_class(endianness=order)
    header.set_data_dtype(values.dtype)
    path = tmp_path / ("a.img" if kind is nib.Nifti1Pair else "a.nii")
    nib.save(kind(values, affine, header), path)
    for name in (path, path.with_suffix(".hdr") if kind is nib.Nifti1Pair else path):
        loaded = io.load(name)
        assert loaded.data.dtype == np.float32 and np.array_equal(loaded.array, values)
        assert np.array_equal(loaded.grid.affine, affine)
    labels = io.load(path, is_label=True)
    assert labels.is_label and labels.data.dtype.kind in "iu" and np.array_equal(labels.array, values)


def test_img_without_hdr_and_hdr_without_img_are_refused(image: Image, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(image.array, image.grid.affine), tmp_path / "a.img")
    (tmp_path / "b.img").write_bytes((tmp_path / "a.img").read_bytes())
    (tmp_path / "c.hdr").write_bytes((tmp_path / "a.hdr").read_bytes())
    for name in ("b.img", "c.hdr"):
        with pytest.raises(InputError, match=r"needed|needs"):
            io.load(tmp_path / name)


def test_analyze_states_what_it_assumes(image: Image, tmp_path: Path) -> None:
    analyze = nib.AnalyzeImage(image.array, None)
    analyze.header.set_zooms((2, 2, 3))
    nib.save(analyze, tmp_path / "a.img")
    with pytest.warns(InputWarning, match="nothing of orientation"):
        loaded = io.load(tmp_path / "a.hdr")
    assert np.allclose(loaded.grid.affine, nib.AnalyzeImage.load(tmp_path / "a.img").affine)
    assert np.array_equal(loaded.data, image.data)


# ---------------------------------------------------------------- geometry
def test_neither_form_is_said_and_read_as_nibabel_does(whole: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, patched(whole, (QFORM, "2h", (0, 0))))
    with pytest.warns(InputWarning, match="neither sform nor qform"):
        loaded = io.load(path)
    assert np.allclose(loaded.grid.affine, nib.load(path).affine)


def test_forms_that_disagree_are_said_with_the_distance(whole: bytes, image: Image, tmp_path: Path) -> None:
    path = written(tmp_path, patched(whole, (SROW + 12, "f", -8.0 + 0.5)))
    with pytest.warns(InputWarning, match=r"disagree by up to 0\.5 mm"):
        loaded = io.load(path)
    assert loaded.grid.origin[0] == -7.5
    io.load(written(tmp_path, patched(whole, (SROW + 12, "f", -8.0 + 0.005))))


def test_qform_alone(whole: bytes, image: Image, tmp_path: Path) -> None:
    assert io.load(written(tmp_path, patched(whole, (SFORM, "h", 0)))).grid.is_close(image.grid)


@pytest.mark.parametrize(("unit", "factor"), [(0, 1), (2, 1), (1, 1000), (3, 0.001)])
def test_units_become_millimetres(unit: int, factor: float, whole: bytes, image: Image, tmp_path: Path) -> None:
    path = written(tmp_path, patched(whole, (UNITS, "B", unit)))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        grid = io.load(path).grid
    assert np.allclose(grid.spacing, image.grid.spacing * factor) and np.allclose(grid.origin, image.grid.origin * factor)
    assert any("converted from" in str(w.message) for w in said) == (factor != 1)


def test_implausible_size_is_said(whole: bytes, tmp_path: Path) -> None:
    raw = patched(whole, (SFORM, "h", 0), (PIXDIM + 4, "3f", (900.0, 900.0, 900.0)))
    with pytest.warns(InputWarning, match="no body part"):
        io.load(written(tmp_path, raw))


def test_far_origin_is_exact(whole: bytes, tmp_path: Path) -> None:
    raw = patched(whole, (QFORM, "h", 0), (SROW + 12, "f", 1e7 + 1))
    assert io.load(written(tmp_path, raw)).grid.world((1, 0, 0))[0] == 1e7 + 3


# ---------------------------------------------------------------- shape
def save_array(array: np.ndarray, path: Path, affine: np.ndarray | None = None) -> Path:
    affine = np.diag([2.0, 2, 2, 1]) if affine is None else affine
    nib.save(nib.Nifti1Image(array, affine, dtype=array.dtype), path)
    return path


def test_frames_must_be_chosen(rng: np.random.Generator, tmp_path: Path) -> None:
    values = rng.integers(0, 999, (*SHAPE, 5)).astype(np.int16)
    for name in ("a.nii", "a.nii.gz"):
        path = save_array(values, tmp_path / name)
        with pytest.raises(InputError, match=r"5 frames.*frame=0 to 4"):
            io.load(path)
        with pytest.raises(InputError, match="frame 5"):
            io.load(path, frame=5)
        for k in range(5):
            assert np.array_equal(io.load(path, frame=k).array, values[..., k])


@pytest.mark.parametrize("extra", [(1,), (1, 1), (1, 1, 1, 1)])
def test_trailing_axes_of_one_are_no_axes(extra: tuple[int, ...], rng: np.random.Generator, tmp_path: Path) -> None:
    values = rng.random((*SHAPE, *extra)).astype(np.float32)
    assert np.array_equal(io.load(save_array(values, tmp_path / "a.nii")).array, values.reshape(SHAPE))


def test_one_slice_stays_three_dimensional_and_two_axes_are_two(rng: np.random.Generator, tmp_path: Path) -> None:
    values = rng.random((6, 5)).astype(np.float32)
    assert io.load(save_array(values[..., None], tmp_path / "a.nii")).data.shape == (1, 6, 5, 1)
    flat = io.load(save_array(values, tmp_path / "b.nii"))
    assert flat.dim == 2 and np.array_equal(flat.array, values) and np.array_equal(flat.grid.affine, np.diag([2, 2, 1]))


def test_flat_image_on_edge_is_said(rng: np.random.Generator, tmp_path: Path) -> None:
    sagittal = np.array([[0, 0, 3, 5], [2, 0, 0, 6], [0, 1.5, 0, 7], [0, 0, 0, 1.0]])
    with pytest.warns(InputWarning, match="not axial"):
        flat = io.load(save_array(rng.random((6, 5)).astype(np.float32), tmp_path / "a.nii", sagittal))
    assert np.allclose(flat.grid.spacing, (2, 1.5))


def test_vectors_need_a_channel(rng: np.random.Generator, tmp_path: Path) -> None:
    values = rng.random((*SHAPE, 1, 3)).astype(np.float32)
    path = save_array(values, tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match="3 values a voxel"):
        io.load(path)
    assert np.array_equal(io.load(path, channel=2).array, values[..., 0, 2])
    assert np.array_equal(io.load(path, channel="all").data, np.moveaxis(values[..., 0, :], -1, 0))
    for wrong in (3, -1, "grey", "magnitude?"):
        with pytest.raises(InputError):
            io.load(path, channel=wrong)


def test_frames_of_vectors(rng: np.random.Generator, tmp_path: Path) -> None:
    values = rng.random((*SHAPE, 4, 2)).astype(np.float32)
    loaded = io.load(save_array(values, tmp_path / "a.nii.gz"), frame=3, channel="all")
    assert np.array_equal(loaded.data, np.moveaxis(values[..., 3, :], -1, 0))


def test_colour_and_complex_need_a_channel(rng: np.random.Generator, tmp_path: Path) -> None:
    colours = rng.integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
    path = save_array(colours.view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0], tmp_path / "a.nii")
    with pytest.raises(InputError, match="colour"):
        io.load(path)
    assert np.array_equal(io.load(path, channel=1).array, colours[..., 1])
    assert np.allclose(io.load(path, channel="grey").array, colours @ [0.299, 0.587, 0.114], atol=1e-3)
    waves = (rng.random(SHAPE) + 1j * rng.random(SHAPE)).astype(np.complex64)
    path = save_array(waves, tmp_path / "c.nii")
    with pytest.raises(InputError, match="magnitude"):
        io.load(path)
    assert np.allclose(io.load(path, channel="magnitude").array, np.abs(waves))


# ---------------------------------------------------------------- values
@pytest.mark.parametrize(("slope", "inter", "scaled"), [
    (0, 3, False), (np.nan, np.nan, False), (1, 0, False), (2, -1000, True), (0.001, 0.5, True)])
def test_scaling(slope: float, inter: float, scaled: bool, rng: np.random.Generator, tmp_path: Path) -> None:
    values = rng.integers(-32768, 32767, SHAPE).astype(np.int16)
    path = save_array(values, tmp_path / "a.nii")
    path.write_bytes(patched(path.read_bytes(), (SLOPE, "2f", (slope, inter))))
    expected = values.astype(np.float64) * np.float32(slope) + np.float32(inter) if scaled else values
    assert np.array_equal(io.load(path).array, expected.astype(np.float32))


def test_scaling_that_is_not_finite_is_said(whole: bytes, image: Image, tmp_path: Path) -> None:
    with pytest.warns(InputWarning, match="not finite"):
        assert np.array_equal(io.load(written(tmp_path, patched(whole, (SLOPE, "f", np.inf)))).data, image.data)


def test_scaling_never_overflows(tmp_path: Path) -> None:
    values = np.full(SHAPE, 32767, np.int16)
    path = save_array(values, tmp_path / "a.nii")
    path.write_bytes(patched(path.read_bytes(), (SLOPE, "2f", (4.0, 0.0))))
    assert io.load(path).data.max() == 4 * 32767
    assert io.load(path, is_label=True).data.max() == 4 * 32767


def test_missing_values_are_masked_and_counted(image: Image, tmp_path: Path) -> None:
    values = image.array.copy()
    values[0, :3, 0] = np.nan, np.inf, -np.inf
    with pytest.warns(InputWarning, match="3 voxels"):
        loaded = io.load(save_array(values, tmp_path / "a.nii"))
    assert (~loaded.mask).sum() == 3 and (loaded.data[:, ~loaded.mask] == 0).all()
    with pytest.raises(InputError, match="every voxel"):
        io.load(save_array(np.full(SHAPE, np.nan, np.float32), tmp_path / "b.nii"))


def test_values_beyond_float32_are_kept_apart_from_infinity(tmp_path: Path) -> None:
    values = np.linspace(1e40, 2e40, np.prod(SHAPE)).reshape(SHAPE)
    with pytest.warns(InputWarning, match="too large"):
        loaded = io.load(save_array(values, tmp_path / "a.nii"))
    assert loaded.mask is None
    assert np.allclose(loaded.array / loaded.data.max(), values / values.max(), rtol=1e-6)


def test_labels_stay_whole(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.integers(0, 3000, SHAPE)
    for dtype in (np.int16, np.float32, np.float64, np.int64):
        labels = io.load(save_array(values.astype(dtype), tmp_path / "a.nii"), is_label=True)
        assert labels.is_label and np.array_equal(labels.array, values)
    assert not io.load(tmp_path / "a.nii").is_label
    with pytest.raises(InputError, match="fractions"):
        io.load(save_array(values + 0.3, tmp_path / "b.nii"), is_label=True)
    broken = values.astype(np.float32)
    broken[0, 0, 0] = np.nan
    with pytest.warns(InputWarning, match="1 labels are NaN"):
        io.load(save_array(broken, tmp_path / "c.nii"), is_label=True)


# ---------------------------------------------------------------- writing
def test_written_header(image: Image, tmp_path: Path) -> None:
    io.save(image, tmp_path / "a.nii.gz")
    header = nib.load(tmp_path / "a.nii.gz").header
    assert header["sform_code"] == header["qform_code"] == 1
    assert header.get_xyzt_units()[0] == "mm" and header.get_data_dtype() == np.float32
    assert np.allclose(header.get_sform(), header.get_qform(), atol=1e-5)


def test_written_bytes_are_always_the_same_and_plain_gzip(image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = Image.from_array(np.tile(image.array, (12, 12, 12)))
    io.save(big, tmp_path / "a.nii.gz")
    monkeypatch.setattr(stream_module, "_threads", lambda: 1)
    io.save(big, tmp_path / "b.nii.gz")
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    with gzip.open(tmp_path / "a.nii.gz") as file:
        assert np.array_equal(np.frombuffer(file.read()[352:], "<f4").reshape(big.grid.shape[::-1]).T, big.array)
    assert np.array_equal(io.load(tmp_path / "a.nii.gz").data, big.data)


@pytest.mark.parametrize(("low", "high", "dtype"), [(0, 255, "u1"), (-1, 255, "i2"), (0, 40000, "u2"), (0, 70000, "i4"), (-9, 40000, "i4")])
def test_labels_take_the_smallest_type(low: int, high: int, dtype: str, tmp_path: Path) -> None:
    values = np.zeros(SHAPE, np.int32)
    values[0, 0, :2] = low, high
    io.save(Image.from_array(values, is_label=True), tmp_path / "a.nii.gz")
    stored = nib.load(tmp_path / "a.nii.gz")
    assert stored.get_data_dtype() == np.dtype(dtype) and np.array_equal(np.asarray(stored.dataobj), values)


def test_channels_are_a_fifth_axis(rng: np.random.Generator, tmp_path: Path, grid: Grid) -> None:
    image = Image(rng.random((2, *grid.shape)), grid)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # one grid is sheared
        io.save(image, tmp_path / "a.nii.gz")
        loaded = io.load(tmp_path / "a.nii.gz", channel="all")
    stored = nib.load(tmp_path / "a.nii.gz")
    assert stored.shape[-2:] == (1, 2) and stored.header["intent_code"] == 1007
    assert loaded.dim == grid.dim and np.array_equal(loaded.data, image.data)


def test_long_axes_take_the_second_version(tmp_path: Path) -> None:
    image = Image.from_array(np.arange(40000, dtype=np.float32).reshape(40000, 1, 1), np.diag([0.01, 1, 1, 1]))
    io.save(image, tmp_path / "a.nii.gz")
    assert isinstance(nib.load(tmp_path / "a.nii.gz"), nib.Nifti2Image)
    assert np.array_equal(io.load(tmp_path / "a.nii.gz").data, image.data)


def test_sheared_grid_is_exact_and_said(tmp_path: Path, rng: np.random.Generator) -> None:
    affine = np.array([[1, 0.25, 0, 3], [0, 1.5, 0.5, 4], [0, 0, 2, 5], [0, 0, 0, 1.0]])
    image = Image(rng.random(SHAPE), Grid(SHAPE, affine))
    with pytest.warns(InputWarning, match="sheared"):
        io.save(image, tmp_path / "a.nii")
    with pytest.warns(InputWarning, match="disagree"):
        loaded = io.load(tmp_path / "a.nii")
    assert np.array_equal(loaded.grid.affine, affine)


def test_python_gzip_reads_what_pack_writes() -> None:
    parts = [b"a", bytes(5 << 20), b"", b"end" * 1000]
    assert gzip.GzipFile(fileobj=stdio.BytesIO(b"".join(stream_module.pack(parts)))).read() == b"".join(parts)
