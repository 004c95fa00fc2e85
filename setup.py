"""Builds the compiled kernels: the same C files once per processor level; the best one the machine can run is loaded.

Without a compiler the installation still succeeds and the NumPy reference is used, slowly and with a warning.
"""
import platform
import sys
from glob import glob

from setuptools import Extension, setup

NATIVE = "src/voxalign/core/kernels/native"
# Fast arithmetic without its traps: no reordering of NaN tests, and no linking of code that changes the processor's mode for others.
FLAGS = ["-O3", "-std=c99", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math",
         "-freciprocal-math"]
LEVELS = {"v1": [], "v3": ["-march=x86-64-v3"], "v4": ["-march=x86-64-v4"]} if platform.machine() in ("x86_64", "AMD64") else {"v1": []}
if sys.platform == "win32":
    FLAGS, LEVELS = ["/O2", "/fp:fast"], {"v1": [], "v3": ["/arch:AVX2"], "v4": ["/arch:AVX512"]}


def extension(level):
    """One build of the kernels; `module.c` makes it a module that Python's tools know how to place."""
    return Extension(f"voxalign.core.kernels._native_{level}", sorted(glob(f"{NATIVE}/*.c")), depends=glob(f"{NATIVE}/*.h"),
                     define_macros=[("MODULE", f"PyInit__native_{level}"), ("Py_LIMITED_API", "0x030b0000")], py_limited_api=True,
                     extra_compile_args=FLAGS + LEVELS[level], optional=True)


setup(ext_modules=[extension(level) for level in LEVELS], options={"bdist_wheel": {"py_limited_api": "cp311"}})
