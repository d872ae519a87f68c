"""What a step costs, as sessions of `python -m nstbench cost` left it, for runs of the same kind.

A session compares whole steps of two competitors in turn (A B B A) in one process, and so decides
in minutes what repeats of whole runs, each in a process of its own, hardly ever can.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nstbench import hardware
from nstbench.cost import record
from nstbench.cost.names import with_rate
from nstbench.cost.output import sentence
from nstbench.cost.record import Method, Pair, Record
from nstbench.cost.sequence import Estimate
from nstbench.notation import count, number
from nstbench.report.data.presets import Preset
from nstbench.report.data.reader import Damage, RecordedRun
from nstbench.report.data.select import equal
from nstbench.report.data.settings import Selector

SHARED = ("extractor", "keep_aspect", "precision", "backend")  # settings, beside the terms
OF_A_RUN = ("epochs", "steps_per_epoch")  # settings that a step knows nothing of


@dataclass(frozen=True)
class Rule:
    """What an optimizer's step is: implementation, rate, schedule, hyperparameters as far as they
    are known, and the digest of a person's own file."""

    name: str
    target: str
    lr: float | None
    schedule: str
    options: Mapping[str, Any]
    sha256: str | None

    @classmethod
    def of_run(cls, run: RecordedRun) -> "Rule":
        chosen, source = run.setup.optimizer, run.record.settings["optimizer"].get("source") or {}
        schedule = run.setup.schedule.name
        sha256 = source.get("sha256")
        return cls(chosen.name, chosen.target, run.lr, schedule, chosen.options, sha256)

    @classmethod
    def of_selector(cls, selector: Selector, presets: Mapping[str, Preset]) -> "Rule | None":
        """That of an optimizer's preset at a rate; None where a selector names anything else."""
        preset = presets.get(selector.get("optimizer", ""))
        if preset is None or not selector.keys() <= {"optimizer", "lr", *OF_A_RUN}:
            return None
        rate = selector.get("lr", preset.lr)
        return cls(selector["optimizer"], preset.target, rate, "constant", preset.options, None)

    def is_of(self, method: Method) -> bool:
        return (
            method.name == self.name
            and self.target in ("", method.target)
            and equal(method.lr, self.lr)
            and method.schedule == self.schedule
            and agree(method.options, self.options)
            and method.source.get("sha256") == self.sha256
        )


@dataclass(frozen=True)
class StepCost:
    """Whole steps of one competitor beside those of another, by one session.

    `margin` is the share that the session was asked about, `size` that of its pictures.
    """

    labels: tuple[str, str]
    pair: Pair
    is_turned: bool  # whether the pair is that of b and a
    margin: float
    size: int

    def estimate(self, alpha: float) -> Estimate:
        """The log ratio a/b of a step's seconds, each bound wrong with chance `alpha` at most."""
        found = self.pair.estimate(alpha)
        return found.turned() if self.is_turned else found

    def told(self, found: Estimate, margin: float) -> tuple[str, str]:
        """How it was measured, and what it says."""
        how = f"{count(found.n, 'comparison')} A B B A in one process"
        return how, sentence(*self.labels, found, margin)


@dataclass(frozen=True)
class StepCount:
    """Two schedules of one step: the longer one makes the steps of the shorter, and more of them.

    So their time in updates stands as their numbers of steps do, and needs no repeats.
    """

    label: str
    steps: tuple[int, int]
    seconds: float  # of one step
    size: int
    margin: float | None = None  # the claim's

    def estimate(self, alpha: float) -> Estimate:
        """The log ratio of the numbers of steps, which is certain."""
        known = math.log(self.steps[0] / self.steps[1])
        return Estimate(known, known, known, 0)

    def told(self, found: Estimate, margin: float) -> tuple[str, str]:
        """How it was measured, and what it says."""
        (a, b), times = self.steps, number(math.exp(found.centre), 3)
        alike = f"{self.label}'s step is the same in both"
        return (
            f"{number(self.seconds, 3)} s",
            f"{alike}, and {a} take {times} times as long as {b}.",
        )


Cost = StepCost | StepCount  # what can decide in place of runs


def read(results: Path) -> tuple[list[Record], list[Damage]]:
    """Every session in `results/cost`, and what could not be read."""
    sessions, errors = record.load_all(results)
    damaged = [Damage(path, record.FILE, None, None, str(e)) for path, e in errors.items()]
    return sessions, damaged


def between(
    sessions: Iterable[Record], a: Rule, b: Rule, like: RecordedRun, sizes: Sequence[int]
) -> StepCost | None:
    """The comparison of two steps on a problem `like` a run's, at the first of `sizes` that there
    is one of; of several sessions, the longest."""
    fitting = [session for session in sessions if _suits(session, like)]
    costs = [cost for session in fitting for cost in _in_session(session, a, b)]
    fitting = [cost for cost in costs if cost.size in sizes]
    return min(
        fitting, key=lambda cost: (sizes.index(cost.size), -len(cost.pair.logs)), default=None
    )


def counted(
    sessions: Iterable[Record],
    rules: tuple[Rule, Rule],
    steps: tuple[int, int],
    like: RecordedRun,
    sizes: Sequence[int],
) -> StepCount | None:
    """Two numbers of steps of one method whose step was measured on a problem `like` a run's."""
    for session in sessions:
        size = session.problem["size"]
        if size not in sizes or not _suits(session, like):
            continue
        for method in session.methods.values():
            if method.step_s is not None and all(rule.is_of(method) for rule in rules):
                label = with_rate(method.label, method.lr)
                return StepCount(label, steps, method.step_s, size)
    return None


def step_seconds(sessions: Iterable[Record], run: RecordedRun) -> float | None:
    """Median seconds of a step of the run's competitor on pictures of its size."""
    for session in sessions:
        if session.problem["size"] != run.record.settings.get("size") or not _suits(session, run):
            continue
        for method in session.methods.values():
            if method.step_s is not None and Rule.of_run(run).is_of(method):
                return method.step_s
    return None


def _in_session(session: Record, a: Rule, b: Rule) -> Iterator[StepCost]:
    margins = {frozenset((row["a"], row["b"])): row["margin"] for row in session.verdicts}
    for pair in session.pairs:
        margin = margins.get(frozenset((pair.a, pair.b)))
        if margin is None or not pair.logs:
            continue
        one, other = session.methods[pair.a], session.methods[pair.b]
        for is_turned, (first, second) in enumerate(((one, other), (other, one))):
            if a.is_of(first) and b.is_of(second):
                labels = with_rate(first.label, first.lr), with_rate(second.label, second.lr)
                yield StepCost(labels, pair, bool(is_turned), margin, session.problem["size"])


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


def agree(one: Any, other: Any) -> bool:
    """Whether two records say the same wherever both say something."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(agree(one[name], other[name]) for name in one.keys() & other.keys())
    return equal(one, other)
