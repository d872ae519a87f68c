"""A group's flat YAML section, with what the command line added, as the settings of one part."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nstbench import errors, outside
from nstbench.errors import SettingsError
from nstbench.settings import targets
from nstbench.settings.model import ExtractorSettings, OptimizerSettings, ScheduleSettings

# Keys of an optimizer's section that are none of its hyperparameters.
RESERVED = (
    "name", "target", "label", "note", "lr", "box", "space", "colour", "choices", "limits",
)  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """What a group chose: a YAML file's name, or something from outside."""

    name: str
    is_built_in: bool  # its YAML file lists all that it can be told
    is_outside: bool  # a path, or a network of Keras, which need no YAML file
    keys: frozenset[str] = frozenset()  # of its section as composed

    @property
    def is_path(self) -> bool:
        return self.is_outside and outside.is_path(self.name)

    @property
    def short(self) -> str:
        """The name in a run's directory: the last part of a path."""
        if not self.is_outside:
            return self.name
        if outside.file_of(self.name) is not None:
            return self.name.rpartition(":")[2].rpartition(".")[2]
        return self.name.rpartition(".")[2]


def optimizer(
    section: Mapping[str, Any] | None, choice: Choice, backend: str, rate: Any, otherwise: Any
) -> tuple[OptimizerSettings, Any]:
    """The competitor and its rate: `rate` as given, else `otherwise`, else the optimizer's own.

    Raises `SettingsError` for a hyperparameter or a rate that the method does not have, and for a
    library that needs another backend.
    """
    section = dict(section or {})
    target = choice.name if choice.is_outside else section.get("target")
    if not isinstance(target, str):
        raise SettingsError(
            f"optimizer={choice.name} has no target: its YAML says where to find it"
        )
    targets.check_backend(target, backend)
    options = {name: value for name, value in section.items() if name not in RESERVED}
    if choice.is_built_in:
        _check_keys("optimizer", options, choice.keys)
        has_rate, needs_rate, default = "lr" in choice.keys, True, section.get("lr")
    else:
        known = targets.hyperparameters(target)
        options = targets.whole_options(target, options, known)
        has_rate, needs_rate = known.rate is not None, known.needs_rate
        own = known.rate_default
        default = section.get("lr", own if isinstance(own, float | int) else None)
    _check_values("optimizer", options, section.get("choices") or {})
    _check_limits(options, section.get("limits") or {})
    if rate is not None and not has_rate:
        raise SettingsError(f"{target} has no rate: leave lr={rate} away")
    lr = next((value for value in (rate, otherwise, default) if value is not None), None)
    if has_rate and needs_rate and lr is None:
        raise SettingsError(f"{target} needs lr=...: it has no default")
    made = OptimizerSettings(
        name=str(section.get("name") or choice.short),
        target=target,
        label=str(section.get("label") or _label(target, choice)),
        box=section.get("box", True),
        options=options,
        source=targets.source(target),
    )
    return made, lr if has_rate else None


def schedule(section: Mapping[str, Any] | None, choice: Choice) -> ScheduleSettings:
    """The schedule; a hyperparameter from outside is checked where the schedule is made."""
    return ScheduleSettings(**_part("schedule", section, choice))


def extractor(section: Mapping[str, Any] | None, choice: Choice) -> ExtractorSettings:
    """The network; an option from outside is checked where the network is built."""
    return ExtractorSettings(**_part("extractor", section, choice))


def _part(group: str, section: Mapping[str, Any] | None, choice: Choice) -> dict[str, Any]:
    section = dict(section or {})
    options = {n: v for n, v in section.items() if n not in ("name", "target", "choices")}
    if choice.is_built_in:
        _check_keys(group, options, choice.keys)
    _check_values(group, options, section.get("choices") or {})
    return {
        "name": str(section.get("name") or choice.short),
        "target": choice.name if choice.is_path else section.get("target"),
        "options": options,
    }


def _check_keys(group: str, options: Mapping[str, Any], keys: frozenset[str]) -> None:
    """`SettingsError` for an option that the YAML file of a built-in choice does not list."""
    for name in options:
        if name not in keys:
            known = [f"{group}.{key}" for key in keys if key not in RESERVED]
            raise errors.unknown("setting", f"{group}.{name}", known)


def _check_values(group: str, options: Mapping[str, Any], allowed: Mapping[str, Any]) -> None:
    """Values of words: `choices: {line_search: [none, strong_wolfe]}` in the YAML lists them."""
    for name, words in allowed.items():
        if options.get(name) not in words:
            raise errors.unknown(f"{group}.{name}", options.get(name), words)


def _check_limits(options: Mapping[str, Any], limits: Mapping[str, Any]) -> None:
    """Numbers that mean nothing elsewhere: `limits: {beta_1: [0, 1]}` in the YAML says where."""
    for name, (low, high) in limits.items():
        value = options.get(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and low <= value <= high):
            raise SettingsError(f"optimizer.{name}={value} must be a number from {low} to {high}")


def _label(target: str, choice: Choice) -> str:
    return target if outside.file_of(target) is None else choice.short
