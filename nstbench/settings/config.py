"""Typed settings, their validation, and a run's identity.

`conf/` holds every number; this module holds the types. Hydra composes the YAML, OmegaConf checks
it against the dataclasses below, and whatever is wrong becomes one line.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nstbench import errors

GROUPS = ("optimizer", "objective", "extractor", "experiment", "suite")
SCHEMA_OF_IDENTITY = 1  # raise it when the same settings would give other numbers


@dataclass
class Adam:
    name: str
    lr: float
    beta_1: float
    beta_2: float
    epsilon: float
    amsgrad: bool


@dataclass
class AdamW(Adam):
    weight_decay: float


@dataclass
class AdamDecay(Adam):
    decay: float
    decay_steps: int


@dataclass
class Nadam:
    name: str
    lr: float
    beta_1: float
    beta_2: float
    epsilon: float


class Adamax(Nadam):
    pass


@dataclass
class Adagrad:
    name: str
    lr: float
    initial_accumulator_value: float
    epsilon: float


@dataclass
class Adadelta:
    name: str
    lr: float
    rho: float
    epsilon: float


@dataclass
class RMSprop:
    name: str
    lr: float
    rho: float
    momentum: float
    epsilon: float
    centered: bool


@dataclass
class SGD:
    name: str
    lr: float
    momentum: float
    nesterov: bool
    decay: float
    decay_steps: int


@dataclass
class Lion:
    name: str
    lr: float
    beta_1: float
    beta_2: float


@dataclass
class Ftrl:
    name: str
    lr: float
    learning_rate_power: float
    initial_accumulator_value: float
    l1_regularization_strength: float
    l2_regularization_strength: float
    l2_shrinkage_regularization_strength: float
    beta: float


@dataclass
class Adafactor:
    name: str
    lr: float
    beta_2_decay: float
    epsilon_1: float
    epsilon_2: float
    clip_threshold: float
    relative_step: bool


@dataclass
class LBFGS:
    name: str
    lr: float
    memory: int
    line_search: str
    box: bool
    reevaluate: bool


@dataclass
class LBFGSB:
    name: str
    lr: float
    memory: int
    ftol: float
    gtol: float
    max_line_search: int


@dataclass
class Content:
    layers: list[str]
    weight: float
    normalisation: str


@dataclass
class Style:
    layers: list[str]
    weight: float
    normalisation: str
    statistic: str


@dataclass
class Variation:
    weight: float
    kind: str
    scale: float


@dataclass
class Objective:
    name: str
    content: Content
    style: Style
    variation: Variation


@dataclass
class Extractor:
    name: str
    pooling: str | None


@dataclass
class Settings:
    """Everything one run needs; see `conf/config.yaml` for the meaning of each."""

    optimizer: Any  # one of OPTIMIZERS
    objective: Objective
    extractor: Extractor
    lr: float
    epochs: int
    steps_per_epoch: int
    epochs_scale: float
    content: str
    style: Any  # a name or path, or a list of them
    style_blend: list[float] | None
    size: int
    keep_aspect: bool
    keep_colours: bool
    init: str
    seed: int
    repeat: int
    weights: str
    device: str
    precision: str
    kernels: str
    out: str
    snapshots: int
    checkpoint_s: float
    force: bool
    reported_seconds: float | None
    experiment: str | None = None
    backend: str = "tensorflow"
    command: list[str] = field(default_factory=list)

    @property
    def styles(self) -> list[str]:
        return [self.style] if isinstance(self.style, str) else list(self.style)


OPTIMIZERS = {
    "adam": Adam, "adam_decay": AdamDecay, "adamw": AdamW, "nadam": Nadam, "adamax": Adamax,
    "adagrad": Adagrad, "adadelta": Adadelta, "rmsprop": RMSprop, "sgd": SGD, "lion": Lion,
    "ftrl": Ftrl, "adafactor": Adafactor, "lbfgs": LBFGS, "lbfgsb": LBFGSB,
}  # fmt: skip

BACKENDS = ("tensorflow", "jax", "torch")  # of `KERAS_BACKEND`

# Settings that say where and how a run is carried out, and leave its numbers alone.
_NOT_IDENTITY = {
    "out", "snapshots", "checkpoint_s", "force", "reported_seconds", "experiment", "command",
    "epochs_scale",
}  # fmt: skip
# Settings that make up the optimizer's side; the rest is the problem that the optimizers share.
_NOT_PROBLEM = {
    "optimizer", "lr", "epochs", "steps_per_epoch", "repeat", "device", "backend", "kernels",
}  # fmt: skip


def conf_dir() -> Path:
    """`conf/`: inside the package in a wheel, at the top level in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def choices(group: str) -> list[str]:
    """Names that a config group offers, e.g. every `optimizer`."""
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def resolve(overrides: Sequence[str]) -> Settings:
    """Settings of one run from Hydra overrides such as `["optimizer=adam", "lr=0.02"]`.

    Raises `SettingsError`, in one line, for whatever Hydra or the types refuse.
    """
    composed = compose_config(list(overrides))
    experiment = next((o.split("=", 1)[1] for o in overrides if o.startswith("experiment=")), None)
    composed.experiment = None if experiment == "null" else experiment
    settings = _typed(composed)
    settings.optimizer.lr = settings.lr  # one rate, wherever it was given
    settings.backend = _backend()
    settings.command = list(overrides)
    _validate(settings)
    settings.epochs = max(1, round(settings.epochs * settings.epochs_scale))
    return settings


