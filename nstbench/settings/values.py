"""How `name=value` is read: numbers and lists in Hydra's grammar, names of files as typed.

Whatever stands here is data: nothing is looked up in the environment or in other settings.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException

from nstbench.arguments import CONFIG_DIR
from nstbench.errors import SettingsError

FILES = ("content", "style", "init", "weights", "out", "targets")  # values that may be paths
GROUPS = ("optimizer", "schedule", "objective", "extractor", "experiment")  # folders of `conf/`
NAMED = (*FILES, *GROUPS, "suite", CONFIG_DIR)  # values that are read as they stand

_FUNCTION = re.compile(r"(choice|glob|range|sort|shuffle|interval)\(.*\)")
_QUOTES = "'\""


def split(argument: str) -> tuple[str, str]:
    """Key and text of `name=value`; `SettingsError` where it is no such thing, or no text."""
    try:
        argument.encode()
    except UnicodeEncodeError:  # bytes of an old disk, which no record could hold
        shown = argument.encode(errors="backslashreplace").decode()
        raise SettingsError(f"{shown}: the name is not UTF-8; rename the file") from None
    key, equals, text = argument.partition("=")
    key = key.lstrip("+")
    if not equals or not key or key != key.strip():
        raise unreadable(argument)
    return key, text


def read(key: str, text: str) -> Any:
    """The one value that `key=text` gives: a string for names, plain Python data otherwise.

    `style=[a,b]` is a list. Raises `SettingsError` for what cannot be read, and for several values
    (`lr=0.1,0.2`), which only a sweep can run.
    """
    if key in NAMED:
        _refuse_several(key, text)
        return _names(text) if key == "style" else unquoted(text)
    override = _parsed(key, text)
    if override.is_sweep_override():
        raise SettingsError(
            f"{key}={text}: several values need -m: python -m nstbench -m {key}={text}"
        )
    return override.value()


def alternatives(key: str, text: str, names: Callable[[], Sequence[str]]) -> list[str]:
    """The texts of the single values that `key=text` stands for in a sweep.

    Commas part them, outside of brackets and quotes; `choice`, `range` and `glob` (over `names()`)
    are understood where the value is no file's name.
    """
    function = key not in FILES and _FUNCTION.fullmatch(text)
    if key in NAMED and not function:
        return [text] if _is_there(text) else _commas(text)
    override = _parsed(key, text)
    if not override.is_sweep_override():
        return [text]
    value = override.value()
    if isinstance(value, Glob):
        matching = value.filter(list(names()))
        if not matching:
            raise SettingsError(f"{key}={text} matches nothing in conf/{key}")
        return matching
    if not override.is_discrete_sweep():
        raise SettingsError(f"{key}={text} is no list of values; use choice or range")
    return list(override.sweep_string_iterator())


def unquoted(text: str) -> str:
    """`text` without the quotes around it, as a grammar would have it; a file's name wins."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES
    if not quoted or _is_there(text):
        return text
    return re.sub(rf"\\([{_QUOTES}\\])", r"\1", text[1:-1])


def quoted(text: str) -> str:
    """`text` as one value of Hydra's grammar."""
    # Backslashes before a quote or the end are doubled: these are the grammar's own.
    escaped = re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + (m[2] and "\\'"), text)
    return f"'{escaped}'"


def unreadable(argument: str) -> SettingsError:
    return SettingsError(f"cannot read {argument!r}; settings look like optimizer=adam lr=0.02")


@lru_cache(maxsize=4096)
def _parsed(key: str, text: str) -> Override:
    # The value alone goes through the grammar; the key is ours.
    try:
        return OverridesParser.create().parse_override(f"value={text}")
    except HydraException:
        raise unreadable(f"{key}={text}") from None


def _refuse_several(key: str, text: str) -> None:
    """Commas in a name: the likeliest slip is a sweep without -m."""
    several = _commas(text)
    if len(several) < 2 or _is_there(text):
        return
    if key in FILES and not all(
        _is_there(each) or re.fullmatch(r"[\w-]+", each) for each in several
    ):
        return  # a file's name has commas, too
    both = f", or {key}=[{text}] for one picture from all of them" if key == "style" else ""
    raise SettingsError(f"{key}={text}: several values need -m (add it to run each){both}")


def _names(text: str) -> list[str]:
    """The names of `[a,b]`, or the one of `a`."""
    if not (text.startswith("[") and text.endswith("]")) or _is_there(text):
        return [unquoted(text)]
    return [unquoted(each) for each in _commas(text[1:-1]) if each]


def _commas(text: str) -> list[str]:
    """The parts of `text` between commas that stand neither in quotes nor in square brackets."""
    parts, depth, quote = [""], 0, ""
    for position, letter in enumerate(text):
        if letter == "," and not depth and not quote:
            parts.append("")
            continue
        if (
            letter in _QUOTES
            and not quote
            and not parts[-1].strip()
            and letter in text[position + 1 :]
        ):
            quote = letter
        elif letter == quote and text[position - 1] != "\\":
            quote = ""
        depth += {"[": 1, "]": -1}.get(letter, 0) * (not quote)
        parts[-1] += letter
    return [part.strip() for part in parts]


def _is_there(name: str) -> bool:
    try:
        return Path(name).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, a zero byte, no such user's home
        return False
