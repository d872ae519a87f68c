"""The process's heap, kept from one evaluation to the next.

An evaluation at 256 x 256 asks for some 140 MB of working memory and gives it back. With glibc's
defaults each such block is mapped anew: 34,000 page faults, a fifth of JAX's processor time. Two
settings of `mallopt` (glibc's manual, "Malloc Tunable Parameters") keep it instead. Elsewhere
nothing is done.
"""

import ctypes
import sys

# Parameters of mallopt, from malloc.h.
TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
NEVER = 2**31 - 1


def share_heap() -> None:
    """One heap for all threads that begin from now on: what one gave back, another can take."""
    _set(ARENA_MAX, 1)


def keep_heap() -> None:
    """Blocks of any size come from the heap, and none goes back to the system.

    To be called once the problem is loaded: what loading needs for a moment does go back.
    """
    _set(MMAP_MAX, 0)
    _set(TRIM_THRESHOLD, NEVER)


def _set(parameter: int, value: int) -> None:
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(parameter, value)
