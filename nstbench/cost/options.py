"""What a command line asks for: the competitors, the problem, and how it is measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations, product
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nstbench import arguments as given
from nstbench import errors
from nstbench.cost.names import told_apart, with_rate
from nstbench.settings.model import Settings

VARIED = ("optimizer", "lr")  # settings that may have several values; their product competes


class Options(BaseModel):
    """See `conf/cost.yaml` for the meaning of each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    margin: float = Field(gt=0, lt=1)
    alpha: float = Field(gt=0, lt=0.5)
    minutes: float = Field(ge=0)
    pairs: Literal["all", "first"]
    sample_s: float = Field(ge=0)
    rounds: int = Field(ge=8)
    block_s: float = Field(ge=0)
    quietest: float = Field(gt=0, le=1)
    force: bool


@dataclass(frozen=True)
class Competitor:
    """An optimizer at a rate on the problem that all share; `key` tells it from every other."""

    key: str
    label: str
    settings: Settings


@dataclass(frozen=True)
class Request:
    """What is to be measured."""

    options: Options
    competitors: tuple[Competitor, ...]  # two or more, in the order given

    @property
    def pairs(self) -> list[tuple[Competitor, Competitor]]:
        """Those that are compared, in the order given."""
        if self.options.pairs == "first":
            return [(self.competitors[0], other) for other in self.competitors[1:]]
        return list(combinations(self.competitors, 2))

    @property
    def shared(self) -> Settings:
        """Settings of the problem: the first competitor's."""
        return self.competitors[0].settings


def read(arguments: Sequence[str]) -> Request:
    """Raises `SettingsError`, in one line, for whatever cannot be read or compared."""
    from nstbench.settings import compose, values

    known = set(Options.model_fields)
    own, rest, varied = {}, [], {}
    for argument in given.joined(arguments):
        if given.is_flag(argument):
            raise errors.SettingsError(f"cost has no option {argument}; see cost --help")
        key, text = values.split(argument)
        if key in known:
            own[key] = values.read(key, text)
        elif key in VARIED:
            varied[key] = values.alternatives(key, text, lambda: compose.choices("optimizer"))
        else:
            _check_name(key, known)
            rest.append(argument)
    several = [[f"{key}={text}" for text in dict.fromkeys(varied[key])] for key in varied]
    competitors = _competitors([compose.resolve([*each, *rest]) for each in product(*several)])
    if "optimizer" not in varied or len(competitors) < 2:
        raise errors.SettingsError(
            "cost compares optimizers or rates: optimizer=adam,adagrad or lr=0.02,0.001 (or both)"
        )
    return Request(_options(own), competitors)


def _check_name(key: str, own: set[str]) -> None:
    """A slip in one of the command's own names is not explained as one of a run's settings."""
    settings = set(Settings.model_fields)
    if "." in key or key in settings or key.startswith("-"):
        return
    if get_close_matches(key, own, n=1, cutoff=0.6):
        raise errors.unknown("setting", key, own | settings)


def _options(own: dict) -> Options:
    from omegaconf import OmegaConf

    from nstbench.files import conf_dir

    defaults = dict(OmegaConf.load(conf_dir() / "cost.yaml"))
    try:
        return Options.model_validate(defaults | own)
    except ValidationError as error:
        first = error.errors()[0]
        name, value = first["loc"][0], first["input"]
        raise errors.SettingsError(f"{name}={value}: {first['msg']}") from None


def _competitors(settings: Sequence[Settings]) -> tuple[Competitor, ...]:
    """Competitors with keys, each key once, and with labels that differ."""
    from nstbench.settings import identity

    by_key = {_key(each, identity): each for each in settings}
    names = [
        (each.optimizer.label, with_rate(each.optimizer.label, each.lr), each.optimizer.name, key)
        for key, each in by_key.items()
    ]
    return tuple(map(Competitor, by_key, told_apart(names), by_key.values()))


def _key(settings: Settings, identity) -> str:
    """`adam-1a2b3c4d`: the hash covers the method with its hyperparameters, rate and schedule."""
    whole = identity.identity(settings)
    method = {name: whole[name] for name in ("optimizer", "lr", "schedule")}
    return f"{settings.optimizer.name}-{identity.digest(method)[:8]}"
