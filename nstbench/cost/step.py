"""Whole steps: two competitors in turn, in one process, each with its own image and its own step.

A comparison is `A B B A` or `B A A B`, drawn by chance: four samples that lie side by side, so that
what disturbs the machine for longer than a step hits both, and a drift cancels. Pairs take turns;
one whose bounds have decided (`sequence`) takes no more of the time.
"""

import itertools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nstbench.cost.options import Options
from nstbench.cost.record import Pair
from nstbench.cost.sequence import Decision, spread
from nstbench.errors import NstbenchError
from nstbench.optimizers.minimise import Minimisation

WARM_UP = 2  # steps before anything is timed: the first compiles
STARTS = 3  # that a method is granted in a row without finishing a sample
SAVE_EVERY_S = 20.0


@dataclass
class Runner:
    """A competitor at work. `make` sets it up anew: for a method that cannot go back."""

    label: str
    make: Callable[[], Minimisation]
    repeats: int = 1
    seconds: list[float] = field(default_factory=list)  # per step, every sample
    steps: int = 0
    evaluations: int = 0

    def warm_up(self, engine: Any, sample_s: float, now: Callable) -> None:
        """Compile, and choose how many steps a sample has."""
        self._set_up()
        start = now()
        self.minimisation.advance(1)
        engine.synchronise()
        self.repeats = max(1, math.ceil(sample_s / max(now() - start, 1e-9)))

    def sample(self, engine: Any, now: Callable) -> float:
        """Seconds per step of one sample. Raises `NstbenchError` where a method makes no steps."""
        for _ in range(STARTS):
            engine.synchronise()
            start = now()
            epoch = self.minimisation.advance(self.repeats)
            engine.synchronise()
            seconds = (now() - start) / self.repeats
            is_whole = len(epoch.steps) == self.repeats
            self.steps += len(epoch.steps)
            self.evaluations += len(epoch.evaluations)
            if epoch.finished or not all(e.is_finite for e in epoch.steps):
                self._restart()
            if is_whole:
                self.seconds.append(seconds)
                return seconds
        raise NstbenchError(f"{self.label} ends before {self.repeats} steps: nothing to time")

    def close(self) -> None:
        self.minimisation.close()

    def _set_up(self) -> None:
        self.minimisation = self.make()
        self.minimisation.warm_up()
        self._first = self.minimisation.state()
        self.minimisation.advance(WARM_UP)

    def _restart(self) -> None:
        """Back to the first image; what a method that cannot go back holds is let go."""
        if self._first:
            first = {name: np.array(array) for name, array in self._first.items()}
            self.minimisation.restore(first)  # which may write into its arrays
        else:
            self.minimisation.close()
            self._set_up()


@dataclass(frozen=True)
class Clock:
    """What tells the seconds, and until when whole steps are taken."""

    until: float
    now: Callable[[], float] = time.perf_counter


def decide(
    pairs: list[Pair],
    runners: Mapping[str, Runner],
    engine: Any,
    options: Options,
    clock: Clock,
    random: np.random.Generator,
    keep: Callable[[], None] = lambda: None,
) -> None:
    """Compare until every pair is decided or the time is over; pairs grow in place.

    `keep` is called now and then between comparisons, to put on record what there is.
    """
    kept_at = clock.now()
    for pair in _turns(pairs, options):
        if clock.now() >= clock.until:
            return
        compare(pair, runners, engine, clock.now, random)
        if clock.now() - kept_at > SAVE_EVERY_S:
            keep()
            kept_at = clock.now()


def compare(pair: Pair, runners: Mapping[str, Runner], engine: Any, now: Callable, random) -> float:
    """Make one comparison and append its log ratio a/b, which is returned."""
    first, second = (pair.a, pair.b) if random.random() < 0.5 else (pair.b, pair.a)
    logs: dict[str, list[float]] = {pair.a: [], pair.b: []}
    for key in (first, second, second, first):
        logs[key].append(math.log(runners[key].sample(engine, now)))
    a, b = np.array(logs[pair.a]), np.array(logs[pair.b])
    pair.logs.append(float(a.mean() - b.mean()))
    pair.spreads.append(float(spread(a, b)))
    return pair.logs[-1]


def is_open(pair: Pair, options: Options) -> bool:
    """Whether a pair's bounds do not decide yet."""
    return pair.estimate(options.alpha).decision(options.margin) is Decision.NOT_DECIDED


def _turns(pairs: list[Pair], options: Options):
    """Pairs in turn as long as they are open."""
    left = [pair for pair in pairs if is_open(pair, options)]
    for _ in itertools.count():
        if not left:
            return
        for pair in list(left):
            yield pair
            if not is_open(pair, options):
                left.remove(pair)
