"""Older records as today's schema has them; each migration lifts a document by one version."""

from collections.abc import Callable, Mapping
from typing import Any

Document = dict[str, Any]

# Schema 1 knew three loss terms, each a field and a column of its own.
TERMS_OF_1 = {"content": "content", "style": "style", "tv": "variation"}
COLUMNS_OF_1 = {old: f"term_{new}" for old, new in TERMS_OF_1.items()}


def migrated(
    document: Document, migrations: Mapping[int, Callable[[Document], Document]] | None = None
) -> Document:
    """`document` as the current schema has it. Raises `KeyError`, `TypeError` or
    `AttributeError` where a document is not shaped as its own schema says."""
    migrations = MIGRATIONS if migrations is None else migrations
    while (version := document.get("schema", 0)) in migrations:
        document = migrations[version](document)
    return document


def renamed_columns(version: int) -> dict[str, str]:
    """Columns of the CSV files of schema `version` that have another name today."""
    return COLUMNS_OF_1 if version < 2 else {}


def from_0(record: Document) -> Document:
    """A record without `schema` was written before they were numbered; its fields are 1's."""
    return record | {"schema": 1}


def from_1(record: Document) -> Document:
    """Terms by name; an optimizer's hyperparameters beside its name; the schedule on its own."""
    changed = {"schema": 2, "settings": _settings(record.get("settings"))}
    if record.get("final"):
        changed["final"] = _with_terms(record["final"])
    reference = record.get("yardstick")
    changed["reference"] = _with_terms(reference) if reference else None
    return {name: value for name, value in record.items() if name != "yardstick"} | changed


def _with_terms(part: Document) -> Document:
    kept = {name: value for name, value in part.items() if name not in TERMS_OF_1}
    terms = {new: part[old] for old, new in TERMS_OF_1.items() if old in part}
    return kept | {"terms": terms}


def _settings(settings: Any) -> Any:
    if not isinstance(settings, dict):
        return settings
    settings = dict(settings)
    if isinstance(settings.get("optimizer"), dict) and "name" in settings["optimizer"]:
        settings["optimizer"], settings["schedule"] = _optimizer(settings["optimizer"])
    if isinstance(settings.get("objective"), dict):
        terms = {name: each for name, each in settings["objective"].items() if name != "name"}
        settings["objective"] = {"name": settings["objective"].get("name"), "terms": terms}
    if isinstance(settings.get("style"), str):
        settings["style"] = [settings["style"]]
    return settings


def _optimizer(optimizer: Document) -> tuple[Document, Document]:
    """Optimizer and schedule: two optimizers of schema 1 had a rate that falls exponentially."""
    options = {name: value for name, value in optimizer.items() if name not in ("name", "lr")}
    box = options.pop("box", True)
    decay = {"decay_rate": options.pop("decay", 1.0), "decay_steps": options.pop("decay_steps", 0)}
    schedule = {"name": "constant", "target": None, "options": {}}
    if decay["decay_rate"] != 1.0:
        schedule = {"name": "exponential", "target": None, "options": decay}
    name = str(optimizer["name"]).removesuffix("_decay")
    made = {"name": name, "target": "", "label": "", "box": box, "options": options, "source": {}}
    return made, schedule


MIGRATIONS: dict[int, Callable[[Document], Document]] = {0: from_0, 1: from_1}
