"""The objective of one style-transfer problem: which layers, which weights, which targets.

An `Objective` is a pure function of the image and of `parameters` (network weights and targets).
Parameters travel as arguments all the way into the compiled function: captured constants would be
folded by XLA, which doubles memory and compile time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from nstbench import errors
from nstbench.networks.extractors import Extractor
from nstbench.transfer import losses


@dataclass(frozen=True)
class ContentTerm:
    """sum over `layers` of weight * factor * mean((F - P)^2); factor as in `CONTENT_FACTORS`."""

    layers: tuple[str, ...]
    weight: float
    normalisation: str = "mean"


@dataclass(frozen=True)
class StyleTerm:
    """sum over `layers` of weight * factor * mean((S(F) - S(A))^2), factor from `STYLE_FACTORS`."""

    layers: tuple[str, ...]
    weight: float
    normalisation: str = "mean"
    statistic: str = "gram"


@dataclass(frozen=True)
class VariationTerm:
    """weight * TV(scale * x), x in [0, 1]; `scale` is 255 where the source works on 0..255."""

    weight: float
    kind: str = "l1_sum"
    scale: float = 1.0


@dataclass(frozen=True)
class Objective:
    """A compiled-function-ready objective.

    `terms(images, parameters)` maps images `(N, H, W, 3)` in [0, 1] to the weighted terms
    `{"content": (N,), "style": (N,), "tv": (N,)}`; the loss is their sum, and exactly this sum is
    what is differentiated.
    """

    terms: Callable[[Any, Any], dict[str, Any]]
    parameters: dict[str, Any]


def build(
    extractor: Extractor,
    content: np.ndarray,
    styles: Sequence[tuple[np.ndarray, float]],
    content_term: ContentTerm,
    style_term: StyleTerm,
    variation_term: VariationTerm,
    compile: Callable[[Callable], Callable] = lambda function: function,
    dtype: str = "float32",
    network_dtype: str = "float32",
) -> Objective:
    """Extract the targets and bind the terms.

    `content` is `(H, W, 3)` and each style `(h, w, 3)`, float32 in [0, 1], with its blend weight
    (weights are divided by their sum; several styles blend their statistics). `compile` turns a
    pure function into a fast one for the one-off pass that extracts the targets. Losses are
    computed in `dtype`, the network's pass in `network_dtype`.

    Raises `SettingsError` for an unknown layer, normalisation, statistic or variation.
    """
    _check(extractor, content_term, style_term, variation_term)

    network = keras.tree.map_structure(
        lambda array: ops.cast(ops.convert_to_tensor(array), network_dtype), extractor.parameters
    )

    def features(images, parameters, layers):
        found = extractor.features(ops.cast(images, network_dtype), parameters, layers)
        return {layer: ops.cast(found[layer], dtype) for layer in layers}

    def targets_of(pixels, layers, convert):
        if not layers:
            return {}
        found = compile(lambda x, p: features(x, p, layers))(
            ops.convert_to_tensor(pixels[None], dtype=dtype), network
        )
        return {layer: convert(found[layer]) for layer in layers}

    statistic = losses.STATISTICS[style_term.statistic]
    blend = np.array([weight for _, weight in styles])
    blend = (blend / blend.sum()).tolist()
    style_targets = [targets_of(pixels, style_term.layers, statistic) for pixels, _ in styles]
    parameters = {
        "network": network,
        "content": targets_of(content, content_term.layers, ops.convert_to_tensor),
        "style": {
            layer: _blended([targets[layer] for targets in style_targets], blend)
            for layer in style_term.layers
        },
    }
    return Objective(_terms(features, content_term, style_term, variation_term), parameters)


def _blended(targets: Sequence, weights: Sequence[float]):
    """Weighted mean of several styles' statistics, at the first one's size."""
    rows = targets[0].shape[1]
    return sum(w * losses.resample(t, rows) for w, t in zip(weights, targets, strict=True))


def _terms(features_of, content_term, style_term, variation_term):
    layers = tuple(dict.fromkeys((*content_term.layers, *style_term.layers)))
    statistic = losses.STATISTICS[style_term.statistic]
    variation = losses.VARIATIONS[variation_term.kind]

    def weight(term, factors, features, images):
        _, h, w, c = features.shape
        return term.weight * factors[term.normalisation](
            c, h * w, images.shape[1] * images.shape[2]
        )

    def style_distance(features, target):
        values = statistic(features)
        return losses.mean_squared(values, losses.resample(target, values.shape[1]))

    def terms(images, parameters):
        features = features_of(images, parameters["network"], layers) if layers else {}
        zero = ops.zeros((images.shape[0],), images.dtype)
        content = sum(
            (
                weight(content_term, losses.CONTENT_FACTORS, features[layer], images)
                * losses.mean_squared(features[layer], parameters["content"][layer])
                for layer in content_term.layers
            ),
            start=zero,
        )
        style = sum(
            (
                weight(style_term, losses.STYLE_FACTORS, features[layer], images)
                * style_distance(features[layer], parameters["style"][layer])
                for layer in style_term.layers
            ),
            start=zero,
        )
        tv = variation_term.weight * variation(variation_term.scale * images)
        return {"content": content, "style": style, "tv": tv}

    return terms


def _check(extractor, content_term, style_term, variation_term):
    for term, factors in (
        (content_term, losses.CONTENT_FACTORS),
        (style_term, losses.STYLE_FACTORS),
    ):
        if term.normalisation not in factors:
            raise errors.unknown("normalisation", term.normalisation, factors)
        for layer in term.layers:
            if layer not in extractor.layers:
                raise errors.unknown(f"layer of {extractor.name}", layer, extractor.layers)
    if style_term.statistic not in losses.STATISTICS:
        raise errors.unknown("style statistic", style_term.statistic, losses.STATISTICS)
    if variation_term.kind not in losses.VARIATIONS:
        raise errors.unknown("total variation", variation_term.kind, losses.VARIATIONS)
