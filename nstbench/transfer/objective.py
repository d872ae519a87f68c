"""An objective: a mapping from names to weighted terms, bound to a network and its targets.

An `Objective` is a pure function of the images and of `parameters` (network weights and targets),
which the engine hands to the compiled function as it likes best.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from nstbench import errors
from nstbench.networks import Extractor
from nstbench.transfer.terms import Inputs, Term, View


@dataclass(frozen=True)
class Objective:
    """`terms(images, parameters)` maps images `(N, H, W, 3)` in [0, 1] to the weighted terms.

    They come by name, each `(N,)`; the loss is their sum, and exactly this sum is differentiated.
    """

    terms: Callable[[Any, Any], dict[str, Any]]
    parameters: dict[str, Any]


def build(
    extractor: Extractor,
    terms: Mapping[str, tuple[Term, float]],
    content: np.ndarray,
    styles: Sequence[tuple[np.ndarray, float]],
    compile: Callable[[Callable], Callable] = lambda function: function,
    dtype: str = "float32",
    network_dtype: str = "float32",
) -> Objective:
    """Extract the targets and bind the terms, each given with its weight.

    `content` is `(H, W, 3)` and each style `(h, w, 3)`, float32 in [0, 1], with its blend weight
    (weights are divided by their sum). `compile` turns a pure function into a fast one for the
    one-off passes that extract the targets. Losses are computed in `dtype`, the network's pass in
    `network_dtype`.

    Raises `SettingsError` for an unknown layer, and where there is no term.
    """
    _check_layers(extractor, terms)
    network = keras.tree.map_structure(
        lambda array: ops.cast(ops.convert_to_tensor(array), network_dtype), extractor.parameters
    )

    def features(images, parameters, layers):
        taps = extractor.features(ops.cast(images, network_dtype), parameters, layers)
        return {layer: ops.cast(taps[layer], dtype) for layer in layers}

    def view(pixels):
        image = ops.convert_to_tensor(pixels[None], dtype=dtype)

        def features_of(layers):
            if not layers:
                return {}
            return compile(lambda x, p: features(x, p, tuple(layers)))(image, network)

        return View(image, features_of)

    whole = sum(weight for _, weight in styles)
    inputs = Inputs(
        view(content), tuple((view(pixels), float(weight / whole)) for pixels, weight in styles)
    )
    targets = {name: term.target(inputs) for name, (term, _) in terms.items()}
    return Objective(_bound(features, terms), {"network": network, "targets": targets})


def layers_of(terms: Mapping[str, tuple[Term, float]]) -> tuple[str, ...]:
    """All taps that the terms read, each once."""
    return tuple(dict.fromkeys(layer for term, _ in terms.values() for layer in _taps(term)))


def _bound(features_of, terms):
    layers = layers_of(terms)

    def weighted(images, parameters):
        features = features_of(images, parameters["network"], layers) if layers else {}
        targets = parameters["targets"]
        return {
            name: weight
            * term(images, {layer: features[layer] for layer in _taps(term)}, targets[name])
            for name, (term, weight) in terms.items()
        }

    return weighted


def _taps(term: Term) -> tuple[str, ...]:
    return tuple(getattr(term, "layers", ()))


def _check_layers(extractor: Extractor, terms: Mapping[str, tuple[Term, float]]) -> None:
    if not terms:
        raise errors.SettingsError("the objective has no terms")
    for layer in layers_of(terms):
        if layer not in extractor.layers:
            raise errors.unknown(f"layer of {extractor.name}", layer, extractor.layers)
