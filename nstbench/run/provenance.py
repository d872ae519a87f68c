"""The facts of a run for its record: what it ran on, from what, and whether it was alone."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nstbench import outside
from nstbench.engine.base import Engine
from nstbench.errors import RecordError
from nstbench.pictures.images import Picture
from nstbench.run import machine, schema
from nstbench.run.lock import reason
from nstbench.settings import identity, targets
from nstbench.settings.model import Settings
from nstbench.transfer.problem import Problem


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def picture(picture: Picture) -> schema.Picture:
    """A picture's facts for the record."""
    height, width, _ = picture.pixels.shape
    return schema.Picture(name=picture.name, sha256=picture.sha256, height=height, width=width)


def of_problem(settings: Settings, problem: Problem) -> dict[str, Any]:
    """The record's fields that say which problem it is."""
    weights = problem.extractor.weights
    assert weights is not None  # `networks.build` fills it in
    checksums = {
        "content": problem.content.sha256,
        "style": [style.sha256 for style in problem.styles],
        "weights": weights.sha256,
    }
    return {
        "problem": identity.problem(settings, checksums),
        "content": picture(problem.content),
        "style": [picture(style) for style in problem.styles],
        "weights": schema.Weights(
            name=settings.weights, source=weights.source, sha256=weights.sha256
        ),
        "layers": {name: list(layers) for name, layers in problem.layers.items()},
    }


def of_machine(settings: Settings, engine: Engine) -> dict[str, Any]:
    """The machine as far as seconds depend on it: the settings that say how it is used, too."""
    facts = machine.describe() | {
        "backend": settings.backend, "devices": engine.devices(),
        "precision": settings.precision, "kernels": engine.kernels(settings.kernels),
    }  # fmt: skip
    used = ("host", "backend", "devices", "precision", "kernels")
    return facts | {"host": identity.digest([facts[name] for name in used])[:16]}


def versions(settings: Settings) -> dict[str, str | None]:
    """Versions of the packages that decide the numbers, the optimizer's own among them."""
    source = settings.optimizer.source
    own = {source["distribution"]: source["version"]} if "distribution" in source else {}
    return machine.versions() | own


def keep_sources(settings: Settings, directory: Path) -> None:
    """Copy every file of no package that a setting names code of into the run directory.

    Raises `RecordError` where it cannot be written.
    """
    sections = [section.model_dump() for section in (settings.schedule, settings.extractor)]
    sections += [{"target": settings.optimizer.target}, *settings.objective.terms.values()]
    for target in {section.get(key) for section in sections for key in outside.CODE}:
        if target and outside.is_path(target) and "sha256" in targets.source(target):
            file = outside.source_file(target)
            assert file is not None  # its digest was taken
            try:
                shutil.copyfile(file, directory / file.name)
            except OSError as error:
                raise RecordError(f"cannot keep {file.name}: {reason(error)}") from error
