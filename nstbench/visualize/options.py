"""Settings of a visualisation: its own few, and all the main command's.

`conf/visualize/<command>.yaml` holds the defaults. What a command does not have itself is a main
setting (`content=`, `size=`, `extractor=`, `weights=`, ...) and means what it means there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nstbench import errors
from nstbench.settings import config


@dataclass
class Layers:
    """`layers`."""

    settings: list[str] = field(default_factory=list)


@dataclass
class Filters:
    """`filters`."""

    settings: list[str] = field(default_factory=list)


@dataclass
class Features:
    """`features`: `count` channels of `layer` from channel `first` on."""

    layer: str | None
    first: int
    count: int
    settings: list[str] = field(default_factory=list)


@dataclass
class Reconstruct:
    """`reconstruct content` and `reconstruct style`: a column per layer, a row per pooling."""

    layers: list[str]
    poolings: list[str | None]
    steps: int
    settings: list[str] = field(default_factory=list)


OPTIONS = {
    "layers": Layers, "filters": Filters, "features": Features,
    "reconstruct_content": Reconstruct, "reconstruct_style": Reconstruct,
}  # fmt: skip


def resolve(command: str, arguments: Sequence[str]) -> tuple[Any, config.Settings]:
    """The command's own options and the main settings, from `name=value` arguments.

    Raises `SettingsError`, in one line, for an unknown name or a value of the wrong kind.
    """
    shape = OPTIONS[command]
    own_names = {each.name for each in fields(shape)} - {"settings"}
    own = [a for a in arguments if a.split("=", 1)[0] in own_names and "=" in a]
    rest = [a for a in arguments if a not in own]
    _check_names(rest, own_names)
    options = _typed(shape, command, own)
    return options, config.resolve([*options.settings, *_any_network(rest)])


def _typed(shape: type, command: str, own: Sequence[str]) -> Any:
    defaults = OmegaConf.load(config.conf_dir() / "visualize" / f"{command}.yaml")
    try:
        given = OmegaConf.from_dotlist(list(own))
        options = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(shape), defaults, given))
    except OmegaConfBaseException as error:
        text = str(error).splitlines()[0]
        raise errors.SettingsError(f"{getattr(error, 'full_key', command)}: {text}") from None
    least = {"first": 0, "count": 1, "steps": 1}
    errors.check_least(options, {n: bound for n, bound in least.items() if hasattr(options, n)})
    return options


def _check_names(arguments: Sequence[str], own_names: set[str]) -> None:
    known = own_names | {each.name for each in fields(config.Settings)} | set(config.GROUPS)
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if not equals:
            raise errors.SettingsError(f"cannot read {argument!r}; settings look like size=256")
        if name.split(".")[0] not in known:
            raise errors.unknown("setting", name, known)


def _any_network(arguments: Sequence[str]) -> list[str]:
    """`extractor=resnet50` for networks without a YAML of their own: here no layers are needed."""
    chosen = []
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name == "extractor" and value not in config.choices("extractor"):
            chosen += ["extractor=inception_v3", f"extractor.name={value}"]
        else:
            chosen.append(argument)
    return chosen
