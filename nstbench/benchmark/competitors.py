"""Who takes part: optimizers by name, by path, and with settings of their own."""

from collections.abc import Sequence
from dataclasses import dataclass

from nstbench.benchmark import spaces
from nstbench.benchmark.spaces import Space
from nstbench.errors import SettingsError
from nstbench.settings import compose, values
from nstbench.settings.model import Settings
from nstbench.settings.values import CONFIG_DIR

OF_OPTIMIZER = ("optimizer", "schedule")  # groups that are the competitor's, not the problem's


@dataclass(frozen=True)
class Competitor:
    """An optimizer with what is fixed of it; the hyperparameters in `space` are tuned."""

    name: str
    arguments: tuple[str, ...]
    settings: Settings  # with its defaults
    space: Space

    @property
    def label(self) -> str:
        return self.settings.optimizer.label


def read(
    arguments: Sequence[str], common: Sequence[str] = (), folders: Sequence[str] = ()
) -> list[Competitor]:
    """The competitors of a command line's settings of optimizers; `common` are all runs' others.

    Several `optimizer=` names are several competitors; `lr=` and `optimizer.<name>=` fix what is
    not to be tuned. Raises `SettingsError` for what is no setting of an optimizer and for two
    competitors of one name.
    """
    chosen, fixed = "", []
    for argument in arguments:
        key, text = values.split(argument)
        if key == "optimizer":
            chosen = text
        elif key == "lr" or key.split(".")[0] in OF_OPTIMIZER:
            fixed.append(argument)
        else:
            raise SettingsError(
                f"{argument}: a benchmark fixes the problem; give optimizer=, lr=, schedule= or "
                "optimizer.<hyperparameter>="
            )
    if not chosen:
        raise SettingsError("optimizer=... is missing: a name, or ./my_opt.py:MyAdam")
    names = values.alternatives("optimizer", chosen, lambda: compose.choices("optimizer", folders))
    made = [_competitor(name, fixed, common, folders) for name in names]
    taken: dict[str, str] = {}
    for name, competitor in zip(names, made, strict=True):
        if taken.setdefault(competitor.name, name) != name:
            raise SettingsError(f"{taken[competitor.name]} and {name} are both {competitor.name}")
    return list({competitor.name: competitor for competitor in made}.values())


def _competitor(
    name: str, fixed: Sequence[str], common: Sequence[str], folders: Sequence[str]
) -> Competitor:
    arguments = (*(f"{CONFIG_DIR}={f}" for f in folders), f"optimizer={name}", *fixed)
    settings = compose.resolve([*arguments, *common])
    given = {values.split(argument)[0] for argument in fixed}
    tuned = tuple(
        each
        for each in spaces.of(settings, spaces.declared(name, folders))
        if not given & {each.name, f"optimizer.{each.name}"}
    )
    schedule = settings.schedule.name
    suffix = "" if settings.schedule.target is None else f" ({schedule})"
    return Competitor(settings.optimizer.name + suffix, arguments, settings, tuned)
