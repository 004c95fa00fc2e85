"""Stopping within seconds, and leaving nothing half done."""
from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping(release: Callable[[], None], grace: float = 3.0) -> Iterator[None]:
    """Within the block SIGINT and SIGTERM raise `KeyboardInterrupt`; if that is not heard in ``grace`` seconds
    (a long computation outside Python), ``release`` is called and the process ends with 130.
    """
    if threading.current_thread() is not threading.main_thread() or os.name != "posix":
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    watcher = threading.Thread(target=_watch, args=(reading, release, grace), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(writing)
        watcher.join()
        os.close(reading)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _watch(reading: int, release: Callable[[], None], grace: float) -> None:
    """End the process if the block is not left ``grace`` seconds after a signal; the closing of the pipe says it was."""
    while number := os.read(reading, 1):
        if number[0] in _SIGNALS:
            break
    else:
        return
    if select.select([reading], [], [], grace)[0] and not os.read(reading, 1):
        return
    release()
    os._exit(130)
