"""Where to cut a histogram."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def otsu_split(values: NDArray, bins: int = 256) -> float:
    """The threshold between the two most distinct classes (Otsu 1979, doi:10.1109/TSMC.1979.4310076); above it is the brighter one."""
    counts, edges = np.histogram(values, bins)
    return otsu_of(counts, edges)


def otsu_of(counts: NDArray, edges: NDArray) -> float:
    """The same of a histogram: counts (N,), edges (N + 1,); of none the lowest edge but one."""
    share = counts / max(counts.sum(), 1)
    weight, mean = np.cumsum(share), np.cumsum(share * (edges[:-1] + edges[1:]) / 2)
    between = (mean[-1] * weight - mean) ** 2 / np.maximum(weight * (1 - weight), 1e-12)
    return float(edges[int(np.argmax(between[:-1])) + 1])
