"""What a step costs, as sessions of `python -m nstbench cost` left it, for runs of the same kind.

A session compares whole steps of two competitors in turn (A B B A) in one process, and so decides
in minutes what repeats of whole runs, each in a process of its own, hardly ever can.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nstbench import hardware
from nstbench.cost import record
from nstbench.cost.record import Method, Pair, Record
from nstbench.cost.sequence import Estimate
from nstbench.errors import RecordError
from nstbench.report.data.reader import Damage, RecordedRun
from nstbench.report.data.select import equal

SHARED = ("extractor", "keep_aspect", "precision", "backend")  # settings, beside the terms


@dataclass(frozen=True)
class StepCost:
    """Whole steps of one competitor beside those of another, by one session.

    `margin` is the share that the session was asked about, `size` that of its pictures.
    """

    pair: Pair
    is_turned: bool  # whether the pair is that of b and a
    margin: float
    size: int

    def estimate(self, alpha: float) -> Estimate:
        """The log ratio a/b of a step's seconds, each bound wrong with chance `alpha` at most."""
        found = self.pair.estimate(alpha)
        return found.turned() if self.is_turned else found


def read(results: Path) -> tuple[list[Record], list[Damage]]:
    """Every session in `results/cost`, and what could not be read."""
    sessions, damaged = [], []
    for path in sorted((results / "cost").glob(f"*/{record.FILE}")):
        try:
            sessions.append(record.load(path.parent))
        except RecordError as error:
            damaged.append(Damage(path.parent, record.FILE, None, None, str(error)))
    return [session for session in sessions if session is not None], damaged


def between(
    sessions: Iterable[Record], a: RecordedRun, b: RecordedRun, sizes: Sequence[int]
) -> StepCost | None:
    """The comparison of two runs' competitors at the first of `sizes` that there is one of; of
    several sessions, the longest."""
    costs = [cost for session in sessions for cost in _in_session(session, a, b)]
    fitting = [cost for cost in costs if cost.size in sizes]
    return min(
        fitting, key=lambda cost: (sizes.index(cost.size), -len(cost.pair.logs)), default=None
    )


def step_seconds(sessions: Iterable[Record], run: RecordedRun) -> float | None:
    """Median seconds of a step of the run's competitor on pictures of its size."""
    for session in sessions:
        if session.problem["size"] != run.record.settings.get("size") or not _suits(session, run):
            continue
        for method in session.methods.values():
            if method.step_s is not None and _is_of(method, run):
                return method.step_s
    return None


def _in_session(session: Record, a: RecordedRun, b: RecordedRun) -> Iterator[StepCost]:
    if not (_suits(session, a) and _suits(session, b)):
        return
    margins = {frozenset((row["a"], row["b"])): row["margin"] for row in session.verdicts}
    for pair in session.pairs:
        margin = margins.get(frozenset((pair.a, pair.b)))
        if margin is None or not pair.logs:
            continue
        one, other = session.methods[pair.a], session.methods[pair.b]
        for is_turned, (first, second) in enumerate(((one, other), (other, one))):
            if _is_of(first, a) and _is_of(second, b):
                yield StepCost(pair, bool(is_turned), margin, session.problem["size"])


def _suits(session: Record, run: RecordedRun) -> bool:
    """Whether the steps of a session are those of a run but for pictures and their size: the same
    objective and network, computed in the same way on the same kind of device."""
    settings, problem = run.record.settings, session.problem
    terms = (settings.get("objective") or {}).get("terms", {})
    devices, facts = session.facts["devices"], session.facts["machine"]
    kind = "cpu" if devices == ["CPU"] else "gpu"
    backend, precision = problem["backend"], problem["precision"]
    kernels = hardware.kernels(problem["kernels"], kind, backend, precision)
    machine = {"devices": devices, "cpu": facts["cpu"], "kernels": kernels}
    return (
        terms.keys() == problem["objective"].keys()
        and agree(terms, problem["objective"])
        and agree({name: settings[name] for name in SHARED if name in settings}, problem)
        and agree(machine, run.record.machine)
    )


def _is_of(method: Method, run: RecordedRun) -> bool:
    """Whether a method is a run's: same implementation, rate, schedule and hyperparameters."""
    chosen, own = run.setup.optimizer, run.record.settings["optimizer"].get("source") or {}
    return (
        method.name == chosen.name
        and chosen.target in ("", method.target)
        and equal(method.lr, run.lr)
        and method.schedule == run.setup.schedule.name
        and agree(method.options, chosen.options)
        and method.source.get("sha256") == own.get("sha256")
    )


def agree(one: Any, other: Any) -> bool:
    """Whether two records say the same wherever both say something."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(agree(one[name], other[name]) for name in one.keys() & other.keys())
    return equal(one, other)
