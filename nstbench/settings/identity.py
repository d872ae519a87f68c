"""A run's identity: which settings change its numbers, and where its record lies."""

import functools
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from nstbench import hardware, outside
from nstbench.pictures import images
from nstbench.settings import targets
from nstbench.settings.model import OptimizerSettings, Settings

LONGEST_PART = 24  # letters of a picture's name in a directory's
SCHEMA_OF_IDENTITY = 2  # raise it when the same settings would give other numbers

# Settings that say where and how a run is carried out, and leave its numbers alone.
NOT_IDENTITY = {
    "out", "snapshots", "checkpoint_s", "force", "reported_seconds", "experiment", "command",
    "epochs_scale",
}  # fmt: skip
# Settings that make up the optimizer's side; the rest is the problem that the optimizers share.
NOT_PROBLEM = {
    "optimizer", "lr", "schedule", "epochs", "steps_per_epoch", "evaluations", "repeat",
    "device", "backend", "kernels",
}  # fmt: skip


def identity(settings: Settings) -> dict[str, Any]:
    """What changes a run's numbers; pictures, weights and code by content, never by path.

    Device and kernels are those that are used, as far as the settings tell (`hardware`).
    """
    chosen = settings.model_dump(exclude=NOT_IDENTITY)
    kind, backend = hardware.kind(settings.device), settings.backend
    if settings.evaluations is None:  # as in the records of versions that had no such setting
        del chosen["evaluations"]
    terms = chosen["objective"]["terms"]
    return chosen | {
        "schema": SCHEMA_OF_IDENTITY,
        "optimizer": _optimizer(settings.optimizer),
        "schedule": _implementation(chosen["schedule"]),
        "extractor": _implementation(chosen["extractor"]),
        "objective": {name: _implementation(term) for name, term in terms.items()},
        "content": _content_of(settings.content),
        "style": [_content_of(style) for style in settings.style],
        "init": _content_of(settings.init),
        "weights": _content_of(settings.weights),
        "device": kind,
        "kernels": hardware.kernels(settings.kernels, kind, backend, settings.precision),
    }


def run_id(settings: Settings) -> str:
    """`<optimizer>-lr<lr>-e<epochs>x<steps>-<hash8>`; the hash covers `identity`.

    A method that has no rate has none in its name. Before the hash stand content and styles where
    one of them is a file: `adam-lr0.02-e50x5-me-brushwork-<hash8>`.
    """
    rate = "" if settings.lr is None else f"-lr{settings.lr:g}"
    schedule = f"e{settings.epochs}x{settings.steps_per_epoch}"
    parts = [f"{settings.optimizer.name}{rate}", schedule, *_pictures(settings)]
    return "-".join([*parts, digest(identity(settings))[:8]])


def _pictures(settings: Settings) -> list[str]:
    """Content and styles as parts of a name; nothing for the built-in ones alone."""
    if all(map(images.is_builtin, (settings.content, *settings.style))):
        return []
    content, *styles = [
        re.sub(r"\W+", "_", Path(name).stem)[:LONGEST_PART] or "picture"
        for name in (settings.content, *settings.style)
    ]
    return [content, "+".join(styles)[:LONGEST_PART]]


def run_directory(settings: Settings) -> Path:
    """Where the run's record lies."""
    return Path(settings.out).expanduser() / "runs" / run_id(settings)


def problem(settings: Settings, facts: dict[str, Any]) -> str:
    """Digest of all that the loss depends on except the optimizer and its schedule.

    `facts` are what only loading can tell: check-sums of pictures and weights.
    """
    shared = {k: v for k, v in identity(settings).items() if k not in NOT_PROBLEM}
    return digest(shared | facts)[:16]


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _optimizer(chosen: OptimizerSettings) -> dict[str, Any]:
    source = {k: v for k, v in chosen.source.items() if k != "file"}
    return {
        "target": _name_of(chosen.target), "options": chosen.options, "box": chosen.box,
        "source": source,
    }  # fmt: skip


def _implementation(section: dict[str, Any]) -> dict[str, Any]:
    """A section with what tells the code that it names from others, where that is not built in."""
    whole = dict(section)
    for key, name_of_source in outside.CODE.items():
        target = section.get(key)
        if isinstance(target, str) and outside.is_path(target):
            source = {k: v for k, v in targets.source(target).items() if k != "file"}
            whole |= {key: _name_of(target), name_of_source: source}
    return whole


def _name_of(target: str) -> str:
    """`my_opt.py:MyAdam` for a file wherever it lies; a dotted path as it is."""
    file = outside.file_of(target)
    return target if file is None else f"{file.name}:{target.rpartition(':')[2]}"


def _content_of(name: str) -> str:
    """A file's content digest; any other name as it is."""
    path = Path(name).expanduser()
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return name
    return _file_digest(path, state.st_mtime_ns, state.st_size) if path.is_file() else name


@functools.lru_cache(maxsize=1024)
def _file_digest(path: Path, _changed: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
