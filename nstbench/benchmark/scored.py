"""The scores of a packed benchmark, made anew from its runs and the targets frozen here."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from nstbench.benchmark import instances, runs, standing, targets
from nstbench.benchmark.instances import Benchmark, Instance
from nstbench.benchmark.packs import Pack, PackError
from nstbench.benchmark.repeat import Unchecked
from nstbench.benchmark.standing import Standing
from nstbench.benchmark.targets import TargetSet
from nstbench.errors import SettingsError
from nstbench.report.data.reader import RecordedRun
from nstbench.settings import compose
from nstbench.settings.model import Settings

SCORES = "benchmark/scores.json"
CLOSE = 1e-9  # of scores made from the same numbers
# Settings that are a competitor's own, or change no number; all others are the benchmark's.
_FREE = {
    "optimizer", "lr", "schedule", "out", "device", "backend", "kernels", "command", "snapshots",
    "checkpoint_s", "force", "experiment", "reported_seconds",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A packed benchmark's optimizer: what `scores.json` says, and its standing made anew."""

    benchmark: Benchmark
    name: str
    said: Mapping[str, Any]
    standing: Standing

    @property
    def label(self) -> str:
        return str(self.said.get("label", self.name))


def entries(pack: Pack, found: Sequence[RecordedRun]) -> list[Entry]:
    """The optimizers of a pack of a benchmark's folder; none for a pack of single runs.

    Raises `Unchecked` where the benchmark or its targets are not known here, `PackError` for runs
    that are none of it, `SettingsError` for those that saw other pictures or weights.
    """
    file = pack.folder / SCORES
    if not file.is_file():
        return []
    try:
        document = json.loads(file.read_text())
        name, optimizers = document["benchmark"]["name"], dict(document["optimizers"])
        listed = {key: list(map(str, each["runs"])) for key, each in optimizers.items()}
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
        raise PackError(f"{SCORES} cannot be read") from None
    benchmark, frozen = _here(name)
    by_id = {run.id: run for run in found}
    problems = _problems(benchmark)
    made = []
    for key, ids in listed.items():
        own = [by_id[each] for each in ids if each in by_id]
        results = _results(benchmark, problems, own)
        made.append(
            Entry(benchmark, key, optimizers[key], standing.stand(key, benchmark, results, frozen))
        )
    return made


def faults(pack: Pack, found: Sequence[RecordedRun]) -> Iterator[str]:
    """Sentences on scores that are not those of the pack's runs.

    Raises `Unchecked` where the benchmark or its targets are not known here.
    """
    try:
        for entry in entries(pack, found):
            said = entry.said.get("score")
            if not isinstance(said, float | int) or abs(said - entry.standing.score.value) > CLOSE:
                yield (
                    f"{SCORES}: {entry.label} has {said}, its runs give "
                    f"{entry.standing.score.value:.4f} against the targets frozen here"
                )
    except (PackError, SettingsError) as error:
        yield f"{SCORES}: {error}"


def _here(name: Any) -> tuple[Benchmark, TargetSet]:
    """This installation's benchmark of a name, and its frozen targets."""
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
        raise PackError("the benchmark has no name")
    try:
        benchmark = instances.load(name)
        frozen = targets.load(targets.location(instances.find(name)), benchmark)
    except SettingsError as error:
        raise Unchecked(str(error)) from None
    if frozen is None:
        raise Unchecked(f"benchmark={name} has no frozen targets here")
    return benchmark, frozen


Problems = Mapping[tuple[Instance, int], Mapping[str, Any]]


def _problems(benchmark: Benchmark) -> Problems:
    """The settings that a run of each problem and repeat must have."""
    made = {}
    for instance, problem in benchmark.runs(benchmark.score):
        settings = compose.resolve(problem)
        made[instance, settings.repeat] = settings.model_dump(mode="json", exclude=_FREE)
    return made


def _results(
    benchmark: Benchmark, problems: Problems, own: Sequence[RecordedRun]
) -> dict[Instance, list[runs.Result | None]]:
    """One optimizer's results by problem; None for what is not in the pack: it reached nothing."""
    first = _settings(own[0]) if own else {}
    at: dict[tuple[Instance, int], runs.Result] = {}
    for run in own:
        settings = _settings(run)
        key = Instance(settings["content"], settings["style"][0], settings["init"]), run.repeat
        wanted = problems.get(key)
        if wanted is None or any(settings.get(name) != value for name, value in wanted.items()):
            raise PackError(f"{run.id} is no run of benchmark={benchmark.name}")
        if any(settings[name] != first[name] for name in ("optimizer", "lr", "schedule")):
            raise PackError(f"{run.id} has other hyperparameters than {own[0].id}")
        losses = run.trace["loss"].to_numpy()[: benchmark.horizon]
        if len(losses):
            at[key] = runs.Result(run.id, losses, run.record)
    return {
        instance: [at.get(key) for key in problems if key[0] == instance]
        for instance in dict.fromkeys(instance for instance, _ in problems)
    }


def _settings(run: RecordedRun) -> dict[str, Any]:
    try:
        return Settings.model_validate(run.record.settings).model_dump(mode="json")
    except ValidationError:
        raise PackError(f"{run.id} is of another version of nstbench") from None
