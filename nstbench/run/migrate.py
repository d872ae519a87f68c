"""Records of older schemas, lifted to the present one, version by version."""

from collections.abc import Sequence
from typing import Any

# Schema 1 knew three terms, by these columns.
TERMS_OF_1 = {"content": "content", "style": "style", "tv": "variation"}
_SETTINGS_OF_TERM = {"content": "content", "style": "style", "variation": "variation"}


def record(document: dict[str, Any]) -> dict[str, Any]:
    """`document`, a parsed `run.json`, as the present schema has it."""
    if (
        document.get("schema", 0) < 1
    ):  # written before records were numbered; fields are version 1's
        document = document | {"schema": 1}
    if document["schema"] == 1:
        document = _from_1(document)
    return document


def columns(names: Sequence[str]) -> list[str]:
    """The columns of a CSV under the present names."""
    if not {"content", "style", "tv"} <= set(names):
        return list(names)
    return [f"term_{TERMS_OF_1[name]}" if name in TERMS_OF_1 else name for name in names]


def _from_1(old: dict[str, Any]) -> dict[str, Any]:
    new = old | {"schema": 2, "settings": _settings_from_1(old.get("settings", {}))}
    if final := old.get("final"):
        rest = {name: value for name, value in final.items() if name not in TERMS_OF_1}
        terms = {TERMS_OF_1[name]: final.get(name) for name in TERMS_OF_1}
        new["final"] = rest | {"terms": terms}
    if reference := new.pop("yardstick", None):
        terms = {name: reference.get(name) for name in ("content", "style")}
        new["reference"] = {"loss": reference.get("loss"), "terms": terms}
    return new


def _settings_from_1(old: dict[str, Any]) -> dict[str, Any]:
    new = dict(old)
    schedule: dict[str, Any] = {"name": "constant", "target": None, "options": {}}
    if isinstance(optimizer := old.get("optimizer"), dict) and "options" not in optimizer:
        options = {k: v for k, v in optimizer.items() if k not in ("name", "lr")}
        decay = {"decay_rate": options.pop("decay", 1.0)}
        decay["decay_steps"] = options.pop("decay_steps", 1)
        if decay["decay_rate"] != 1.0:
            schedule = {"name": "exponential", "target": None, "options": decay}
        name = "adam" if optimizer["name"] == "adam_decay" else optimizer["name"]
        new["optimizer"] = {
            "name": name, "target": "", "label": "", "box": options.pop("box", True),
            "options": options, "source": {},
        }  # fmt: skip
    new["schedule"] = schedule
    if isinstance(objective := old.get("objective"), dict) and "terms" not in objective:
        terms = {name: objective[name] for name in _SETTINGS_OF_TERM if name in objective}
        new["objective"] = {"name": objective.get("name", ""), "terms": terms}
    if isinstance(style := old.get("style"), str):
        new["style"] = [style]
    return new
