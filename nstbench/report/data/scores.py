"""What a benchmark left beside its runs: its `scores.json`, as the page reads it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from nstbench.errors import SettingsError
from nstbench.report.data.presets import Preset

if TYPE_CHECKING:
    from nstbench.benchmark import reference

FILE = "scores.json"
FORMAT = 1  # the newest that is known here


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Part(_Model):
    """The pairs (content, style) of tuning, or of the score, and the starts of each."""

    pairs: tuple[tuple[str, str], ...]
    repeats: tuple[int, ...]


class Terms(_Model):
    """What is fixed before a competitor comes; see `conf/benchmark/small.yaml`."""

    name: str
    description: str
    horizon: int
    trials: int
    score: Part
    levels: tuple[float, ...]
    bounds: tuple[float, float]
    budgets: tuple[int, ...]


class Targets(_Model):
    frozen: bool


class Level(_Model):
    """How one level of target is reached; `expected` evaluations are None where it never is."""

    expected: float | None
    success_rate: float


class Trial(_Model):
    """A setting that was tried on the tuning pairs; a lower `value` is better."""

    point: dict[str, Any]
    value: float


class Tuning(_Model):
    """What was tried, and what came out best."""

    best: dict[str, Any]
    space: tuple[str, ...]
    on_edge: tuple[str, ...]
    sensitivity: float | None
    trials: tuple[Trial, ...]
    extra: tuple[Trial, ...]


class Scored(_Model):
    """One optimizer: `hits` by instance, run and level; `curve` of (evaluations, loss / best)."""

    label: str
    target: str = ""
    score: float
    interval: tuple[float, float]
    hits: tuple[tuple[tuple[float | None, ...], ...], ...]
    levels: tuple[Level, ...]
    budgets: tuple[float | None, ...]
    curve: tuple[tuple[float, float | None], ...]
    failed_runs: int
    tuning: Tuning


class Scores(_Model):
    """Optimizers by name, the best first; `leaders` cannot be told apart from the first."""

    format: int
    benchmark: Terms
    targets: Targets
    leaders: tuple[str, ...]
    optimizers: dict[str, Scored]

    @property
    def leading(self) -> tuple[str, ...]:
        """The `leaders`; none of a single optimizer, which older files name as its own."""
        return self.leaders if len(self.optimizers) > 1 else ()

    def is_scored(self, settings: Mapping[str, Any]) -> bool:
        """Whether a run with these settings is one of the score's, not one of tuning."""
        part, styles = self.benchmark.score, settings.get("style")
        style = styles[0] if isinstance(styles, list | tuple) and len(styles) == 1 else styles
        is_pair = (settings.get("content"), style) in part.pairs
        return is_pair and settings.get("repeat") in part.repeats

    def presets(self, known: Mapping[str, Preset]) -> dict[str, Preset]:
        """What `conf/` says of each, or its label alone."""
        return {name: known.get(name, Preset(each.label)) for name, each in self.optimizers.items()}


def read(results: Path) -> Scores | None:
    """The scores in the folder `results`; None where it is no benchmark's.

    Raises `SettingsError`, in one line, for a file that is not as a benchmark writes it.
    """
    path = results / FILE
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        scores = Scores.model_validate(document)
    except (OSError, ValueError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise SettingsError(f"{path} cannot be read: {first}") from None
    if scores.format > FORMAT:
        raise SettingsError(f"{path} is of a newer format, {scores.format}; update nstbench")
    return scores


def archived(scores: Scores) -> "list[reference.Archived]":
    """The frozen reference set of a benchmark that comes with the package, without those that were
    measured here."""
    from nstbench.benchmark import instances, reference  # of no use to other results

    terms = scores.benchmark
    try:
        known = instances.load(terms.name)
        frozen = reference.load(reference.location(instances.find(terms.name)), known)
    except SettingsError:
        return []
    alike = (known.levels, known.bounds) == (terms.levels, terms.bounds)
    return [each for each in frozen if alike and each.name not in scores.optimizers]
