"""Registration computed by torch equals the one on the CPU; ``torch:cpu`` stands in for a GPU where there is none.

``VOXALIGN_TEST_DEVICE=cuda`` runs the same on a GPU.
"""
import os
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import tolerances as tol
from pairs import blobs

from voxalign import io
from voxalign.core import Field, Grid, Image, InputWarning, compose, displacement
from voxalign.losses import MSE
from voxalign.phantom import head_pair, slice_pair
from voxalign.register import Settings, device, register
from voxalign.register.linear import Level
from voxalign.register.prepare import scale
from voxalign.transforms import BSpline, Displacement, Rigid

torch = pytest.importorskip("torch")
DEVICE = {"cpu": "torch:cpu"}.get(os.environ.get("VOXALIGN_TEST_DEVICE", "cpu"), "cuda")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Several wait more than they work on images this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def heads():
    return head_pair(0, 3.0)


@pytest.fixture(scope="module")
def small_heads():
    return head_pair(0, 6.0)


def difference_voxels(fixed: Image, moving: Image, settings: Settings, initial=None) -> np.ndarray:
    """How far apart the two devices take each voxel."""
    maps = [displacement(register(fixed, moving, replace(settings, device=d), initial).transform, fixed.grid) for d in ("cpu", DEVICE)]
    return np.linalg.norm(maps[0] - maps[1], axis=0) / fixed.grid.spacing.min()


@pytest.mark.parametrize("loss", ["lncc", "mi"])
def test_affine_is_that_of_the_cpu(heads, loss):
    settings = Settings(transform="affine", initial="moments", loss=loss)
    assert difference_voxels(heads.fixed, heads.moving, settings).max() < tol.DEVICES_LINEAR_VOXELS


def test_deformable_is_that_of_the_cpu(heads):
    apart = difference_voxels(heads.fixed, heads.moving, Settings(initial="moments"))
    assert np.quantile(apart, 0.999) < tol.DEVICES_DEFORMABLE_VOXELS


@pytest.mark.parametrize("loss", ["auto", "ncc", "mse", "mi"])
def test_mask_of_the_fixed_image(small_heads, loss):
    fixed, moving = small_heads.fixed, small_heads.moving
    fixed = fixed.with_mask(np.arange(fixed.grid.shape[0])[:, None, None] * np.ones(fixed.grid.shape) > 4)
    apart = difference_voxels(fixed, moving, Settings(loss=loss, initial="moments"))
    assert np.quantile(apart, 0.999) < tol.DEVICES_DEFORMABLE_VOXELS


def test_mask_of_the_moving_image(small_heads):
    """One place at a time: on the way to the end, 1e-6 of a position decides whether a voxel at a mask's edge takes part."""
    images = small_heads.fixed, small_heads.moving.with_mask(small_heads.moving_labels.array > 0)
    start = Rigid(np.eye(4), images[0].grid.centre)
    (want, _, overlap), (got, _, found) = (Level(*(scale(i, d) for i in images), MSE()).terms(start) for d in ("cpu", DEVICE))
    assert float(got.value) == pytest.approx(want.value, rel=1e-3) and found == pytest.approx(overlap, rel=1e-3)


def test_search(small_heads):
    apart = difference_voxels(small_heads.fixed, small_heads.moving, Settings(transform="affine"))
    assert apart.max() < tol.DEVICES_DEFORMABLE_VOXELS


def test_slices():
    pair = slice_pair(0, 2.0)
    assert np.quantile(difference_voxels(pair.fixed, pair.moving, Settings()), 0.999) < tol.DEVICES_DEFORMABLE_VOXELS


