"""A benchmark as its YAML says it: which pictures, how long, from where, judged by what.

`conf/benchmark/<name>.yaml`; one of a person's own is given by its path.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nstbench import errors
from nstbench.errors import SettingsError
from nstbench.files import conf_dir
from nstbench.settings import hints

Whole = Annotated[int, Field(strict=True, ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True, order=True)
class Instance:
    """One problem: a content, a style and the kind of picture that a run starts from."""

    content: str
    style: str
    init: str

    def __str__(self) -> str:
        return f"{self.content}+{self.style} from {self.init}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """The settings that make a run one of this problem."""
        return (f"content={self.content}", f"style={self.style}", f"init={self.init}")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(_Model):
    """The pairs (content, style) of tuning, or of the score, and the starts of each."""

    pairs: Annotated[tuple[tuple[str, str], ...], Field(min_length=1)]
    repeats: Annotated[tuple[int, ...], Field(min_length=1)]  # each another noise

    @property
    def pictures(self) -> frozenset[str]:
        return frozenset(name for pair in self.pairs for name in pair)


class Benchmark(_Model):
    """Everything that is fixed before a competitor comes; see conf/benchmark/small.yaml."""

    name: str
    description: str
    settings: tuple[str, ...]  # of every run, as on the command line
    inits: Annotated[tuple[str, ...], Field(min_length=1)]
    horizon: Whole  # evaluations that a run may use
    steps_per_epoch: Whole
    trials: Whole  # hyperparameter settings tried of each optimizer, its defaults the first
    widenings: Annotated[int, Field(strict=True, ge=0)]
    tuning: Part
    score: Part
    levels: Annotated[tuple[Share, ...], Field(min_length=1)]  # shares of what is left to gain
    bounds: tuple[Annotated[float, Field(ge=1)], Annotated[float, Field(gt=1)]]  # evaluations
    budgets: Annotated[tuple[Whole, ...], Field(min_length=1)]  # of the fixed-budget table
    reference: tuple[str, ...]  # the optimizers that the targets come from
    inclusions: dict[str, tuple[str, ...]] = {}  # a method: those that it contains

    @model_validator(mode="after")
    def _consistent(self) -> "Benchmark":
        shared = self.tuning.pictures & self.score.pictures
        if shared:
            raise ValueError(f"{min(shared)} is a picture of tuning and of the score")
        if self.horizon % self.steps_per_epoch:
            raise ValueError(
                f"horizon={self.horizon} must be a multiple of {self.steps_per_epoch} steps"
            )
        if not self.bounds[0] < self.bounds[1] <= self.horizon:
            raise ValueError(f"bounds={list(self.bounds)} must rise and end within the horizon")
        return self

    @property
    def arguments(self) -> tuple[str, ...]:
        """The settings of every run."""
        epochs = self.horizon // self.steps_per_epoch
        return (*self.settings, f"epochs={epochs}", f"steps_per_epoch={self.steps_per_epoch}")

    def instances(self, part: Part) -> tuple[Instance, ...]:
        """The problems of tuning or of the score, in their order."""
        return tuple(
            Instance(content, style, init) for content, style in part.pairs for init in self.inits
        )

    def runs(self, part: Part) -> Iterator[tuple[Instance, tuple[str, ...]]]:
        """Each problem's runs, as settings beside the optimizer's.

        Every repeat is another noise; a start that is no noise is run once.
        """
        for instance in self.instances(part):
            for repeat in part.repeats if instance.init == "noise" else part.repeats[:1]:
                yield instance, (*self.arguments, *instance.arguments, f"repeat={repeat}")


def load(name: str, folders: Sequence[str] = ()) -> Benchmark:
    """The benchmark of `conf/benchmark` (or `folders`) called `name`, or the YAML file `name`.

    `like: other` in it takes what it does not say from another one. Raises `SettingsError`, in one
    line, for one that is not there or says what cannot be.
    """
    content = _content(find(name, folders))
    if "like" in content:
        content = _content(find(str(content.pop("like")), folders)) | content
    return checked(content)


def _content(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{file} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{file} is no benchmark: a mapping is needed")
    return {"name": file.stem} | content


def checked(content: dict[str, Any]) -> Benchmark:
    """A benchmark from plain data; `SettingsError` for what cannot be."""
    try:
        return Benchmark.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            key = ".".join(map(str, first["loc"]))
            raise errors.unknown("key of a benchmark", key, Benchmark.model_fields) from None
        raise hints.invalid(error) from None


def find(name: str, folders: Sequence[str] = ()) -> Path:
    """The file of a benchmark."""
    if name.endswith((".yaml", ".yml")):
        return Path(name).expanduser()
    found = {path.stem: path for path in _files(folders)}
    if name not in found:
        raise errors.unknown("benchmark", name, found)
    return found[name]


def _files(folders: Sequence[str]) -> Iterable[Path]:
    for root in (conf_dir(), *map(Path, folders)):
        for path in sorted((root / "benchmark").glob("*.yaml")):
            if not path.stem.endswith(".targets"):
                yield path
