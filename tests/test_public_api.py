"""What ``import voxalign as vx`` offers, and what it costs."""
import subprocess
import sys

import voxalign as vx

NAMES = {"Compose", "Grid", "Guide", "Identity", "Image", "InputError", "InputWarning", "Points", "Registration", "Result", "Settings",
         "Transform", "UsageError", "VoxalignError", "__version__", "compose", "features", "filters", "load", "load_points",
         "load_transform", "losses", "metrics", "phantom", "pipeline", "plot", "register", "resample", "sample", "save",
         "save_points", "save_transform", "to_nibabel", "to_sitk", "track", "transforms"}


def test_names():
    assert set(vx.__all__) == NAMES == set(dir(vx))


def test_every_name_is_there():
    for name in NAMES:
        assert getattr(vx, name) is not None


def test_register_is_the_function_whatever_was_imported_before():
    import voxalign.register
    import voxalign.run.api

    assert voxalign.run.api.register is vx.register


def loaded_by(code: str) -> set[str]:
    code += "; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_import_costs_nothing():
    assert not loaded_by("import voxalign") & {"numpy", "scipy", "torch", "nibabel", "matplotlib"}


def test_registering_imports_no_torch_and_no_pictures():
    heavy = {"torch", "scipy", "matplotlib", "nibabel", "SimpleITK", "h5py"}
    assert not loaded_by("import voxalign; voxalign.register, voxalign.Grid") & heavy


def test_register_stays_the_function_after_its_package_was_imported():
    code = "import voxalign as vx; vx.Settings; import voxalign.register; assert callable(vx.register), vx.register"
    subprocess.run([sys.executable, "-c", code], check=True)