def test_initial_transforms_that_are_not_linear(small_heads):
    grid = small_heads.fixed.grid
    rng = np.random.default_rng(0)
    control = Grid((8, 8, 8), np.diag([60.0, 60, 60, 1])).crop((-4, -4, -4), (4, 4, 4))
    fields = [Displacement(Field(np.full((3, *grid.shape), k, np.float32), grid)) for k in (1, 2)]
    for start in (BSpline(rng.normal(0, 2, (3, *control.shape)), control), compose(fields)):
        settings = Settings(iterations=(3,), loss="lncc")
        assert np.quantile(difference_voxels(small_heads.fixed, small_heads.moving, settings, start), 0.999) < 0.05


def test_everything_stays_on_the_device(small_heads, monkeypatch):
    """Nothing turns into NumPy by accident, which works for tensors of a CPU and fails for those of a GPU."""
    monkeypatch.setattr(torch.Tensor, "__array__", None)
    monkeypatch.setattr(torch.Tensor, "tolist", None)
    found = register(small_heads.fixed, small_heads.moving, Settings(device=DEVICE))
    assert all(type(step.loss) is float for step in found.history)
    assert all(isinstance(part.data if isinstance(part, Field) else part, np.ndarray) for part in found.transform.parts())
    assert found.device == device.name(DEVICE)


def test_repeats_to_the_bit(small_heads):
    settings = Settings(device=DEVICE, initial="moments", iterations=(4, 2))
    one, two = (register(small_heads.fixed, small_heads.moving, settings).transform.parts() for _ in range(2))
    assert all(np.array_equal(getattr(a, "data", a), getattr(b, "data", b)) for a, b in zip(one, two, strict=True))


# ---------------------------------------------------------------- which device
@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(device, "_gpus", lambda: 0)


def test_without_a_gpu_auto_is_silent(no_gpu):
    assert register(blobs(), blobs((2, -3, 4)), Settings("rigid", "headers", "mse")).device == "cpu"


def test_without_a_gpu_cuda_is_the_cpu_and_says_so(no_gpu):
    with pytest.warns(InputWarning, match="no GPU"):
        assert device.chosen("cuda") == "cpu"


def test_too_little_memory_on_the_gpu_is_the_cpu_and_said():
    def call(where: str) -> str:
        if where != "cpu":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return where

    with pytest.warns(InputWarning, match="too little memory"):
        assert device.best_effort(call, "torch:cpu") == "cpu"


def test_other_errors_are_not_hidden():
    def call(where: str) -> None:
        raise ValueError(where)

    with warnings.catch_warnings(), pytest.raises(ValueError, match="torch:cpu"):
        device.best_effort(call, "torch:cpu")


# ---------------------------------------------------------------- what is imported
def run_python(code: str) -> set[str]:
    """Top-level modules after running ``code``."""
    code = f"import sys; {code}; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stderr.split()}


def test_a_registration_on_the_cpu_imports_neither_torch_nor_scipy(tmp_path):
    for name, shift in (("fixed", (0, 0, 0)), ("moving", (2, -3, 4))):
        io.save(blobs(shift), tmp_path / f"{name}.nii.gz")
    words = ["register", "-f", f"{tmp_path}/fixed.nii.gz", "-m", f"{tmp_path}/moving.nii.gz", "--out", f"{tmp_path}/out", "--no-report"]
    no_gpu = "from voxalign.register import device; device._gpus = lambda: 0"
    assert not {"torch", "scipy"} & run_python(f"{no_gpu}; from voxalign.cli.main import main; assert main({words!r}) == 0")


def test_registration_needs_no_library_for_files():
    hide = "sys.modules.update(dict.fromkeys(('nibabel', 'SimpleITK', 'pydantic', 'h5py', 'pydicom', 'matplotlib', 'yaml', 'torch')))"
    code = (f"{hide}; import numpy as np; from voxalign.core import Image; from voxalign.register import Settings, register;"
            "a = np.zeros((20, 20), np.float32); a[5:12, 6:14] = 1; i = Image.from_array(a);"
            "register(i, i, Settings('rigid', 'headers', 'mse', device='cpu'))")
    run_python(code)
