"""The hot loops: each a plain `reference` and a `compiled` version that a contract test holds equal.

The compiled version is used where it was built; without it everything works, tens of times slower.
"""
import warnings

from .reference import WindowStatistics, gaussian_weights
from .threads import get_threads, set_threads

try:
    from . import compiled as _chosen
except ImportError:
    from . import reference as _chosen

    warnings.warn("voxalign's compiled kernels are missing and slow NumPy is used: install a C compiler, then voxalign again",
                  RuntimeWarning, stacklevel=2)

compose_fields = _chosen.compose_fields
compose_near = _chosen.compose_near
exponentiate = _chosen.exponentiate
force = _chosen.force
histograms = _chosen.histograms
invert = _chosen.invert
jacobian_determinant = _chosen.jacobian_determinant
joint_histogram = _chosen.joint_histogram
lncc = _chosen.lncc
lookup = _chosen.lookup
normal_equations = _chosen.normal_equations
pull = _chosen.pull
sample = _chosen.sample
separable = _chosen.separable
smooth = _chosen.smooth
step = _chosen.step
warp = _chosen.warp
window_statistics = _chosen.window_statistics

__all__ = ["WindowStatistics", "compose_fields", "compose_near", "exponentiate", "force", "gaussian_weights", "get_threads", "histograms",
           "invert", "jacobian_determinant", "joint_histogram", "lncc", "lookup", "normal_equations", "pull", "sample", "separable",
           "set_threads", "smooth", "step", "warp", "window_statistics"]
