"""What a setting names by path: found, checked against its signature, and told apart.

`mylab.optim.MyAdam` is an attribute of an importable module, `./my_opt.py:MyAdam` one of a file.
"""

import hashlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Collection, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from nstbench import errors
from nstbench.errors import SettingsError

RATES = ("learning_rate", "lr", "step_size", "max_lr", "max_learning_rate")  # a rate's keywords
# Settings of a section that name code, and under which key an identity tells its source.
CODE = {"target": "source", "statistic": "source_of_statistic"}


def is_path(name: str) -> bool:
    """Whether `name` is a dotted path or a file's, and not the name of something built in."""
    return "." in name or ":" in name or "/" in name


def file_of(target: str) -> Path | None:
    """The file of `./my_opt.py:MyAdam`; None for a dotted path."""
    path, colon, _ = target.rpartition(":")
    return Path(path).expanduser() if colon and path.endswith(".py") else None


def locate(target: str) -> Any:
    """The object that `target` names, its module imported (once in a process).

    Raises `SettingsError`, in one line, for a file or package that is not there, a module that
    raises, and a name that it does not hold.
    """
    file = file_of(target)
    if file is None:
        return _from_module(target)
    module = _load_file(file)
    return _attribute(module, target.rpartition(":")[2], target)


def source(target: str) -> dict[str, str]:
    """What tells one implementation from another of the same name.

    `{"distribution", "version"}` where an installed package holds it, else `{"file", "sha256"}`
    of the file that defines it. Nothing is imported for a dotted path below an installed package.
    """
    file = file_of(target)
    if file is None:
        top = target.partition(".")[0]
        names = metadata.packages_distributions().get(top)
        if names:
            return {"distribution": names[0], "version": metadata.version(names[0])}
        file = _source_of(target)
    if not file.is_file():
        raise SettingsError(f"{target}: there is no file {file}")
    return {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def source_file(target: str) -> Path | None:
    """The file that defines `target` where it belongs to no installed package, to be kept."""
    file = file_of(target)
    if file is None and "sha256" in source(target):
        file = _source_of(target)
    return file


def parameters(function: Callable) -> dict[str, Any]:
    """Names of the parameters that can be given by keyword, with defaults (`inspect._empty`: none).

    Raises `SettingsError` where there is no signature to read.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise SettingsError(f"{function!r} has no signature to read") from None
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    named = {n: p.default for n, p in signature.parameters.items() if p.kind in kinds}
    named.pop("self", None)
    return named


def takes_any(function: Callable) -> bool:
    """Whether the signature ends with `**options`."""
    kinds = [p.kind for p in inspect.signature(function).parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds


def check_options(
    target: str,
    options: Mapping[str, Any],
    known: Mapping[str, Any],
    given_elsewhere: Collection = (),
) -> dict[str, Any]:
    """`options` with the defaults of all parameters `known` that they leave out.

    Raises `SettingsError` for an option that is no parameter (with the nearest name), and for a
    parameter without default that is neither given nor in `given_elsewhere`.
    """
    for name in options:
        if name not in known or name in given_elsewhere:
            choices = sorted(set(known) - set(given_elsewhere))
            raise errors.unknown(f"option of {target}", name, choices)
    whole = {name: default for name, default in known.items() if name not in given_elsewhere}
    whole |= options
    missing = [name for name, value in whole.items() if value is inspect.Parameter.empty]
    if missing:
        raise SettingsError(f"{target} needs {', '.join(missing)}")
    return whole


def _from_module(target: str) -> Any:
    top = target.partition(".")[0]
    if importlib.util.find_spec(top) is None:
        raise SettingsError(f"{target}: the package {top} is not installed")
    try:
        return pkgutil.resolve_name(target)
    except AttributeError as error:
        owner, _, name = target.rpartition(".")
        holder = pkgutil.resolve_name(owner)
        raise errors.unknown(f"name in {owner}", name, _public(holder)) from error
    except ValueError:
        raise SettingsError(
            f"cannot read {target!r}; a path looks like package.module.Name"
        ) from None
    except Exception as error:
        raise _broken(target, error) from error


def _load_file(file: Path):
    """The module in `file`, executed once; its name is the file's digest, so two never mix."""
    if not file.is_file():
        raise SettingsError(f"there is no file {file}")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    name = f"nstbench_outside_{file.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # as for every .py file
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _broken(str(file), error) from error
    return module


def _attribute(module: Any, name: str, target: str) -> Any:
    value = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise errors.unknown(f"name in {target.rpartition(':')[0]}", name, _public(module))
        value = getattr(value, part)
    return value


def _public(holder: Any) -> list[str]:
    return [name for name in dir(holder) if not name.startswith("_")]


def _source_of(target: str) -> Path:
    file = inspect.getsourcefile(sys.modules[locate(target).__module__])
    if file is None:
        raise SettingsError(f"{target} has no source file that could be kept")
    return Path(file)


def _broken(what: str, error: Exception) -> SettingsError:
    text = " ".join(str(error).split())
    return SettingsError(f"{what} cannot be imported: {type(error).__name__}: {text}")
