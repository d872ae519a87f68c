"""The update alone: all competitors in one process on one fixed gradient of the real shape.

The harness's own step, on an objective that is linear: its gradient is the same everywhere and
costs next to nothing. What a step that updates nothing takes is taken off. Noise only adds, so a
difference is read in the rounds that were least disturbed: those in which its two blocks took
least together, a choice that favours neither.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from scipy import stats

from nstbench.cost.record import Microseconds
from nstbench.errors import NstbenchError
from nstbench.optimizers import minimise
from nstbench.transfer.objective import Objective

NOTHING = "nothing"  # the key of the step that updates nothing
TRIAL = 4  # steps that show whether one gradient is enough
SEED = 12


class Nothing:
    """A fused optimizer that leaves the image alone."""

    variables: list = []

    def build(self, variables: list) -> None:
        """Nothing is held."""

    def apply(self, grads: list, trainable_variables: list) -> None:
        """Nothing is changed."""

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        return list(trainable_variables), list(optimizer_variables)


@dataclass(frozen=True)
class Found:
    """Seconds per update, one entry a round, by key; and why some were left out."""

    seconds: dict[str, list[float]]
    left_out: dict[str, str]

    def difference(self, a: str, b: str, quietest: float) -> Microseconds | None:
        """a - b; None where one of them was left out."""
        if a not in self.seconds or b not in self.seconds:
            return None
        return paired(self.seconds[a], self.seconds[b], quietest)


def gradient_of(shape: Sequence[int]) -> np.ndarray:
    """The fixed gradient, (H, W, 3)."""
    return np.random.default_rng(SEED).standard_normal(shape).astype(np.float32)


def linear(engine: Any, gradient: np.ndarray) -> Objective:
    """The objective whose gradient is `gradient` at every image."""

    def terms(images, parameters):
        return {"linear": ops.sum(images * parameters["gradient"], axis=(1, 2, 3))}

    return Objective(terms, {"gradient": ops.convert_to_tensor(gradient, dtype=engine.dtype)})


def measure(
    optimizers: Mapping[str, Callable[[], Any]],
    engine: Any,
    gradient: np.ndarray,
    rounds: int,
    block_s: float,
    now: Callable[[], float] = time.perf_counter,
) -> Found:
    """Time blocks of updates, every competitor once a round in random order.

    optimizers: by key, what makes each anew.
    """
    objective = linear(engine, gradient)
    start = np.full_like(gradient, 0.5)
    running, left_out, repeats = {}, {}, {}
    for key, make in {NOTHING: Nothing, **optimizers}.items():
        with engine.scope():
            reason = None
            try:
                each = minimise.create(engine, objective, start, make())
                reason = _unsuited(each)
            except NstbenchError as error:
                reason = str(error)
            if reason:
                left_out[key] = reason
                continue
        running[key] = each
        once = _timed(each, TRIAL, engine, now)
        repeats[key] = max(1, math.ceil(block_s / max(once, 1e-9)))
    seconds: dict[str, list[float]] = {key: [] for key in running}
    random = np.random.default_rng(SEED)
    for _ in range(rounds):
        for position in random.permutation(len(running)):
            key = list(running)[position]
            seconds[key].append(_timed(running[key], repeats[key], engine, now))
    for each in running.values():
        each.close()
    return Found(seconds, left_out)


def paired(a: Sequence[float], b: Sequence[float], quietest: float) -> Microseconds:
    """a - b, seconds by round, in microseconds: the median over the quietest share of the rounds.

    The interval is that of the median by order statistics, 95 %; it needs six rounds or more.
    """
    first, second = np.asarray(a, float), np.asarray(b, float)
    count = min(len(first), max(6, math.ceil(quietest * len(first))))
    chosen = np.argsort(first + second, kind="stable")[:count]
    found = np.sort(first[chosen] - second[chosen]) * 1e6
    beyond = max(1, int(stats.binom.ppf(0.025, count, 0.5)))
    low, high = found[beyond - 1], found[count - beyond]
    return Microseconds(value=float(np.median(found)), low=float(low), high=float(high))


def _unsuited(each: minimise.Minimisation) -> str | None:
    """Why one gradient does not do for a method; None where it does."""
    epoch = each.advance(TRIAL)
    if epoch.finished or len(epoch.steps) < TRIAL:
        return "it ends on a fixed gradient"
    if len(epoch.evaluations) != len(epoch.steps):
        return "its steps ask for several evaluations"
    return None


def _timed(each: minimise.Minimisation, steps: int, engine: Any, now: Callable) -> float:
    """Seconds per update."""
    engine.synchronise()
    start = now()
    each.advance(steps)
    engine.synchronise()
    return (now() - start) / steps
