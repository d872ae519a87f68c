"""Decoders that say on the screen what only their caller should hear."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def quiet(libtiff: bool = False) -> Iterator[None]:
    """Keep Pillow's warnings off the screen; with `libtiff` also what that library writes itself.

    Pillow warns of odd metadata and of large pictures (which `images` checks more strictly).
    libtiff writes to the process's standard error, which is therefore shut for the block: other
    threads are not heard meanwhile.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not libtiff:
            yield
            return
        with _no_stderr():
            yield


@contextmanager
def _no_stderr() -> Iterator[None]:
    """File descriptor 2 leads nowhere; where it is closed already, nothing is to be done."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    try:
        before = os.dup(2)
    except OSError:
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
