"""What a packed run was made with, and whether it may be made again here.

Settings from a pack are data: they are validated, never looked up anywhere, and name neither
pictures nor code that this installation or the pack does not hold.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from nstbench import outside
from nstbench.benchmark.packs import Pack, plain
from nstbench.errors import NstbenchError
from nstbench.files import conf_dir
from nstbench.pictures import images
from nstbench.report.data.reader import RecordedRun
from nstbench.settings.inputs import STARTS
from nstbench.settings.model import Settings

LARGEST_SIDE = 1024  # pixels of a run that is repeated
LONGEST_EPOCH = 1000  # steps

# Attributes of libraries that hold nothing but optimizers and what belongs to them.
_LIBRARIES = re.compile(r"(keras\.optimizers|optax|torch\.optim|scipy)\.[\w-]+")


class Unchecked(NstbenchError):
    """Why a run cannot be checked here; completes "cannot be checked because"."""


def settings_of(run: RecordedRun, pack: Pack) -> Settings:
    """The run's settings with the pack's pictures in place of those that it named.

    Raises `Unchecked` for settings that this version does not have, pictures that are not in the
    pack, and code from elsewhere.
    """
    try:
        settings = Settings.model_validate(run.record.settings)
    except ValidationError:
        raise Unchecked("its settings are those of another version of nstbench") from None
    known = {*images.builtin_contents(), *images.builtin_styles(), *STARTS}
    own = {name: pack.folder / file for name, file in pack.manifest.inputs.items()}
    for name in (settings.content, *settings.style, settings.init):
        if name not in known and name not in own:
            raise Unchecked(f"the picture {plain(name)} is not in the pack")
    for name in foreign(settings):
        raise Unchecked(f"{plain(name)}, which its problem is made of, is not in the pack")
    named = {name: str(own.get(name, name)) for name in known | own.keys()}
    settings = settings.model_copy(
        update={
            "content": named[settings.content],
            "style": tuple(named[name] for name in settings.style),
            "init": named[settings.init],
        }
    )
    if max(settings.size, settings.steps_per_epoch / LONGEST_EPOCH * LARGEST_SIDE) > LARGEST_SIDE:
        raise Unchecked("it is too large to be repeated in a minute")
    return settings


def foreign(settings: Settings) -> list[str]:
    """Paths of code and files, the optimizer's aside, that no YAML file of `conf/` names."""
    sections = (settings.schedule, settings.objective, settings.extractor)
    named = [text for section in sections for text in _texts(section.model_dump())]
    return [
        text
        for text in (*named, settings.weights)
        if outside.is_path(text) and text not in _built_in()
    ]


def own_code(settings: Settings) -> str | None:
    """What of somebody's code the optimizer would execute; None for built-in ones and libraries."""
    chosen = settings.optimizer
    if "sha256" in chosen.source:
        return Path(chosen.source["file"]).name
    known = chosen.target in _built_in() or _LIBRARIES.fullmatch(chosen.target)
    return None if known else chosen.target


def repeatable(run: RecordedRun, settings: Settings, run_source: bool) -> Settings:
    """The settings under which the run is repeated here; `Unchecked` where it cannot be."""
    from nstbench.settings import compose

    backend = compose.resolve([]).backend
    if settings.backend != backend:
        raise Unchecked(
            f"it was made on {settings.backend}, and this is {backend}: "
            f"try KERAS_BACKEND={settings.backend} python -m nstbench verify ..."
        )
    code = own_code(settings)
    if code is not None and not run_source:
        raise Unchecked(
            f"that would execute {plain(code)}, somebody's code: read it, then add run_source=true"
        )
    optimizer = settings.optimizer
    if "sha256" not in optimizer.source and outside.file_of(optimizer.target):
        raise Unchecked(f"{plain(code)} is not in the pack")
    if "sha256" in optimizer.source:
        attribute = re.split(r"[.:]", optimizer.target)[-1]
        target = f"{run.path / Path(optimizer.source['file']).name}:{attribute}"
        optimizer = optimizer.model_copy(update={"target": target})
    kernels = run.record.machine.get("kernels")
    update = {"optimizer": optimizer, "device": "auto", "snapshots": 0, "force": False,
              "checkpoint_s": 1e9}  # fmt: skip
    if kernels in ("direct", "fast"):
        update["kernels"] = kernels
    return settings.model_copy(update=update)


@cache
def _built_in() -> frozenset[str]:
    """Every text in the YAML files of `conf/` that a run's settings are made from."""
    groups = ("optimizer", "schedule", "objective", "extractor", "experiment")
    files = [file for group in groups for file in (conf_dir() / group).glob("**/*.yaml")]
    return frozenset(text for file in files for text in _texts(yaml.safe_load(file.read_text())))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value
