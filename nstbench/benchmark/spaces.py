"""Search spaces: which hyperparameters are tuned, over which range, at which points.

An optimizer's YAML declares its own (`space: {lr: {log: [1e-4, 1]}, beta_1: {linear: [0, 0.99]}}`);
one without gets three decades around its default rate. Trial 0 is always the defaults, the others
are scrambled Sobol points (Owen 1998) from a seed, so the first 10 of 20 trials are those of 10.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from nstbench import errors
from nstbench.errors import SettingsError
from nstbench.files import conf_dir
from nstbench.notation import number
from nstbench.settings.model import Settings

AROUND_DEFAULT = 1.5  # decades on either side of the default rate: three in all
SCALES = ("log", "linear", "choice")


@dataclass(frozen=True)
class Range:
    """One hyperparameter between `low` and `high`, even in its logarithm or in itself.

    A choice has its `options`, and indices for `low` and `high`.
    """

    name: str
    scale: str
    low: float
    high: float
    options: tuple[Any, ...] = ()

    def at(self, share: float) -> Any:
        """The value at `share` in [0, 1) of the range; floats with five digits, to be read."""
        if self.options:
            return self.options[min(int(share * len(self.options)), len(self.options) - 1)]
        low, high = self._scaled(self.low), self._scaled(self.high)
        value = low + share * (high - low)
        return float(f"{math.exp(value) if self.scale == 'log' else value:.5g}")

    def beyond(self, end: str) -> "Range":
        """The decade next to an end of this logarithmic range."""
        if end == "high":
            return replace(self, low=self.high, high=10 * self.high)
        return replace(self, low=self.low / 10, high=self.low)

    def joined(self, other: "Range") -> "Range":
        return replace(self, low=min(self.low, other.low), high=max(self.high, other.high))

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.scale == "log" else value

    def __str__(self) -> str:
        if self.options:
            return f"{self.name} of {', '.join(map(str, self.options))}"
        return f"{self.name} {number(self.low, 3)} to {number(self.high, 3)}"


Space = tuple[Range, ...]
Point = dict[str, Any]  # hyperparameter -> value


def of(settings: Settings, declared: Mapping[str, Any] | None) -> Space:
    """The space of an optimizer: `declared` in its YAML, else around its default rate.

    Empty for a method without a rate and without a declared space: there is nothing to tune.
    """
    if declared is not None:
        return read(declared, settings)
    if settings.lr is None:
        return ()
    width = 10**AROUND_DEFAULT
    return (Range("lr", "log", settings.lr / width, settings.lr * width),)


def read(declared: Mapping[str, Any], settings: Settings) -> Space:
    """A space from its YAML form; `SettingsError` for one that cannot be read."""
    known = {*settings.optimizer.options, *(("lr",) if settings.lr is not None else ())}
    for name in declared:
        if name not in known:
            raise errors.unknown(f"hyperparameter of {settings.optimizer.name}", name, known)
    return tuple(_range(name, entry) for name, entry in declared.items())


def declared(optimizer: str, folders: Sequence[str] = ()) -> Mapping[str, Any] | None:
    """What the optimizer's YAML says of its space; None where it has no YAML or says nothing."""
    for root in (str(conf_dir()), *folders):
        file = Path(root, "optimizer", f"{optimizer}.yaml")
        if file.is_file():
            return (yaml.safe_load(file.read_text()) or {}).get("space")
    return None


def points(space: Space, count: int, seed: int = 0) -> list[Point]:
    """`count` points of a space, the first ones the same for every `count`."""
    if not space or count < 1:
        return []
    from scipy.stats import qmc

    generator = np.random.default_rng(seed)
    with warnings.catch_warnings():  # SciPy renames `seed`; a generator means the same under both
        warnings.simplefilter("ignore")
        sobol = qmc.Sobol(len(space), scramble=True, seed=generator)
    shares = sobol.random_base2(max(1, math.ceil(math.log2(count))))[:count]
    return [
        {each.name: each.at(share) for each, share in zip(space, row, strict=True)}
        for row in shares.tolist()
    ]


def arguments(point: Point) -> tuple[str, ...]:
    """A point as settings of a run."""
    return tuple(
        f"{'' if name == 'lr' else 'optimizer.'}{name}={_text(value)}"
        for name, value in point.items()
    )


def defaults(space: Space, settings: Settings) -> Point:
    """The optimizer's own values of the hyperparameters in the space."""
    return {
        each.name: settings.lr if each.name == "lr" else settings.optimizer.options[each.name]
        for each in space
    }


def edges(space: Space, best: Point, tried: Sequence[Point]) -> list[tuple[Range, str]]:
    """The ranges at whose end the best point lies, with the end, "low" or "high".

    It does where no point was tried beyond it: nothing shows that it gets worse there. Ends of a
    linear range are taken for natural ones (a momentum of 0).
    """
    found = []
    for each in (each for each in space if each.scale == "log"):
        values = [point[each.name] for point in tried]
        if best[each.name] in (min(values), max(values)) and min(values) < max(values):
            found.append((each, "low" if best[each.name] == min(values) else "high"))
    return found


def _range(name: str, entry: Any) -> Range:
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise SettingsError(f"space.{name} must be one of {{log: [low, high]}}, linear, choice")
    (scale, values), *_ = entry.items()
    if scale not in SCALES:
        raise errors.unknown(f"scale of space.{name}", scale, SCALES)
    if not isinstance(values, list) or not values:
        raise SettingsError(f"space.{name}.{scale}={values} must be a list")
    if scale == "choice":
        return Range(name, scale, 0, len(values), tuple(values))
    ends = [_number(name, value) for value in values]
    if len(ends) != 2 or not ends[0] < ends[1] or (scale == "log" and ends[0] <= 0):
        raise SettingsError(f"space.{name}.{scale}={values} must be a range [low, high]")
    return Range(name, scale, ends[0], ends[1])


def _number(name: str, value: Any) -> float:
    try:
        return float(value)  # YAML 1.1 reads 1e-4 as text
    except (TypeError, ValueError):
        raise SettingsError(f"space.{name}: {value!r} is no number") from None


def _text(value: Any) -> str:
    special = {True: "true", False: "false", None: "null"}
    return special[value] if value is None or isinstance(value, bool) else str(value)
