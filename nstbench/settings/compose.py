"""From `conf/` and `name=value` arguments to the frozen settings of one run.

Hydra composes what the groups choose (`optimizer=adam`, `experiment=gatys_paper`), once for each
combination of choices. All other values are laid over that as plain data: no interpolation acts on
what stands on a command line or in a file's name.
"""

import copy
import functools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from nstbench import errors, outside
from nstbench.arguments import CONFIG_DIR
from nstbench.errors import SettingsError
from nstbench.files import conf_dir
from nstbench.networks.names import DEFAULT_LAYERS, application_names, is_application
from nstbench.pictures import images
from nstbench.settings import hints, sections, values
from nstbench.settings.model import ObjectiveSettings, Settings
from nstbench.settings.values import GROUPS

BACKENDS = ("tensorflow", "jax", "torch")  # of `KERAS_BACKEND`
FROM_OUTSIDE = ("optimizer", "schedule", "extractor")  # groups that a path can stand for
TERM_KEYS = ("target", "weight", "layers")


@dataclass(frozen=True)
class Given:
    """What a command line says: whose YAML files, which choices, which values."""

    folders: tuple[str, ...]
    groups: dict[str, str]
    values: dict[str, Any]  # by dotted key


def resolve(arguments: Sequence[str]) -> Settings:
    """Settings of one run from arguments such as `["optimizer=adam", "lr=0.02"]`.

    `--config-dir=DIR` among them adds a person's own YAML files. Raises `SettingsError`, in one
    line, for whatever cannot be read or run.
    """
    given = read(arguments)
    backend = _backend()
    tree, chosen = _composed(given)
    for key, value in given.values.items():
        _lay(tree, key, value, given.values)
    if tree["keep_aspect"] is None:
        tree["keep_aspect"] = not images.is_builtin(tree["content"])
    rate = given.values.get("lr", given.values.get("optimizer.lr"))
    optimizer, lr = sections.optimizer(
        tree.pop("optimizer"), chosen["optimizer"], backend, rate, tree.pop("lr")
    )
    schedule = sections.schedule(tree.pop("schedule"), chosen["schedule"])
    if schedule.target is not None and lr is None:
        raise SettingsError(f"{optimizer.target} has no rate that schedule={schedule.name} changes")
    terms = _terms(tree.pop("objective"), chosen["objective"])
    if chosen["extractor"].is_outside:
        _ask_for_layers(terms, given.values)
    try:
        made = tree | {
            "optimizer": optimizer,
            "lr": lr,
            "schedule": schedule,
            "objective": ObjectiveSettings(name=chosen["objective"].name, terms=terms),
            "extractor": sections.extractor(tree["extractor"], chosen["extractor"]),
            "style": _listed(tree["style"]),
            "experiment": given.groups.get("experiment"),
            "backend": backend,
            "command": tuple(arguments),
        }
        checked = Settings.model_validate(made)
    except ValidationError as error:
        raise hints.invalid(error) from None
    return checked.model_copy(update={"epochs": _epochs(checked, "epochs" in given.values)})


def _epochs(settings: Settings, are_given: bool) -> int:
    """Scaled; as many as a budget of evaluations could last where it stands in their place."""
    if settings.evaluations is not None and not are_given:
        return math.ceil(settings.evaluations / settings.steps_per_epoch)
    return max(1, round(settings.epochs * settings.epochs_scale))


def read(arguments: Sequence[str]) -> Given:
    """The arguments parted into folders, choices and values; the last of a key wins."""
    folders: list[str] = []
    groups: dict[str, str] = {}
    found: dict[str, Any] = {}
    for argument in arguments:
        key, text = values.split(argument)
        value = values.read(key, text)
        if key == CONFIG_DIR:
            folders.append(value)
        elif key in GROUPS:
            groups[key] = value
        else:
            found[key] = value
    if groups.get("experiment") == "null":
        del groups["experiment"]
    return Given(tuple(map(checked_folder, folders)), groups, found)


def reference(settings: Settings) -> Settings:
    """The same pictures under the default objective and network, which measure every run alike.

    Equal to `settings` where a run's own objective is the default one. Random weights stay random:
    whoever has no others must not need them at the end.
    """
    default = resolve([])
    weights = settings.weights if settings.weights == "random" else default.weights
    return settings.model_copy(
        update={
            "objective": default.objective, "extractor": default.extractor, "weights": weights,
        }
    )  # fmt: skip


def choices(group: str, folders: Sequence[str] = ()) -> list[str]:
    """Names that a group of `conf/` offers, e.g. every `optimizer`; those of `folders`, too."""
    return sorted({name for root in (conf_dir(), *folders) for name in _names(str(root), group)})


def checked_folder(folder: str) -> str:
    """The absolute path of a person's own folder of YAML files.

    Raises `SettingsError` where it is none, or a file has the name of a built-in one.
    """
    path = Path(folder).expanduser().absolute()
    if not path.is_dir():
        raise SettingsError(f"{CONFIG_DIR} {folder}: there is no such folder")
    for group in (*GROUPS, "suite"):
        same = set(_names(str(path), group)) & set(_names(str(conf_dir()), group))
        if same:
            where = f"{folder}/{group}/{min(same)}.yaml"
            raise SettingsError(f"{where} has the name of a built-in one; choose another")
    return str(path)


@functools.cache
def _names(root: str, group: str) -> tuple[str, ...]:
    return tuple(path.stem for path in Path(root, group).glob("*.yaml"))


