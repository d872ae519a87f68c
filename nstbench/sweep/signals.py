"""Signals that ask a sweep to stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STOP = ("SIGTERM", "SIGHUP")  # besides SIGINT, which Python handles so itself


@contextmanager
def stop_requests() -> Iterator[None]:
    """SIGTERM and SIGHUP end the sweep like Ctrl-C: runs stop at a checkpoint, the table is shown.

    A signal that was ignored when the process started (nohup) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in STOP if hasattr(signal, name)]
    wanted = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, signal.default_int_handler) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
