"""What a `target:` from outside can be told: its hyperparameters, their defaults, and its rate.

Only what no built-in YAML file describes is looked at here, for it has to be imported.
"""

import functools
import inspect
import math
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from nstbench import outside
from nstbench.errors import SettingsError

BACKEND_OF = {"optax": "jax", "torch": "torch"}  # packages that work on one backend alone


@dataclass(frozen=True)
class Hyperparameters:
    """`defaults` by name, without the rate; `inspect.Parameter.empty` where there is none.

    `inherited` are names that a class hands on to its base: they can be given, but have no default
    here, for the class may fix them.
    """

    defaults: dict[str, Any]
    inherited: frozenset[str]
    rate: str | None  # the keyword of the rate
    rate_default: Any
    takes_any: bool  # it passes on other options, too

    @property
    def needs_rate(self) -> bool:
        return self.rate is not None and self.rate_default is inspect.Parameter.empty


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
    _check_there(target)
    from nstbench.optimizers import find  # brings Keras, which `target` is likely to want

    found = find.look_up(target)
    known = dict(found.known)
    default = known.pop(found.rate) if found.rate else None
    own = outside.parameters(found.thing) if isinstance(found.thing, type) else found.known
    inherited = frozenset(known) - frozenset(own)
    return Hyperparameters(known, inherited, found.rate, default, found.takes_any)


def _check_there(target: str) -> None:
    """Raise for a file or a package that is missing, before anything is imported."""
    file, package = outside.file_of(target), target.partition(".")[0]
    if file is not None and not file.is_file():
        raise SettingsError(f"there is no file {file}")
    if file is None and find_spec(package) is None:
        raise SettingsError(f"{target}: the package {package} is not installed")


def whole_options(target: str, options: dict[str, Any], known: Hyperparameters) -> dict[str, Any]:
    """`options` with the defaults of the signature, as plain data.

    Raises `SettingsError` for a name that is none of its hyperparameters, and where one without a
    default is not given. Defaults that are no plain data (a function, say) stay the signature's.
    """
    if known.rate in options:
        raise SettingsError(f"optimizer.{known.rate}: the rate of {target} is given as lr=...")
    extra = options if known.takes_any else {}
    # What is only inherited has a default that counts as none, so that it is never missing.
    defaults = known.defaults | dict.fromkeys(known.inherited)
    whole = outside.check_options(target, options, extra | defaults)
    kept = {n: v for n, v in whole.items() if n in options or n not in known.inherited}
    return {n: _bare(v) for n, v in kept.items() if n in options or is_plain(v)}


def source(target: str) -> dict[str, str]:
    """`outside.source`, asked once in a process for what is installed."""
    return outside.source(target) if outside.file_of(target) else dict(_installed(target))


@functools.cache
def _installed(target: str) -> dict[str, str]:
    if target.startswith("nstbench."):  # in a checkout, too, and without importing it
        return {"distribution": "nstbench", "version": metadata.version("nstbench")}
    return outside.source(target)


def is_plain(value: Any) -> bool:
    """Whether JSON can hold it and give it back."""
    if isinstance(value, dict):
        return all(isinstance(k, str) and is_plain(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int | str)


def _bare(value: Any) -> Any:
    """Tuples as the lists that they are in a record, NumPy's floats as floats."""
    if isinstance(value, list | tuple):
        return [_bare(each) for each in value]
    return float(value) if isinstance(value, float) else value
