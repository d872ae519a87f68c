"""Frozen targets: losses that count as reached, fixed in a file so that no newcomer moves them.

`conf/benchmark/<name>.targets.yaml` is made once, from the runs of a reference set. Per problem:
`start`, the median first loss; `best`, the lowest of the optimizers' median best losses (a median,
so that a lucky run sets no target); and for each level the loss best + level (start - best).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from nstbench.benchmark.instances import Benchmark, Instance
from nstbench.benchmark.runs import Result
from nstbench.errors import SettingsError
from nstbench.files import replacing

PACKAGES = ("nstbench", "tensorflow", "keras", "numpy")
Results = Mapping[Instance, Sequence[Result | None]]  # of one optimizer


@dataclass(frozen=True)
class Targets:
    """The targets of one problem, and what they were made from."""

    start: float
    best: float
    losses: tuple[float, ...]  # one per level, in the benchmark's order
    digests: Mapping[str, str]  # SHA-256 of content, style and weights
    runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class TargetSet:
    """The targets of a benchmark by the problem's name; not `frozen` where made on the spot."""

    targets: Mapping[str, Targets]
    frozen: bool
    made: Mapping[str, Any]

    def of(self, instance: Instance) -> Targets:
        """Raises `SettingsError` where the file does not know the problem."""
        if str(instance) not in self.targets:
            raise SettingsError(f"the targets know no {instance}: they are of another benchmark")
        return self.targets[str(instance)]


def location(file: Path) -> Path:
    """Where the frozen targets of the benchmark in `file` lie: beside it."""
    return file.with_name(f"{file.stem}.targets.yaml")


def load(file: Path, benchmark: Benchmark) -> TargetSet | None:
    """The frozen targets, None where there is no file.

    Raises `SettingsError` for a file that cannot be read or holds another benchmark's.
    """
    if not file.is_file():
        return None
    try:
        content = yaml.safe_load(file.read_text())
        if content["terms"] != terms(benchmark):
            raise SettingsError(
                f"{file.name} was made under other settings than the benchmark's: freeze it anew"
            )
        found = {name: _read(entry) for name, entry in content["instances"].items()}
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise SettingsError(f"{file} holds no targets ({type(error).__name__}: {error})") from None
    return TargetSet(found, True, content["made"])


def make(
    benchmark: Benchmark, results: Mapping[str, Results], made: Mapping[str, Any]
) -> TargetSet:
    """Targets of the score's problems from the results of a reference set, by optimizer.

    Raises `SettingsError` where no optimizer has a result on some problem, or none gained anything.
    """
    found = {
        str(instance): _of(instance, benchmark.levels, [of[instance] for of in results.values()])
        for instance in benchmark.instances(benchmark.score)
    }
    return TargetSet(found, False, made)


def write(file: Path, benchmark: Benchmark, targets: TargetSet) -> None:
    """Freeze `targets` in `file`."""
    content = {
        "made": dict(targets.made),
        "terms": terms(benchmark),
        "instances": {
            name: {
                "start": each.start,
                "best": each.best,
                "targets": list(each.losses),
                "sha256": dict(each.digests),
                "runs": list(each.runs),
            }
            for name, each in targets.targets.items()
        },
    }
    head = (
        "# Frozen by `python -m nstbench benchmark freeze=true`; never edit it, freeze a new one.\n"
    )
    with replacing(file) as temporary:
        temporary.write_text(head + yaml.safe_dump(content, sort_keys=False, width=100))


def terms(benchmark: Benchmark) -> dict[str, Any]:
    """What the targets hold for: a change of any of these makes them worthless."""
    return {
        "settings": list(benchmark.settings),
        "horizon": benchmark.horizon,
        "levels": list(benchmark.levels),
        "repeats": list(benchmark.score.repeats),
    }


def facts(competitors: Sequence[str], today: str) -> dict[str, Any]:
    """Where and when a target set was made."""
    return {
        "date": today,
        "optimizers": list(competitors),
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }


def check(instance: Instance, targets: Targets, results: Sequence[Result | None]) -> None:
    """`SettingsError` where runs saw other pictures or weights than the targets were made with."""
    for result in (each for each in results if each is not None):
        for what, digest in result.digests.items():
            if targets.digests[what] != digest:
                raise SettingsError(
                    f"{result.id} has another {what} than the targets of {instance} were made with"
                )


def _of(
    instance: Instance, levels: Sequence[float], results: Sequence[Sequence[Result | None]]
) -> Targets:
    present = [[run for run in runs if run is not None] for runs in results]
    present = [runs for runs in present if runs]
    if not present:
        raise SettingsError(f"no run of {instance} is there to make targets from")
    every = [run for runs in present for run in runs]
    start = float(np.median([run.losses[0] for run in every]))
    best = min(float(np.median([np.nanmin(run.losses) for run in runs])) for runs in present)
    if not best < start:
        raise SettingsError(f"no optimizer improved {instance}: there is no target to set")
    losses = tuple(best + level * (start - best) for level in levels)
    return Targets(start, best, losses, every[0].digests, tuple(run.id for run in every))


def _read(entry: Mapping[str, Any]) -> Targets:
    return Targets(
        float(entry["start"]),
        float(entry["best"]),
        tuple(map(float, entry["targets"])),
        dict(entry["sha256"]),
        tuple(entry["runs"]),
    )
