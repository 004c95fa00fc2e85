"""The hot loops: each a plain `reference`, a `compiled` and a `tensor` version that contract tests hold equal.

NumPy arrays go to the compiled version where it was built; without it everything works, tens of times slower. Torch tensors go to the
tensor version, on the device that they are on; torch is imported when the first one comes. The first argument decides.
"""
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from .reference import WindowStatistics, gaussian_weights
from .threads import get_threads, set_threads

try:
    from . import compiled as _chosen
except ImportError:
    from . import reference as _chosen

    warnings.warn("voxalign's compiled kernels are missing and slow NumPy is used: install a C compiler, then voxalign again",
                  RuntimeWarning, stacklevel=2)


def _either(fast: Callable) -> Callable:
    """``fast`` for NumPy arrays; for tensors what has its name in `tensor`. Costs a tenth of a microsecond."""
    name = fast.__name__

    @wraps(fast)
    def call(array: Any, *rest: Any, **named: Any) -> Any:
        if isinstance(array, np.ndarray):
            return fast(array, *rest, **named)
        from . import tensor

        return getattr(tensor, name)(array, *rest, **named)

    return call


compose_fields = _either(_chosen.compose_fields)
compose_near = _either(_chosen.compose_near)
correlation = _either(_chosen.correlation)
exponentiate = _either(_chosen.exponentiate)
force = _either(_chosen.force)
gradient = _either(_chosen.gradient)
histograms = _either(_chosen.histograms)
invert = _either(_chosen.invert)
jacobian_determinant = _either(_chosen.jacobian_determinant)
joint_histogram = _either(_chosen.joint_histogram)
lncc = _either(_chosen.lncc)
lookup = _either(_chosen.lookup)
mind = _either(_chosen.mind)
mind_difference = _either(_chosen.mind_difference)
neighbours = _either(_chosen.neighbours)
ngf = _either(_chosen.ngf)
normal_equations = _either(_chosen.normal_equations)
pull = _either(_chosen.pull)
relax_volume = _either(_chosen.relax_volume)
sample = _either(_chosen.sample)
separable = _either(_chosen.separable)
smooth = _either(_chosen.smooth)
soft_classes = _either(_chosen.soft_classes)
spans = _either(_chosen.spans)
squared_gradient = _either(_chosen.squared_gradient)
ssim = _either(_chosen.ssim)
step = _either(_chosen.step)
warp = _either(_chosen.warp)
window_moments = _either(_chosen.window_moments)
window_statistics = _either(_chosen.window_statistics)

__all__ = ["WindowStatistics", "compose_fields", "compose_near", "correlation", "exponentiate", "force", "gaussian_weights",
           "get_threads", "gradient", "histograms", "invert", "jacobian_determinant", "joint_histogram", "lncc", "lookup",
           "mind", "mind_difference", "neighbours", "ngf", "normal_equations", "pull", "relax_volume", "sample", "separable",
           "set_threads", "smooth", "soft_classes", "spans", "squared_gradient", "ssim", "step", "warp", "window_moments",
           "window_statistics"]
