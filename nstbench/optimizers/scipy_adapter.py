"""SciPy's minimisers, and callables of the form that `scipy.optimize.minimize(method=...)` takes.

Such a method calls us, while the harness wants to call it step by step; so it runs in a thread of
its own that waits whenever it needs an evaluation or has finished an iteration. Only one of the two
threads ever runs. What it holds cannot be saved: an interrupted run repeats itself.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import psutil
from keras import ops

from nstbench import errors, outside
from nstbench.errors import NstbenchError, SettingsError
from nstbench.optimizers.conversation import Conversation, Ended

NO_LIMIT = 2**31 - 1  # the harness's epochs are the budget
LIMITS = ("maxiter", "maxfun", "maxfev")
# What SciPy hands to a method, and options that only print, keep a history or start processes.
ARGUMENTS = (
    *("fun", "func", "x0", "args", "jac", "grad", "hess", "hessp", "bounds", "constraints"),
    *("callback", "disp", "iprint", "return_all", "mesg_num", "verbose", "workers"),
    "finite_diff_rel_step",
)
GRADIENT_FREE = ("nelder-mead", "powell", "cobyla", "cobyqa")
DENSE = ("bfgs", "slsqp", "trust-constr", *GRADIENT_FREE)  # they hold n x n numbers
BOUNDED = ("l-bfgs-b", "tnc", "slsqp", "trust-constr", *GRADIENT_FREE)
NEED_HESSIAN = ("dogleg", "trust-ncg", "trust-exact", "trust-krylov")


def is_method(target: str) -> bool:
    """Whether `target` looks like `scipy.CG`; no name directly below SciPy is an optimizer."""
    return target.startswith("scipy.") and target.count(".") == 1


def is_minimiser(function: Any) -> bool:
    """Whether `function` has SciPy's custom-method form, `(fun, x0, args, **options)`."""
    if isinstance(function, type) or not callable(function):
        return False
    try:
        return list(inspect.signature(function).parameters)[:2] == ["fun", "x0"]
    except (TypeError, ValueError):
        return False


def method_options(target: str) -> dict[str, Any]:
    """The options of SciPy's method `target` with their defaults, by its own signature.

    Raises `SettingsError` for a method that SciPy does not have, and for one that needs a Hessian.
    """
    return _options(_implementation(_method(target)))


def minimiser_options(function: Callable) -> dict[str, Any]:
    """The options of a callable of SciPy's form: its named parameters with their defaults."""
    return _options(function)


def from_method(target: str, options: Mapping[str, Any], box: bool) -> "SciPyOptimizer":
    """The optimizer that `scipy.optimize.minimize` calls `target` (`scipy.CG`)."""
    method = _method(target)
    known = outside.parameters(_implementation(method))
    options = dict(options) | {name: NO_LIMIT for name in LIMITS if name in known}
    bounded = method in BOUNDED
    run = partial(_scipy, target, method, options, box and bounded)
    return SciPyOptimizer(
        target, run, box, bounded=bounded, steps_by_callback=True, dense=method in DENSE
    )


def from_minimiser(target: str, function: Callable, options: Mapping[str, Any], box: bool):
    """The optimizer that a callable of SciPy's custom-method form is.

    Where it names `callback`, a step is what it does between two calls of it. Where it does not,
    every evaluation is a step until it calls it, if ever, through its `**options`.
    """
    names = inspect.signature(function).parameters
    return SciPyOptimizer(
        target,
        partial(_custom, function, dict(options), box),
        box,
        bounded="bounds" in names,
        steps_by_callback="callback" in names,
    )


class SciPyOptimizer:
    """A minimiser that keeps its own loop; see `contract.Optimizer`.

    `run(ask, x0)` minimises from a float64 vector and calls `ask` for evaluations and at the end of
    iterations. With `box`, every point is evaluated inside [0, 1]: a method that takes no bounds
    minimises f(clip(x)), whose gradient is 0 where a pixel lies beyond a bound or is held by it.
    """

    resumable = False

    def __init__(
        self,
        name: str,
        run: Callable,
        box: bool,
        *,
        bounded: bool,
        steps_by_callback: bool,
        dense: bool = False,
    ):
        self._name, self._run, self._dense = name, run, dense
        self._box, self._free = box, box and not bounded
        self._steps_by_callback = steps_by_callback
        self._conversation = None

    def init(self, x) -> dict[str, Any]:
        self.close()
        self._shape, self._dtype = x.shape, keras.backend.standardize_dtype(x.dtype)
        start = np.array(ops.convert_to_numpy(x), np.float64).ravel()
        if self._dense:
            _check_memory(self._name, start.size)
        self._conversation = Conversation(partial(self._run, x0=start))
        self._event = None  # the question that is still to be answered
        self._whole = self._steps_by_callback  # whether a step goes on until the callback
        self._place = x
        self._best = np.inf
        return {}

    def step(self, x, state, evaluate):
        """Answer the method until it has finished an iteration; x is where it stands then."""
        self._iterated = False
        try:
            event = self._event or self._next()
            if isinstance(event, Ended) and not event.error:
                raise NstbenchError(f"{self._name} has returned without an evaluation")
            while not isinstance(event, Ended):
                evaluation, answer = self._evaluate(event.x, evaluate)
                if not evaluation.is_finite:
                    self._conversation.stop()
                    return self._image(event.x), {}, "the loss is not finite"
                event = self._next(answer)
                if self._iterated or not self._whole:
                    break
        except BaseException:
            self._conversation.stop()
            raise
        self._event = event
        return self._place, {}, self._ended(event) if isinstance(event, Ended) else None

    def close(self) -> None:
        """End the method's thread, wherever it waits."""
        if self._conversation:
            self._conversation.stop()

    def _next(self, answer=None):
        """The method's next question, or its end; iterations that it finishes before are noted."""
        event = self._conversation.resume(answer)
        while isinstance(event, _Iterated):
            self._iterated = self._whole = True
            self._place = self._image(event.x)
            event = self._conversation.resume()
        return event

    def _evaluate(self, point: np.ndarray, evaluate):
        x = self._image(point)
        evaluation, gradient = evaluate(x)
        gradient = np.asarray(ops.convert_to_numpy(gradient), np.float64).ravel()
        if self._free:
            gradient = gradient * _free(point, gradient)
        if not self._whole and evaluation.loss < self._best:
            self._place, self._best = x, evaluation.loss
        return evaluation, (evaluation.loss, gradient)

    def _image(self, point: np.ndarray):
        inside = np.clip(point, 0.0, 1.0) if self._box else point
        return ops.convert_to_tensor(inside.reshape(self._shape), dtype=self._dtype)

    def _ended(self, event: Ended) -> str:
        """Why the method has ended, and its result as the place where it stands."""
        if event.error:
            text = " ".join(str(event.error).split())
            kind = type(event.error).__name__
            raise NstbenchError(f"{self._name} raised {kind}: {text}") from event.error
        found = getattr(event.result, "x", None)
        if self._whole and found is not None:
            self._place = self._image(np.asarray(found))
        return str(getattr(event.result, "message", None) or f"{self._name} has returned")