def yardstick(settings: Settings) -> Settings:
    """The same pictures under the default objective and network, which measure every run alike.

    Equal to `settings` where a run's own objective is the default one. Random weights stay random:
    whoever has no others must not need them at the end.
    """
    default = resolve([])
    weights = settings.weights if settings.weights == "random" else default.weights
    return replace(
        settings, objective=default.objective, extractor=default.extractor, weights=weights
    )


def compose_config(overrides: list[str], **options: Any) -> DictConfig:
    """Hydra's composition of `conf/config.yaml`; its complaints become one-line errors."""
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3", job_name="nstbench"):
            composed = compose("config", overrides, **options)
    except (HydraException, OmegaConfBaseException) as error:
        raise _explain(overrides, error) from None
    OmegaConf.set_struct(composed, False)
    return composed


def _explain(overrides: list[str], error: Exception) -> errors.NstbenchError:
    """Which override Hydra choked on, with the nearest right one."""
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except HydraException:
        bad = next((o for o in overrides if not _parses(o)), "")
        return errors.SettingsError(
            f"cannot read {bad!r}; settings look like optimizer=adam lr=0.02"
        )
    known = _known_keys()
    for override in parsed:
        key = override.key_or_group
        if key in GROUPS and override.value() not in choices(key):
            return errors.unknown(key, override.value(), choices(key))
        if key not in known and key.split(".")[0] not in ("hydra", "hydra/launcher"):
            top = key.split(".")[0]
            if "." not in key or top not in known:
                return errors.unknown("setting", key, [k for k in known if "." not in k])
            siblings = [k for k in _keys_under(overrides, top)]
            if key not in siblings:
                return errors.unknown("setting", key, siblings)
    return errors.SettingsError(" ".join(str(error).split()))


def _parses(override: str) -> bool:
    try:
        OverridesParser.create().parse_overrides([override])
    except HydraException:
        return False
    return True


def _known_keys() -> set[str]:
    composed = compose_config([])
    return {str(key) for key in composed} | set(GROUPS)


def _keys_under(overrides: list[str], top: str) -> list[str]:
    """Dotted keys of one group as the other overrides choose it."""
    group = [o for o in overrides if o.startswith(f"{top}=")]
    section = OmegaConf.to_container(compose_config(group)[top])
    found = [f"{top}.{key}" for key in section]
    nested = [f"{top}.{k}.{n}" for k, v in section.items() if isinstance(v, dict) for n in v]
    return found + nested


