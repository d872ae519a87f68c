"""One line for every mistake in the settings, with the nearest right name."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from nstbench import errors, outside
from nstbench.errors import NstbenchError, SettingsError

_SHOULD = {
    "greater_than": "must be a positive number",
    "finite_number": "must be a finite number",
    "tuple_type": "must be a list, e.g. [2,1]",
    "string_type": "must be a name",
}
_KINDS = {
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be true or false",
}


def invalid(error: ValidationError) -> NstbenchError:
    """The first thing that is wrong with the settings, in words."""
    first = error.errors()[0]
    kind, where = first["type"], ".".join(map(str, first["loc"]))
    value = first["input"]
    if kind == "value_error":
        return SettingsError(str(first["ctx"]["error"]))
    if kind == "literal_error":
        return errors.unknown(where, value, re.findall(r"'([^']*)'", first["ctx"]["expected"]))
    if kind == "too_short":
        return SettingsError(f"{where}=[] must have at least one name")
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = first["ctx"].get("ge", first["ctx"].get("le"))
        least = "least" if kind == "greater_than_equal" else "most"
        return SettingsError(f"{where}={value} must be at {least} {bound:g}")
    text = _SHOULD.get(kind) or _KINDS.get(kind.split("_")[0]) or first["msg"]
    return SettingsError(f"{where}={_shown(value)} {text}")


def unknown_key(key: str, tree: Mapping[str, Any], groups: Iterable[str]) -> NstbenchError:
    """The error for a setting `key` that `tree` lacks: the nearest one beside it."""
    top, *rest = key.split(".")
    section = tree.get(top)
    if top in outside.RATES:
        return SettingsError(f"unknown setting {key!r}; did you mean lr?")
    if not rest or not isinstance(section, Mapping):
        return errors.unknown("setting", key, {*tree, *groups})
    return errors.unknown("setting", key, _dotted(top, section))


def _dotted(prefix: str, section: Mapping[str, Any]) -> list[str]:
    """The keys below `prefix`, e.g. objective.style.weight."""
    listed = []
    for name, value in section.items():
        key = f"{prefix}.{name}"
        listed += _dotted(key, value) if isinstance(value, Mapping) else [key]
    return listed


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).replace("\n", " ")