def _composed(given: Given) -> tuple[dict[str, Any], dict[str, sections.Choice]]:
    """The tree that the groups compose, and what each of them chose.

    An experiment's settings of an optimizer (its rate, too) are for the one that it names: they
    are left out where the command line chooses another.
    """
    _check_choices(given)
    roots = (str(conf_dir()), *given.folders)
    groups = tuple(sorted(given.groups.items()))
    tree, chosen = _base(groups, roots)
    own = given.groups.get("optimizer")
    if own is not None and "experiment" in given.groups:
        rest = tuple(pair for pair in groups if pair[0] != "optimizer")
        if _base(rest, roots)[1]["optimizer"] != own:
            alone, _ = _base((("optimizer", own),), roots)
            tree = tree | {"optimizer": alone["optimizer"], "lr": alone["lr"]}
    made = {group: _choice(group, name, roots) for group, name in chosen.items()}
    return copy.deepcopy(tree), made


@functools.cache
def _choice(group: str, name: str, roots: tuple[str, ...]) -> sections.Choice:
    from_outside = _is_outside(group, name, roots[1:])
    if from_outside or name not in choices(group, roots[1:]):
        return sections.Choice(name, False, from_outside)
    keys = _base(((group, name),), roots)[0][group] or {}
    return sections.Choice(name, name in _names(roots[0], group), False, frozenset(keys))


def _check_choices(given: Given) -> None:
    for group, name in given.groups.items():
        if _is_outside(group, name, given.folders):
            continue
        offered = choices(group, given.folders)
        if name not in offered:
            near = application_names() if group == "extractor" else ()
            raise errors.unknown(group, name, {*offered, *near})


def _is_outside(group: str, name: str, folders: Sequence[str]) -> bool:
    """Whether a choice needs no YAML file: a path, or a network of Keras by its name."""
    if name in choices(group, folders):
        return False
    is_network = group == "extractor" and is_application(name)
    return is_network or (group in FROM_OUTSIDE and outside.is_path(name))


@functools.cache
def _base(
    groups: tuple[tuple[str, str], ...], roots: tuple[str, ...]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Hydra's composition of `config.yaml` under these choices, as plain data, and the choices.

    `roots` are `conf/` and the person's own folders.
    """
    folders = roots[1:]
    overrides = [
        f"~{group}" if _is_outside(group, name, folders) else f"{group}={name}"
        for group, name in groups
    ]
    if folders:
        paths = ",".join(values.quoted(f"file://{folder}") for folder in folders)
        overrides.append(f"hydra.searchpath=[{paths}]")
    try:
        with initialize_config_dir(roots[0], version_base="1.3", job_name="nstbench"):
            composed = compose("config", overrides, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise SettingsError(" ".join(str(error).split())) from None
    chosen = dict(composed.hydra.runtime.choices) | dict(groups)
    OmegaConf.set_struct(composed, False)
    del composed["hydra"]
    tree: Any = OmegaConf.to_container(composed, resolve=False)
    for group in FROM_OUTSIDE:
        if _is_outside(group, chosen[group], folders):
            tree[group] = {}  # what an experiment says there is for the one that it names
    return tree, {group: chosen[group] for group in GROUPS if group != "experiment"}


def _lay(tree: dict[str, Any], key: str, value: Any, given: dict[str, Any]) -> None:
    """Put `value` at the dotted `key`; `SettingsError` where there is no such setting.

    The options of a method are checked later, against what it has. A new term of the objective
    needs a target.
    """
    *path, last = key.split(".")
    if not path:
        if key not in tree or key in GROUPS:
            raise hints.unknown_key(key, tree, GROUPS)
        tree[key] = value
        return
    section = tree.get(path[0])
    if path[0] not in GROUPS or not isinstance(section, dict):
        raise hints.unknown_key(key, tree, GROUPS)
    if path[0] == "objective":
        _lay_term(section, key, value, given)
    elif len(path) == 1:
        section[last] = value
    else:
        raise hints.unknown_key(key, tree, GROUPS)


def _lay_term(terms: dict[str, Any], key: str, value: Any, given: dict[str, Any]) -> None:
    """One setting of the objective: `objective.style=null`, `objective.style.weight=1e-3`."""
    _, name, *rest = key.split(".")
    term = terms.get(name)
    if not rest and (value is None or isinstance(value, dict)):
        terms[name] = None if value is None else (term or {}) | value
        return
    target = given.get(f"objective.{name}.target", (term or {}).get("target"))
    known = {*TERM_KEYS, *(term or {})}
    if len(rest) != 1 or target is None or (rest[0] not in known and not outside.is_path(target)):
        whole = {n: dict.fromkeys(TERM_KEYS) | t for n, t in terms.items() if t}
        raise hints.unknown_key(key, {"objective": whole}, GROUPS)
    terms[name] = (term or {}) | {rest[0]: value}


def _terms(terms: dict[str, Any], objective: sections.Choice) -> dict[str, dict[str, Any]]:
    """The terms that are there: what a network's YAML says of one that the objective lacks is
    meant for another objective."""
    present = {name: term for name, term in terms.items() if term is not None}
    return {n: t for n, t in present.items() if "target" in t or n in objective.keys}


def _ask_for_layers(terms: dict[str, dict[str, Any]], given: dict[str, Any]) -> None:
    """The objective's layers are another network's: take those that suit, where none are given."""
    for name, term in terms.items():
        if term.get("layers") and f"objective.{name}.layers" not in given:
            term["layers"] = [DEFAULT_LAYERS]


def _listed(style: Any) -> Any:
    return (style,) if isinstance(style, str) else style


def _backend() -> str:
    """The backend that Keras will start with; whether it can is seen without importing it."""
    name = os.environ.get("KERAS_BACKEND", "tensorflow")
    if name not in BACKENDS:
        raise errors.unknown("KERAS_BACKEND", name, BACKENDS)
    if find_spec(name) is None:
        raise SettingsError(f"KERAS_BACKEND={name}: the package {name} is not installed")
    return name
