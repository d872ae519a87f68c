"""Seconds of an evaluation, from what `python -m nstbench cost` measured of steps on this machine.

Runs of a benchmark share a process and give no timings, so seconds come from evaluations times
what one costs. A method whose step makes an unknown number of evaluations has none.
"""

from collections.abc import Sequence
from pathlib import Path

from nstbench.benchmark.competitors import Competitor
from nstbench.cost import record
from nstbench.cost.record import Record
from nstbench.run import machine
from nstbench.settings import identity

# What the seconds of a step depend on, besides the machine and the method.
PROBLEM = ("size", "objective", "extractor", "precision", "kernels", "backend")


def per_evaluation(results: Path, competitors: Sequence[Competitor]) -> dict[str, float]:
    """By a competitor's name, from the newest records in `results/cost` that fit; else nothing."""
    records = _records(results)
    return {
        each.name: seconds
        for each in competitors
        for seconds in [_seconds(records, each)]
        if seconds is not None
    }


def _records(results: Path) -> list[Record]:
    """Those of this machine, the newest first."""
    host = machine.host()
    records = [
        kept
        for kept in record.load_all(results)[0]
        if kept.visits and kept.facts.get("machine", {}).get("host") == host
    ]
    return sorted(records, key=lambda kept: kept.visits[-1].started, reverse=True)


def _seconds(records: Sequence[Record], competitor: Competitor) -> float | None:
    settings = competitor.settings
    problem = identity.identity(settings)
    for kept in records:
        if any(kept.problem.get(name) != problem[name] for name in PROBLEM):
            continue
        for method in kept.methods.values():
            made = method.counts.evaluations if method.counts else None
            if method.target == settings.optimizer.target and method.step_s and made:
                return method.step_s / made
    return None
