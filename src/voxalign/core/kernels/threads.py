"""Threads: Python's own, each running a compiled kernel on part of its outermost loop while the interpreter's lock is released."""
from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import pairwise

_pool: ThreadPoolExecutor | None = None
_count = 0


def available() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_threads(count: int | None) -> None:
    """Use ``count`` threads in kernels from now on (None: as many as there are processors). Results do not depend on it."""
    global _pool, _count
    wanted = max(int(count), 1) if count else 0
    if wanted != _count and _pool is not None:
        _pool.shutdown()
        _pool = None
    _count = wanted


def get_threads() -> int:
    """How many threads kernels use: what `set_threads` said, else the environment's ``VOXALIGN_THREADS``, else all processors."""
    return _count or int(os.environ.get("VOXALIGN_THREADS") or 0) or available()


def split(call: Callable[[int, int], object], n: int, grain: int = 1) -> None:
    """Run ``call(a, b)`` over [0, n) in parts of at least ``grain``; a few more parts than threads evens out the load."""
    global _pool
    threads = get_threads()
    parts = min(4 * threads if threads > 1 else 1, max(n // grain, 1))
    if parts <= 1:
        call(0, n)
        return
    if _pool is None:
        _pool = ThreadPoolExecutor(threads, "voxalign")
    edges = [n * i // parts for i in range(parts + 1)]
    running: list[Future] = []
    try:
        running += (_pool.submit(call, a, b) for a, b in pairwise(edges))
        for part in running:
            part.result()
    finally:
        wait(running)  # the arrays they write to must outlive them, also when Ctrl-C ends this function
