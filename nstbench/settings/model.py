"""The settings of one run, typed and frozen, and the checks that need nothing but the values.

`conf/config.yaml` says what each setting means. Nothing heavy is imported here.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]

LARGEST_SIDE = 16384  # pixels; no machine holds the features of a larger picture


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OptimizerSettings(_Model):
    """One competitor.

    `target` says where the method is found, `options` are its hyperparameters without the rate,
    `source` is what tells one implementation from another of the same name (`outside.source`).
    """

    name: str
    target: str
    label: str
    box: bool = True  # project the image onto [0, 1] after each step
    options: dict[str, Any] = {}
    source: dict[str, str] = {}


class ScheduleSettings(_Model):
    """How the rate changes with the step; `target` is None where it stays as it is."""

    name: str
    target: str | None = None
    options: dict[str, Any] = {}


class ObjectiveSettings(_Model):
    """A sum of named terms. A term is flat: target, weight, layers and its own options."""

    name: str
    terms: dict[str, dict[str, Any]]

    @field_validator("terms")
    @classmethod
    def _terms(cls, terms: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if not terms:
            raise ValueError("the objective has no terms")
        return {name: _term(name, term) for name, term in terms.items()}


class ExtractorSettings(_Model):
    """The network; `target` is None for the built-in one called `name`."""

    name: str
    target: str | None = None
    options: dict[str, Any] = {}


class Settings(_Model):
    """Everything one run needs."""

    optimizer: OptimizerSettings
    lr: Annotated[Number, Field(gt=0)] | None  # None: the method has no rate
    schedule: ScheduleSettings
    objective: ObjectiveSettings
    extractor: ExtractorSettings
    epochs: Annotated[Whole, Field(ge=1)]  # after scaling by `epochs_scale`
    steps_per_epoch: Annotated[Whole, Field(ge=1)]
    evaluations: Annotated[Whole, Field(ge=1)] | None = None  # that end the run, too
    epochs_scale: Annotated[Number, Field(gt=0)]
    content: str
    style: Annotated[tuple[str, ...], Field(min_length=1)]
    style_blend: tuple[Annotated[Number, Field(ge=0)], ...] | None
    size: Annotated[Whole, Field(ge=32, le=LARGEST_SIDE)]
    keep_aspect: bool
    keep_colours: bool
    init: str
    seed: Annotated[Whole, Field(ge=0)]
    repeat: Annotated[Whole, Field(ge=0)]
    weights: str
    device: str
    precision: Literal["float32", "tf32", "bfloat16", "float64"]
    kernels: Literal["auto", "direct", "fast"]
    out: str
    snapshots: Annotated[Whole, Field(ge=0)]
    checkpoint_s: Annotated[Number, Field(ge=0)]
    force: bool
    reported_seconds: Number | None
    experiment: str | None = None
    backend: str = "tensorflow"
    command: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _blend(self) -> "Settings":
        blend = self.style_blend
        if blend is not None and len(blend) != len(self.style):
            raise ValueError(f"style_blend has {len(blend)} weights for {len(self.style)} styles")
        if blend is not None and not sum(blend) > 0:
            raise ValueError(f"style_blend={list(blend)} must have a weight above 0")
        return self


def _term(name: str, term: dict[str, Any]) -> dict[str, Any]:
    """`term` with its layers as a list; raises `ValueError` for what cannot be a term."""
    where = f"objective.{name}"
    if not isinstance(term.get("target"), str):
        raise ValueError(f"{where} needs a target, e.g. {where}.target=style")
    weight = term.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or weight - weight != 0:
        raise ValueError(f"{where}.weight={weight} must be a number")
    if weight < 0:
        raise ValueError(f"{where}.weight={weight} must be at least 0")
    if "layers" not in term:
        return term
    layers = [term["layers"]] if isinstance(term["layers"], str) else term["layers"]
    if not isinstance(layers, list) or not all(isinstance(layer, str) for layer in layers):
        raise ValueError(f"{where}.layers={layers} must be names of layers")
    return term | {"layers": layers}
