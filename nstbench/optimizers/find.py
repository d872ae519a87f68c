"""From what a setting names to an optimizer: the adapter is chosen by what the object is."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np

from nstbench import outside
from nstbench.errors import SettingsError
from nstbench.optimizers import contract, keras_adapter, scipy_adapter, torch_adapter
from nstbench.optimizers.schedules import Schedule

# What the harness gives, by name, to an optimizer that asks for it.
GIVEN = ("engine", "box", "schedule", "params", "name")
TAKEN = "steps_of_schedule"  # in the state of an optimizer whose rate is set from outside


class Settings(Protocol):
    """What is read of a run's settings; `options` are the hyperparameters without the rate."""

    target: str
    box: bool

    @property
    def options(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Found:
    """The object behind a target, with the keyword of its rate and its hyperparameters."""

    target: str
    thing: Any
    rate: str | None
    known: dict[str, Any]  # the rate among them
    takes_any: bool = False  # a function that passes on other options, too


def create(
    settings: Settings, lr: float | None, schedule: Schedule | None, engine
) -> "contract.Optimizer | Any":
    """The optimizer of a run: one of the contract, or one whose update is fused into the step.

    Raises `SettingsError`, in one line, for what cannot be found, is no optimizer or belongs to
    another backend, for options that it does not know or refuses, and for a rate or a schedule
    where it has none.
    """
    found = look_up(settings.target)
    _check_rate(found, lr, schedule)
    elsewhere = (found.rate,) if found.rate else ()
    extra = settings.options if found.takes_any else {}
    outside.check_options(settings.target, settings.options, extra | found.known, elsewhere)
    options = {n: _like(found.known.get(n), value) for n, value in settings.options.items()}
    rates = {} if lr is None else {found.rate: lr}
    if scipy_adapter.is_method(settings.target):
        return scipy_adapter.from_method(settings.target, options, settings.box)
    if scipy_adapter.is_minimiser(found.thing):
        _refuse(
            schedule, f"{settings.target} keeps its own loop: its rate cannot follow a schedule"
        )
        return scipy_adapter.from_minimiser(
            settings.target, found.thing, rates | options, settings.box
        )
    if torch_adapter.is_optimizer(found.thing):
        return torch_adapter.TorchOptimizer(settings.target, found.thing, lr, schedule, options)
    if _is_keras(found.thing):
        return keras_adapter.create(found.thing, found.rate, lr, schedule, options)
    return _called(found, lr, schedule, options, settings.box, engine)


def look_up(target: str) -> Found:
    """The object behind `target` and what it can be told.

    Raises `SettingsError`, in one line, for what cannot be found or called.
    """
    if scipy_adapter.is_method(target):
        return Found(target, None, None, scipy_adapter.method_options(target))
    thing = outside.locate(target)
    if _is_transformation(thing):  # made already: there is nothing to tell it
        return Found(target, lambda: thing, None, {})
    if not callable(thing):
        raise SettingsError(f"{target} is a {type(thing).__name__}, not an optimizer")
    if scipy_adapter.is_minimiser(thing):  # its **options are what SciPy hands over
        known, takes_any = scipy_adapter.minimiser_options(thing), False
    else:
        known = {n: v for n, v in _parameters(thing).items() if n not in GIVEN}
        takes_any = not isinstance(thing, type) and outside.takes_any(thing)
    rate = next((name for name in outside.RATES if name in known), None)
    return Found(target, thing, rate, known, takes_any)


def _parameters(thing: Callable) -> dict[str, Any]:
    """The parameters of `thing`; where a class passes on `**options`, those of its bases, too."""
    known = outside.parameters(thing)
    for base in inspect.getmro(thing)[1:] if isinstance(thing, type) else ():
        if not outside.takes_any(thing):
            break
        if "__init__" in vars(base) and base is not object:
            thing = base
            known = outside.parameters(base) | known
    return known


def _called(found: Found, lr, schedule, options, box: bool, engine):
    """What a function or class of no library that is known here makes of its options."""
    needed = {"optax": "jax"}.get(found.target.partition(".")[0], keras.backend.backend())
    if needed != keras.backend.backend():
        raise SettingsError(f"{found.target}: optax needs KERAS_BACKEND={needed}")
    names = inspect.signature(found.thing).parameters
    given = {"engine": engine, "box": box, "schedule": schedule}
    given = {name: value for name, value in given.items() if name in names}
    rates = {} if lr is None else {found.rate: lr}
    try:
        made = found.thing(**rates, **options, **given)
    except SettingsError:
        raise
    except Exception as error:
        text = (str(error).strip().splitlines() or [""])[0]
        raise SettingsError(f"{found.target}: {type(error).__name__}: {text}") from error
    if _is_transformation(made):
        from nstbench.optimizers import optax_adapter  # imports JAX

        factory = found.thing
        return optax_adapter.create(found.target, factory, found.rate, lr, schedule, options)
    if isinstance(made, keras.optimizers.Optimizer):
        return keras_adapter.create(found.thing, found.rate, lr, schedule, options)
    if not all(callable(getattr(made, name, None)) for name in ("init", "step")):
        raise SettingsError(
            f"{found.target} is no optimizer: neither Keras's, optax's, PyTorch's nor SciPy's, nor "
            "an object with init and step"
        )
    if schedule is None or "schedule" in names:
        return made
    if not hasattr(made, found.rate):
        raise SettingsError(
            f"{found.target} takes no schedule and has no attribute {found.rate} that could follow "
            "one"
        )
    return _Scheduled(made, found.rate, lr, schedule)


class _Scheduled:
    """An optimizer of the contract whose rate, an attribute of it, is set before each step."""

    def __init__(self, optimizer, rate: str, lr: float, schedule: Schedule):
        self._optimizer, self._rate = optimizer, rate
        self._lr, self._schedule = lr, schedule
        self.resumable = optimizer.resumable

    def init(self, x) -> contract.State:
        return self._optimizer.init(x) | {TAKEN: np.array(0)}

    def step(self, x, state: contract.State, evaluate: contract.Evaluate):
        taken = int(state[TAKEN])
        setattr(self._optimizer, self._rate, self._lr * float(self._schedule(taken)))
        own = {name: value for name, value in state.items() if name != TAKEN}
        x, own, why = self._optimizer.step(x, own, evaluate)
        return x, own | {TAKEN: np.array(taken + 1)}, why


def _check_rate(found: Found, lr: float | None, schedule: Schedule | None) -> None:
    if found.rate is None:
        _refuse(lr, f"{found.target} has no rate: leave lr out")
        _refuse(schedule, f"{found.target} has no rate that could follow a schedule")
    elif lr is None and found.known[found.rate] is inspect.Parameter.empty:
        raise SettingsError(f"{found.target} needs a rate: lr=...")
    if lr is None:
        _refuse(schedule, f"a schedule is a factor on the rate: give {found.target} one with lr=")


def _refuse(value: Any, why: str) -> None:
    if value is not None:
        raise SettingsError(why)


def _is_keras(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, keras.optimizers.Optimizer)


def _is_transformation(thing: Any) -> bool:
    """Whether `thing` is what optax calls a gradient transformation (not a class of them)."""
    has = all(callable(getattr(thing, name, None)) for name in ("init", "update"))
    return has and not isinstance(thing, type)


def _like(default: Any, value: Any) -> Any:
    """`value` from a YAML file as the signature's default has it: a tuple where that is one."""
    return tuple(value) if isinstance(default, tuple) and isinstance(value, list) else value
