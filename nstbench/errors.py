"""Errors that a person reads: one line each, naming the bad value and the nearest good ones."""

import sys
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches


class NstbenchError(Exception):
    """A failure explained in one line; the command line prints it without a traceback."""

    exit_code = 1


class SettingsError(NstbenchError):
    """A setting has a value that cannot be run."""

    exit_code = 2


class ImageError(SettingsError):
    """A picture cannot be read or used."""


class WeightsError(NstbenchError):
    """The weights of a network cannot be had, or are not what they should be."""


class RecordError(NstbenchError):
    """A run directory cannot be written, or holds something else than a run."""


class LockedError(RecordError):
    """Another live process owns the run directory."""


def unknown(what: str, value: object, choices: Iterable[str], error=SettingsError) -> NstbenchError:
    """The error for a `value` that is none of `choices`, with the nearest of them."""
    choices = sorted(map(str, choices))
    near = get_close_matches(str(value), choices, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(choices)}"
    return error(f"unknown {what} {str(value)!r}; {hint}")


def check_least(options: object, least: Mapping[str, float]) -> None:
    """`SettingsError` where one of the `options` of these names is smaller than it must be."""
    for name, bound in least.items():
        if getattr(options, name) < bound:
            raise SettingsError(f"{name}={getattr(options, name)} must be at least {bound}")


def exit_code(program: str, action: Callable[[], int | None], stopped: str = "stopped") -> int:
    """What a command line ends with: `action`'s code (None is 0), or one line and the error's own.

    Ctrl-C says `stopped` and gives 130, as shells do.
    """
    try:
        return action() or 0
    except NstbenchError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{program}: {stopped}", file=sys.stderr)
        return 130
    except Exception as error:
        if not _is_want_of_memory(error):
            raise
        print(f"{program}: memory has run out", file=sys.stderr)
        return 1


def _is_want_of_memory(error: Exception) -> bool:
    """Python's own error, a backend's, or the loader's of a library that found no room."""
    text = f"{type(error).__name__}: {error}".lower()
    words = (
        "out of memory", "cannot allocate memory", "failed to map segment", "bad_alloc",
        "resourceexhausted", "resource_exhausted",
    )  # fmt: skip
    return isinstance(error, MemoryError) or any(word in text for word in words)