def _typed(composed: DictConfig) -> Settings:
    name = str(OmegaConf.select(composed, "optimizer.name"))
    if name not in OPTIMIZERS:
        raise errors.unknown("optimizer", name, OPTIMIZERS)
    unknown = set(map(str, composed)) - {f.name for f in fields(Settings)}
    if unknown:
        raise errors.unknown("setting", min(unknown), [f.name for f in fields(Settings)])
    try:
        schema = OmegaConf.structured(Settings)
        schema.optimizer = OmegaConf.structured(OPTIMIZERS[name])
        merged = OmegaConf.merge(schema, composed)
        return OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        text = str(error).splitlines()[0]
        key = getattr(error, "full_key", None)
        raise errors.SettingsError(f"{key}: {text}" if key else text) from None


def _backend() -> str:
    """The backend that Keras will start with; whether it can is seen without importing it."""
    name = os.environ.get("KERAS_BACKEND", "tensorflow")
    if name not in BACKENDS:
        raise errors.unknown("KERAS_BACKEND", name, BACKENDS)
    if find_spec(name) is None:
        raise errors.SettingsError(f"KERAS_BACKEND={name}: the package {name} is not installed")
    return name


def _validate(settings: Settings) -> None:
    """Ranges and choices that types cannot express."""
    from nstbench.optimizers.names import LINE_SEARCHES

    positive = {"lr": settings.lr, "epochs_scale": settings.epochs_scale}
    for key, value in positive.items():
        if not 0 < value < float("inf"):
            raise errors.SettingsError(f"{key}={value} must be a positive number")
    least = {
        "epochs": 1, "steps_per_epoch": 1, "size": 32, "snapshots": 0, "repeat": 0, "seed": 0,
        "checkpoint_s": 0,
    }  # fmt: skip
    errors.check_least(settings, least)
    for key, allowed in {
        "kernels": ("auto", "direct", "fast"),
        "precision": ("float32", "tf32", "bfloat16", "float64"),
        "optimizer.line_search": LINE_SEARCHES,
        "extractor.pooling": ("max", "avg", None),
    }.items():
        value = _lookup(settings, key, allowed[0])
        if value not in allowed:
            raise errors.unknown(key, value, [a for a in allowed if a])
    if settings.style_blend is not None and len(settings.style_blend) != len(settings.styles):
        raise errors.SettingsError(
            f"style_blend has {len(settings.style_blend)} weights for {len(settings.styles)} styles"
        )


def _lookup(settings: Settings, dotted: str, default: Any) -> Any:
    value: Any = settings
    for name in dotted.split("."):
        value = getattr(value, name, default)
    return value


def identity(settings: Settings) -> dict[str, Any]:
    """What changes a run's numbers; pictures and weights by content, never by path."""
    chosen = {k: v for k, v in asdict(settings).items() if k not in _NOT_IDENTITY}
    return chosen | {
        "schema": SCHEMA_OF_IDENTITY,
        "content": _source(settings.content),
        "style": [_source(style) for style in settings.styles],
        "init": _source(settings.init),
        "weights": _source(settings.weights),
    }


def run_id(settings: Settings) -> str:
    """`<optimizer>-lr<lr>-e<epochs>x<steps>-<hash8>`; the hash covers `identity`."""
    schedule = f"e{settings.epochs}x{settings.steps_per_epoch}"
    return (
        f"{settings.optimizer.name}-lr{settings.lr:g}-{schedule}-{digest(identity(settings))[:8]}"
    )


def run_directory(settings: Settings) -> Path:
    """Where the run's record lies."""
    return Path(settings.out) / "runs" / run_id(settings)


def problem(settings: Settings, facts: dict[str, Any]) -> str:
    """Digest of all that the loss depends on except the optimizer and its schedule.

    `facts` are what only loading can tell: check-sums of pictures and weights.
    """
    shared = {k: v for k, v in identity(settings).items() if k not in _NOT_PROBLEM}
    return digest(shared | facts)[:16]


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _source(name: str) -> str:
    """A file's content digest; any other name as it is."""
    path = Path(name).expanduser()
    if not path.is_file():
        return name
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
