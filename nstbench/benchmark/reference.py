"""The reference set's standing, frozen beside the targets: what a newcomer is shown against."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nstbench.benchmark.instances import Benchmark
from nstbench.benchmark.targets import terms
from nstbench.files import replacing


@dataclass(frozen=True)
class Archived:
    """One optimizer of the reference set, as `scores.json` had it when the targets were frozen."""

    name: str
    label: str
    score: float
    hits: tuple[np.ndarray, ...]  # by instance, as `standing.Standing` has them


def location(file: Path) -> Path:
    """Where the reference set of the benchmark in `file` lies: beside it."""
    return file.with_name(f"{file.stem}.reference.json")


def write(path: Path, benchmark: Benchmark, document: Mapping[str, Any]) -> None:
    """Freeze the content of a `scores.json` as the reference set."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"terms": terms(benchmark), **document}) + "\n")


def load(path: Path, benchmark: Benchmark) -> list[Archived]:
    """The reference set, the best first; none where there is no file or it is of other terms."""
    if not path.is_file():
        return []
    document = json.loads(path.read_text())
    if document["terms"] != terms(benchmark):
        return []
    return [
        Archived(name, each["label"], each["score"], tuple(map(_hits, each["hits"])))
        for name, each in document["optimizers"].items()
    ]


def place(value: float, archived: Sequence[Archived]) -> str:
    """Where a score stands among the reference set, in words."""
    better = [each for each in archived if each.score > value]
    worse = [each for each in archived if each.score <= value]
    above = f"below {better[-1].label} ({better[-1].score:.4f})" if better else "above all"
    below = f", above {worse[0].label} ({worse[0].score:.4f})" if better and worse else ""
    return f"place {len(better) + 1} beside {len(archived)} of the reference set: {above}{below}"


def _hits(rows: Sequence[Sequence[float | None]]) -> np.ndarray:
    return np.array([[np.inf if value is None else value for value in row] for row in rows])
