"""Settings of a visualisation: its own few, and all the main command's.

`conf/visualize/<command>.yaml` holds the defaults. What a command does not have itself is a main
setting (`content=`, `size=`, `extractor=`, `weights=`, ...) and means what it means there.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any

from omegaconf import OmegaConf
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nstbench import errors
from nstbench.files import conf_dir
from nstbench.settings import compose, hints, inputs, values
from nstbench.settings.model import Settings


class Options(BaseModel):
    """What every command has: other defaults of main settings, as on a command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    settings: list[str] = []

    def named_layers(self) -> Sequence[str]:
        return ()


class Features(Options):
    """`features`: `count` channels of `layer` from channel `first` on."""

    layer: str | None
    first: Annotated[int, Field(ge=0)]
    count: Annotated[int, Field(ge=1)]

    def named_layers(self) -> Sequence[str]:
        return () if self.layer is None else (self.layer,)


class Reconstruct(Options):
    """`reconstruct content` and `reconstruct style`: a column per layer, a row per pooling.

    `term` is the one term of the objective, but for its layers and its weight.
    """

    layers: Annotated[list[str], Field(min_length=1)] | None
    poolings: Annotated[list[str], Field(min_length=1)]
    steps: Annotated[int, Field(ge=1)]
    term: dict[str, Any]

    def named_layers(self) -> Sequence[str]:
        return self.layers or ()


OPTIONS: Mapping[str, type[Options]] = MappingProxyType(
    {
        "layers": Options,
        "filters": Options,
        "features": Features,
        "reconstruct_content": Reconstruct,
        "reconstruct_style": Reconstruct,
    }
)


def resolve(command: str, arguments: Sequence[str]) -> tuple[Any, Settings]:
    """The command's own options and the main settings, from `name=value` arguments.

    Raises `SettingsError`, in one line, for an unknown name or a value of the wrong kind, and for
    what is not there as far as that is seen without a framework.
    """
    own_names = set(OPTIONS[command].model_fields) - {"settings"}
    own, rest = {}, []
    for argument in arguments:
        key, text = values.split(argument)
        if key in own_names:
            own[key] = values.read(key, text)
        else:
            rest.append(argument)
            _check_name(key, own_names)
    defaults = OmegaConf.load(conf_dir() / "visualize" / f"{command}.yaml")
    try:
        options = OPTIONS[command].model_validate(OmegaConf.to_container(defaults) | own)
    except ValidationError as error:
        raise hints.invalid(error) from None
    settings = compose.resolve([*options.settings, *rest])
    inputs.check(settings)
    inputs.check_layers(settings.extractor.name, options.named_layers())
    return options, settings


def _check_name(key: str, own_names: set[str]) -> None:
    """A slip may mean an option of this command, which the main settings do not know."""
    main = set(OmegaConf.load(conf_dir() / "config.yaml")) - {"defaults"}
    known = {*own_names, *main, *values.GROUPS, values.CONFIG_DIR}
    if key.partition(".")[0] not in known:
        raise errors.unknown("setting", key, known)
