"""What a `target:` from outside has for hyperparameters: names, defaults, and which is the rate.

Only what is not described by a built-in YAML file is looked at here, for it has to be imported.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from nstbench import errors, outside
from nstbench.errors import SettingsError

RATES = ("learning_rate", "lr", "step_size", "max_lr", "max_learning_rate")
BACKEND_OF = {"optax": "jax", "torch": "torch"}  # packages that work on one backend alone

# Arguments that are the problem's and the harness's, never a person's.
_NOT_OPTIONS = (
    *("fun", "func", "x0", "args", "jac", "grad", "hess", "hessp", "bounds", "constraints"),
    *("callback", "disp", "iprint", "return_all", "mesg_num", "verbose", "workers"),
    *("finite_diff_rel_step", "maxiter", "maxfun", "maxfev", "params", "name"),
)


@dataclass(frozen=True)
class Hyperparameters:
    """`defaults` by name, without the rate; `inspect.Parameter.empty` where there is none."""

    defaults: dict[str, Any]
    rate: str | None = None  # the keyword of the rate
    rate_default: float | None = None
    takes_any: bool = False  # the signature ends with **options


def check_backend(target: str, backend: str) -> None:
    """`SettingsError` where `target` belongs to a library of another backend."""
    package = target.partition(".")[0] if outside.file_of(target) is None else ""
    needed = BACKEND_OF.get(package, backend)
    if needed != backend:
        name = "torch.optim" if package == "torch" else package
        raise SettingsError(f"{name} needs KERAS_BACKEND={needed}")


def hyperparameters(target: str) -> Hyperparameters:
    """What `target`, a class, a function or `scipy.<method>`, can be told.

    Raises `SettingsError`, in one line, for what cannot be found or called.
    """
    method = scipy_method(target)
    found = method or _located(target)
    if not callable(found):
        raise SettingsError(f"{target} is {type(found).__name__}, not a class or a function")
    known = outside.parameters(found)
    known = {name: value for name, value in known.items() if name not in _NOT_OPTIONS}
    rate = next((name for name in RATES if name in known), None) if method is None else None
    default = known.pop(rate) if rate else None
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    return Hyperparameters(
        known, rate, float(default) if is_number else None,
        method is None and outside.takes_any(found),
    )  # fmt: skip


def _located(target: str) -> Any:
    import nstbench.engine  # noqa: F401 - the first import of Keras is this one, not the target's

    return outside.locate(target)


def scipy_method(target: str) -> Callable | None:
    """The function behind `scipy.<method>`, a method of `scipy.optimize.minimize`.

    None for another target. Raises `SettingsError` for a method that SciPy does not have.
    """
    package, _, method = target.partition(".")
    if package != "scipy" or "." in method or ":" in method:
        return None
    from scipy.optimize import _minimize

    methods = {_plain(name): name for name in _minimize.MINIMIZE_METHODS}
    if _plain(method) not in methods:
        raise errors.unknown("method of scipy.optimize.minimize", method, methods.values())
    name = _plain(methods[_plain(method)])
    functions = {_plain(each): value for each, value in vars(_minimize).items()}
    # Named after their methods, or with "trust" written out.
    longer = name.replace("trust", "trustregion")
    return functions.get(f"minimize{name}") or functions[f"minimize{longer}"]


def whole_options(target: str, options: dict[str, Any], known: Hyperparameters) -> dict[str, Any]:
    """`options` with the defaults of the signature, as plain data.

    Raises `SettingsError` for a name that is none of its hyperparameters, and where one without a
    default is not given. Defaults that are no plain data (a function, say) stay the signature's.
    """
    if known.rate in options:
        raise SettingsError(f"optimizer.{known.rate}: the rate of {target} is given as lr=...")
    extra = options if known.takes_any else {}
    whole = outside.check_options(target, options, known.defaults | extra)
    return {n: _bare(v) for n, v in whole.items() if n in options or _is_plain(v)}


def source(target: str) -> dict[str, str]:
    """`outside.source`, asked once in a process for what is installed."""
    return outside.source(target) if outside.file_of(target) else dict(_installed(target))


@functools.cache
def _installed(target: str) -> dict[str, str]:
    if target.startswith("nstbench."):  # in a checkout, too, and without importing it
        return {"distribution": "nstbench", "version": metadata.version("nstbench")}
    return outside.source(target)


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _is_plain(value: Any) -> bool:
    """Whether JSON can hold it and give it back."""
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int | str)


def _bare(value: Any) -> Any:
    """Tuples as the lists that they are in a record, NumPy's floats as floats."""
    if isinstance(value, list | tuple):
        return [_bare(each) for each in value]
    return float(value) if isinstance(value, float) else value
