"""The record of what was measured on one problem and one machine: read, kept, continued.

`<out>/cost/<size>-<hash8>/cost.json`; the hash covers the problem, the machine and the versions, so
that optimizers that are asked for later join those that were measured before.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nstbench.cost.sequence import Estimate, estimate
from nstbench.errors import RecordError
from nstbench.files import replacing

if TYPE_CHECKING:
    from nstbench.cost.options import Competitor

SCHEMA = 1
FILE = "cost.json"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Counts(_Model):
    """Of one update, in arrays of the image's size; None: it cannot be seen from outside.

    `held` is the state, without the image; `read` and `written` include image and gradient.
    `operations` are arithmetic ones per value of the image, as compiled. `evaluations` are those
    that one step makes.
    """

    held: float | None = None
    held_bytes: int | None = None
    read: float | None = None
    written: float | None = None
    moved_bytes: int | None = None
    operations: float | None = None
    evaluations: float | None = None


class Microseconds(_Model):
    """Median of paired differences in the quietest rounds, with its 95 % interval, in us."""

    value: float
    low: float
    high: float


class Method(_Model):
    """One competitor and what is known of it alone."""

    name: str
    label: str
    target: str
    lr: float | None
    options: dict[str, Any]
    source: dict[str, str]
    schedule: str = "constant"
    counts: Counts | None = None
    update: Microseconds | None = None  # above a step that updates nothing
    without_update: str | None = None  # why the update alone was not measured
    step_s: float | None = None  # median over all samples of whole steps


class Pair(_Model):
    """Log ratios a/b of whole steps in the order measured, each with its comparison's spread."""

    a: str
    b: str
    logs: list[float] = Field(default_factory=list)
    spreads: list[float] = Field(default_factory=list)
    update: Microseconds | None = None  # a - b

    def estimate(self, alpha: float) -> Estimate:
        """Of a/b."""
        return estimate(self.logs, self.spreads, alpha)


class Visit(_Model):
    """One time that the command measured here."""

    started: str
    seconds: float
    disturbances: list[str]
    command: list[str]


class Record(_Model):
    """All that a folder knows."""

    version: int = SCHEMA
    problem: dict[str, Any]
    facts: dict[str, Any]
    methods: dict[str, Method] = Field(default_factory=dict)  # by key, in the order first asked for
    pairs: list[Pair] = Field(default_factory=list)
    visits: list[Visit] = Field(default_factory=list)
    verdicts: list[dict[str, Any]] = Field(default_factory=list)  # derived, for readers

    def add(self, competitor: "Competitor") -> Method:
        """The method's entry, made where it is new. Its label is the optimizer's alone."""
        settings = competitor.settings
        chosen = settings.optimizer
        made = Method(
            name=chosen.name, label=chosen.label, target=chosen.target, lr=settings.lr,
            options=chosen.options, source=chosen.source, schedule=settings.schedule.name,
        )  # fmt: skip
        return self.methods.setdefault(competitor.key, made)

    def pair(self, a: str, b: str) -> Pair:
        """The comparison of two methods, made where it is new; it may be the one of b and a."""
        for pair in self.pairs:
            if {pair.a, pair.b} == {a, b}:
                return pair
        self.pairs.append(Pair(a=a, b=b))
        return self.pairs[-1]

    def forget(self, keys: set[str]) -> None:
        """Drop what was measured of these methods and between them."""
        for key in keys & self.methods.keys():
            method = self.methods[key]
            method.counts = method.update = method.without_update = method.step_s = None
        self.pairs = [pair for pair in self.pairs if not {pair.a, pair.b} <= keys]

    def save(self, folder: Path) -> Path:
        """Write `cost.json` whole or not at all."""
        path = folder / FILE
        try:
            with replacing(path) as temporary:
                temporary.write_text(
                    json.dumps(self.model_dump(mode="json"), indent=1) + os.linesep
                )
        except OSError as error:
            raise RecordError(f"cannot write {path}: {error.strerror}") from error
        return path


def load_all(results: Path) -> tuple[list[Record], dict[Path, RecordError]]:
    """Every record in `results/cost`, and by its folder what could not be read."""
    records, errors = [], {}
    for path in sorted((results / "cost").glob(f"*/{FILE}")):
        try:
            kept = load(path.parent)
        except RecordError as error:
            errors[path.parent] = error
        else:
            records += [kept] if kept else []
    return records, errors


def load(folder: Path) -> Record | None:
    """The record in `folder`; None where there is none.

    Raises `RecordError` where the file is something else, or of another version.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        record = Record.model_validate_json(path.read_text())
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise RecordError(f"{path} is no record of costs: {error.__class__.__name__}") from error
    if record.version != SCHEMA:
        raise RecordError(f"{path} has version {record.version}; this one reads {SCHEMA}")
    return record