@dataclass(frozen=True)
class _Wanted:
    """A method wants the loss and gradient at `x`."""

    x: np.ndarray


@dataclass(frozen=True)
class _Iterated:
    """A method has finished an iteration at `x`."""

    x: np.ndarray


class _Function:
    """The objective as SciPy calls it: value and gradient at one point are one evaluation.

    Whoever asks for the value at the same point again has it evaluated again.
    """

    def __init__(self, ask: Callable):
        self._ask = ask
        self._x = None
        self._left: dict[str, Any] = {}  # what is known at x and has not been asked for

    def value(self, x, *args) -> float:
        return self._at(x, "value")

    def gradient(self, x, *args) -> np.ndarray:
        return self._at(x, "gradient")

    def iterated(self, *args, intermediate_result=None, **kwargs) -> None:
        self._ask(_Iterated(_vector(args[0] if args else intermediate_result.x)))

    def _at(self, x, part: str):
        point = _vector(x)
        if part not in self._left or not np.array_equal(point, self._x):
            loss, gradient = self._ask(_Wanted(point))
            self._x, self._left = point, {"value": loss, "gradient": gradient}
        return self._left.pop(part)


def _vector(x) -> np.ndarray:
    return np.array(x, np.float64).ravel()


def _scipy(target: str, method: str, options, bounded: bool, ask, x0):
    from scipy import optimize  # a third of a second, which every other optimizer is spared

    function = _Function(ask)
    bounds = optimize.Bounds(np.zeros_like(x0), np.ones_like(x0)) if bounded else None
    jac = None if method in GRADIENT_FREE else function.gradient
    return optimize.minimize(
        function.value, x0, jac=jac, method=method, bounds=bounds,
        callback=function.iterated, options=options,
    )  # fmt: skip


def _custom(minimiser: Callable, options, bounded: bool, ask, x0):
    from scipy import optimize

    function = _Function(ask)
    bounds = optimize.Bounds(np.zeros_like(x0), np.ones_like(x0)) if bounded else None
    offered = {
        "args": (), "jac": function.gradient, "hess": None, "hessp": None, "bounds": bounds,
        "constraints": (), "callback": function.iterated,
    }  # fmt: skip
    if not outside.takes_any(minimiser):
        names = inspect.signature(minimiser).parameters
        offered = {name: value for name, value in offered.items() if name in names}
    return minimiser(function.value, x0, **offered, **options)


def _free(point: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Where f(clip(x)) changes along -gradient: inside the box, or on a bound that lets go."""
    inside = (point > 0) & (point < 1)
    return inside | ((point == 0) & (gradient < 0)) | ((point == 1) & (gradient > 0))


def _method(target: str) -> str:
    name = target.removeprefix("scipy.").lower()
    if name in NEED_HESSIAN:
        raise SettingsError(f"{target} needs second derivatives, which there are none of here")
    known = _catalogue().MINIMIZE_METHODS
    if name not in known:
        methods = set(known) - set(NEED_HESSIAN)
        raise errors.unknown("method of scipy.optimize.minimize", name, methods)
    return name


def _catalogue():
    from scipy.optimize import _minimize

    return _minimize


def _implementation(method: str) -> Callable:
    """SciPy's function for a method: `_minimize_neldermead`, `_minimize_trustregion_constr`."""
    for name, function in vars(_catalogue()).items():
        if name.startswith("_minimize_"):
            plain = name.removeprefix("_minimize_").replace("_", "").replace("region", "")
            if plain == method.replace("-", ""):
                return function
    raise SettingsError(f"this version of SciPy hides the options of {method}")


def _options(function: Callable) -> dict[str, Any]:
    found = outside.parameters(function)
    return {n: default for n, default in found.items() if n not in (*ARGUMENTS, *LIMITS)}


def _check_memory(name: str, size: int) -> None:
    needed, there = 8 * size**2, psutil.virtual_memory().available
    if needed > there:
        raise SettingsError(
            f"{name} holds {size} x {size} numbers: {needed / 2**30:.0f} GiB, and "
            f"{there / 2**30:.0f} GiB are free; use a smaller size or scipy.L-BFGS-B"
        )
