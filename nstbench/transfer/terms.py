"""The terms of an objective: small objects, each one distance, found by name or by path.

A term says which layers it taps, makes its target once, and maps an image with its features to one
number per picture; the objective multiplies by the weight and adds. Every published objective that
nstbench knows is one canonical form,

    sum_l a_l mean((F_l - P_l)^2) + sum_l b_l mean((S(F_l) - S(A_l))^2) + c TV(x),

with S a style statistic. What authors write differently (half sums, 1/(4 N^2 M^2), ...) is a factor
that depends on shapes alone: `CONTENT_FACTORS` and `STYLE_FACTORS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from keras import ops

from nstbench import errors, outside
from nstbench.transfer import statistics
from nstbench.transfer.variation import VARIATIONS


@dataclass(frozen=True)
class View:
    """One input picture as terms see it: `pixels` (1, H, W, 3) and its features, on demand."""

    pixels: Any
    features: Callable[[Sequence[str]], dict[str, Any]]  # layers -> (1, h, w, C) each


@dataclass(frozen=True)
class Inputs:
    """What targets are made from: the content, and the styles with weights that add up to 1."""

    content: View
    styles: tuple[tuple[View, float], ...]


class Term(Protocol):
    """One distance. `layers` are the taps whose features it is given; () for pixels alone."""

    layers: tuple[str, ...]

    def target(self, inputs: Inputs) -> Any:
        """Whatever the distance is measured to, a structure of tensors or None; asked for once."""

    def __call__(self, image: Any, features: Mapping[str, Any], target: Any) -> Any:
        """The distance `(N,)` of images `(N, H, W, 3)` with features `(N, h, w, C)` by layer."""


# Factor on mean((F - P)^2) for a layer of C channels, M = h w positions.
CONTENT_FACTORS = MappingProxyType(
    {
        "mean": lambda c, m, pixels: 1.0,  # mean squared error
        "half_sum": lambda c, m, pixels: c * m / 2,  # Gatys et al. 2015, eq. 1
        "sum": lambda c, m, pixels: c * m,  # the Keras example
    }
)

# Factor on mean((G_F/M_F - G_A/M_A)^2); G is the raw Gram matrix, `pixels` = rows x columns of x.
STYLE_FACTORS = MappingProxyType(
    {
        "mean": lambda c, m, pixels: 1.0,  # the TensorFlow tutorial: G / M
        "per_channel": lambda c, m, pixels: 1 / c**2,  # G / (C M): neural-style, PyTorch tutorial
        "paper": lambda c, m, pixels: 1 / 4,  # sum (G - A)^2 / (4 C^2 M^2), pictures of one size
        # The Keras example divides the raw Gram's sum of squares by 4 * 3^2 * (rows * columns)^2.
        "keras_example": lambda c, m, pixels: c**2 * m**2 / (36 * pixels**2),
    }
)


def mean_squared(values, target):
    """mean((values - target)^2) over all but the first axis: `(N, ...)`, `(1, ...)` -> `(N,)`."""
    axes = tuple(range(1, len(values.shape)))
    return ops.mean(ops.square(values - target), axis=axes)


@dataclass(frozen=True)
class Content:
    """sum over `layers` of factor * mean((F - P)^2); factor one of `CONTENT_FACTORS`."""

    layers: tuple[str, ...]
    normalisation: str = "mean"

    def __post_init__(self):
        _check("normalisation", self.normalisation, CONTENT_FACTORS)

    def target(self, inputs: Inputs) -> dict[str, Any]:
        return inputs.content.features(self.layers)

    def __call__(self, image, features, target):
        factor = CONTENT_FACTORS[self.normalisation]
        return _sum(
            image,
            (
                _factor(factor, features[layer], image)
                * mean_squared(features[layer], target[layer])
                for layer in self.layers
            ),
        )


@dataclass(frozen=True)
class Style:
    """sum over `layers` of factor * mean((S(F) - S(A))^2); factor one of `STYLE_FACTORS`.

    S is a function of `transfer.statistics` by name, or anyone's by path. The statistics of several
    styles are blended.
    """

    layers: tuple[str, ...]
    normalisation: str = "mean"
    statistic: str = "gram"

    def __post_init__(self):
        _check("normalisation", self.normalisation, STYLE_FACTORS)
        self._statistic()

    def _statistic(self) -> Callable:
        return _find("style statistic", self.statistic, STATISTICS)

    def target(self, inputs: Inputs) -> dict[str, Any]:
        statistic = self._statistic()
        weights = [weight for _, weight in inputs.styles]
        values = [
            {layer: statistic(tensor) for layer, tensor in view.features(self.layers).items()}
            for view, _ in inputs.styles
        ]
        return {layer: _blend([each[layer] for each in values], weights) for layer in self.layers}

    def __call__(self, image, features, target):
        factor, statistic = STYLE_FACTORS[self.normalisation], self._statistic()

        def distance(layer):
            values = statistic(features[layer])
            wanted = statistics.resample(target[layer], values.shape[1])
            return _factor(factor, features[layer], image) * mean_squared(values, wanted)

        return _sum(image, map(distance, self.layers))


@dataclass(frozen=True)
class Variation:
    """TV(scale * x), x in [0, 1]; `scale` is 255 where the source works on 0..255."""

    kind: str = "l1_sum"
    scale: float = 1.0
    layers: tuple[str, ...] = ()

    def __post_init__(self):
        _check("total variation", self.kind, VARIATIONS)

    def target(self, inputs: Inputs) -> None:
        return None

    def __call__(self, image, features, target):
        return VARIATIONS[self.kind](self.scale * image)


@dataclass(frozen=True)
class Activation:
    """-sum over `layers` of mean(F^2): made small, it makes the layers' activations large.

    Mordvintsev, Olah & Tyka, "Inceptionism" (2015): the loss of deep dream, without a target.
    """

    layers: tuple[str, ...]

    def target(self, inputs: Inputs) -> None:
        return None

    def __call__(self, image, features, target):
        return -_sum(image, (mean_squared(features[layer], 0.0) for layer in self.layers))


STATISTICS = MappingProxyType(
    {
        "gram": statistics.gram,
        "centred_gram": statistics.centred_gram,
        "shifted_gram": statistics.shifted_gram,
        "mean_std": statistics.mean_std,
        "sliced_quantiles": statistics.sliced_quantiles,
    }
)
TERMS = MappingProxyType(
    {"content": Content, "style": Style, "variation": Variation, "activation": Activation}
)


def create(name: str, settings: Mapping[str, Any]) -> tuple[Term, float]:
    """The term `name` and its weight (1 unless given), from `{"target": ..., **options}`.

    Raises `SettingsError` for a target that cannot be found, an option that it does not take, or
    one that it lacks.
    """
    options = dict(settings)
    weight = float(options.pop("weight", 1.0))
    target = options.pop("target", name)
    make = _find("term", target, TERMS)
    known = outside.parameters(make)
    if "layers" in options and "layers" not in known and not options["layers"]:
        options.pop("layers")
    options = outside.check_options(f"objective.{name}", options, known)
    if "layers" in options:
        options["layers"] = tuple(options["layers"])
    term = make(**options)
    if not callable(term) or not hasattr(term, "target"):
        raise errors.SettingsError(
            f"objective.{name}: {target} makes no term: it needs target(inputs) and to be callable"
        )
    return term, weight


def _find(what: str, name: str, known: Mapping[str, Any]) -> Callable:
    if name in known:
        return known[name]
    if outside.is_path(name):
        return outside.locate(name)
    raise errors.unknown(what, name, known)


def _check(what: str, name: str, known: Mapping[str, Any]) -> None:
    if name not in known:
        raise errors.unknown(what, name, known)


def _factor(factor: Callable, features, image) -> float:
    _, height, width, channels = features.shape
    return factor(channels, height * width, image.shape[1] * image.shape[2])


def _sum(image, parts) -> Any:
    return sum(parts, start=ops.zeros((image.shape[0],), image.dtype))


def _blend(targets: Sequence, weights: Sequence[float]):
    """Weighted mean of several styles' statistics, at the first one's size."""
    rows = targets[0].shape[1]
    resampled = [statistics.resample(target, rows) for target in targets]
    return sum(weight * target for weight, target in zip(weights, resampled, strict=True))
