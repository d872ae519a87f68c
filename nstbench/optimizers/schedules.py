"""Schedules: the factor on an optimizer's rate at each step of a run, from step 0.

A schedule has no rate of its own, so that one fits every optimizer: Keras's classes start at 1.0.
Lengths are shares of the run's steps, so that a schedule stretches with the run.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from nstbench import outside
from nstbench.errors import SettingsError

Schedule = Callable[[Any], Any]
"""A step, from 0, a number or an integer tensor -> the factor on the rate; it can be compiled."""

STEP_NAMES = ("step", "count", "iteration", "t")  # of a function that is itself a schedule


class Settings(Protocol):
    """What is read of a run's settings: `target` is None where the rate is constant."""

    name: str
    target: str | None

    @property
    def options(self) -> Mapping[str, Any]: ...


def build(settings: Settings, total_steps: int) -> Schedule | None:
    """The schedule of a run of `total_steps` steps; None for a constant rate.

    `options` are the target's own; among them `lengths` names those that are lengths. A function
    whose first argument is the step is a schedule itself; anything else is called with the options
    and returns one. Raises `SettingsError`, in one line, for an option that is not known, a length
    that is none, and a schedule that fails or gives something else than a number from 0 on.
    """
    if settings.target is None:
        return None
    target, options = settings.target, dict(settings.options)
    lengths = options.pop("lengths", None) or []
    for name in lengths:
        if name in options:
            options[name] = _in_steps(f"schedule.{name}", options[name], total_steps)
    made = _make(target, outside.locate(target), options, total_steps)
    table = _table(target, made, total_steps)
    return made if _is_keras(made) else _read(table)


def warmup_stable_decay(
    warmup_steps: int, stable_steps: int, decay_steps: int, start: float = 0.1, end: float = 0.0
) -> Schedule:
    """Straight from `start` to 1, a plateau of `stable_steps`, then straight to `end`.

    Hu et al. 2024, "MiniCPM", section 4; their decay is exponential, others' is straight.
    """
    top = warmup_steps + stable_steps

    def factor(step):
        up = min(step / max(warmup_steps, 1), 1.0) if warmup_steps else 1.0
        down = min(max(step - top, 0) / max(decay_steps, 1), 1.0)
        return (start + (1.0 - start) * up) * (1.0 - down) + end * down

    return factor


def _in_steps(name: str, length: Any, total: int) -> Any:
    """Whole steps of a share in (0, 1] or of a whole number; of each, for a list; None stays."""
    if length is None:
        return None
    if isinstance(length, list | tuple):
        return [_in_steps(name, each, total) for each in length]
    if isinstance(length, int) and not isinstance(length, bool) and length >= 0:
        return length
    if isinstance(length, float) and 0 < length <= 1:
        return max(1, round(length * total))
    raise SettingsError(f"{name}={length} must be a share in (0, 1] or a whole number of steps")


def _make(target: str, found: Any, options: Mapping[str, Any], total: int) -> Schedule:
    """The schedule that `found` is, or that it makes of the options."""
    if not callable(found):
        raise SettingsError(f"{target} is a {type(found).__name__}, not a schedule")
    if _is_keras(found):
        return found
    known = outside.parameters(found)
    is_schedule = not isinstance(found, type) and next(iter(known), None) in STEP_NAMES
    elsewhere = [next(iter(known))] if is_schedule else []
    given = {"total_steps": total} if "total_steps" in known else {}
    if "initial_learning_rate" in known:
        given["initial_learning_rate"] = 1.0
    extra = options if outside.takes_any(found) else {}
    outside.check_options(target, given | options, known | extra, elsewhere)
    try:
        return (partial if is_schedule else _call)(found, **(given | options))
    except Exception as error:
        raise _failed(target, error) from error


def _call(found: Callable, **options: Any) -> Schedule:
    made = found(**options)
    if not callable(made):
        raise TypeError(f"it returned a {type(made).__name__}, not a function of the step")
    return made


def _table(target: str, schedule: Schedule, total: int) -> np.ndarray:
    """The factors on the host, of all steps but for Keras's: any function can be read so."""
    steps = [0] if _is_keras(schedule) else range(total)
    try:
        factors = np.array([float(schedule(step)) for step in steps], np.float64)
    except Exception as error:
        raise _failed(target, error) from error
    if not all(math.isfinite(factor) and factor >= 0 for factor in factors):
        raise SettingsError(f"{target}: a factor on the rate must be a number from 0 on")
    return factors


def _read(table: np.ndarray) -> Schedule:
    """The table as a schedule; after its end, its last factor."""

    def factor(step):
        if isinstance(step, int):
            return float(table[min(step, len(table) - 1)])
        last = ops.cast(len(table) - 1, "int32")
        place = ops.minimum(ops.cast(step, "int32"), last)
        return ops.take(ops.convert_to_tensor(table, dtype="float32"), place)

    return factor


def _is_keras(schedule: Any) -> bool:
    return isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule)


def _failed(target: str, error: Exception) -> SettingsError:
    text = (str(error).strip().splitlines() or [""])[0]
    return SettingsError(f"{target}: {type(error).__name__}: {text}")
