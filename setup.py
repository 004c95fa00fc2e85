"""Builds the compiled kernels (the same C files once per processor level; the best one the machine can run is loaded), and fetches
the viewer of the pages.

Without a compiler the installation still succeeds and the NumPy reference is used, slowly and with a warning. Without npm, or without
a network, it succeeds too, and pages have stills but no viewer.
"""
import hashlib
import platform
import shutil
import subprocess
import sys
import tarfile
from glob import glob
from pathlib import Path
from tempfile import TemporaryDirectory

from setuptools import Extension, setup

NATIVE = "src/voxalign/core/kernels/native"
# Fast arithmetic without its traps: no reordering of NaN tests, and no linking of code that changes the processor's mode for others.
FLAGS = ["-O3", "-std=c99", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math",
         "-freciprocal-math"]
LEVELS = {"v1": [], "v3": ["-march=x86-64-v3"], "v4": ["-march=x86-64-v4"]} if platform.machine() in ("x86_64", "AMD64") else {"v1": []}
if sys.platform == "win32":
    FLAGS, LEVELS = ["/O2", "/fp:fast"], {"v1": [], "v3": ["/arch:AVX2"], "v4": ["/arch:AVX512"]}

VIEWER, NIIVUE = Path(__file__).parent / "src/voxalign/report/viewer/niivue.js", "@niivue/niivue@0.69.0"
NIIVUE_SHA256 = "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"


def fetch_viewer():
    """Take NiiVue's one script from its npm package, once.

    Raises
    ------
    SystemExit : it is not the script that was tested.
    """
    npm = shutil.which("npm")
    if VIEWER.exists() or not npm:
        return
    with TemporaryDirectory() as folder:
        if subprocess.run([npm, "pack", "--silent", NIIVUE], cwd=folder, stdout=subprocess.DEVNULL).returncode:
            return
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as files:
            script = files.extractfile("package/dist/niivue.umd.js").read()
    if hashlib.sha256(script).hexdigest() != NIIVUE_SHA256:
        raise SystemExit(f"{NIIVUE} is not what was tested: its script has another hash")
    VIEWER.parent.mkdir(exist_ok=True)
    VIEWER.write_bytes(script)


def extension(level):
    """One build of the kernels; `module.c` makes it a module that Python's tools know how to place."""
    return Extension(f"voxalign.core.kernels._native_{level}", sorted(glob(f"{NATIVE}/*.c")), depends=glob(f"{NATIVE}/*.h"),
                     define_macros=[("MODULE", f"PyInit__native_{level}"), ("Py_LIMITED_API", "0x030b0000")], py_limited_api=True,
                     extra_compile_args=FLAGS + LEVELS[level], optional=True)


fetch_viewer()
setup(ext_modules=[extension(level) for level in LEVELS], options={"bdist_wheel": {"py_limited_api": "cp311"}})
