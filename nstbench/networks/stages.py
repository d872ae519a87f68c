"""Which layers of a network to take where nobody has chosen any.

A *stage* is what lies between two halvings of the picture. Where a network has five of them or
more, style is compared at the ends of five, spread from the first to the last, else at five layers
spread over the whole; content just before the one that lies at 80 % of the way.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras

STYLE_LAYERS = 5
CONTENT_DEPTH = 0.8  # of the style layers, from the image upwards
SIZE = 512  # pixels of the picture whose way through the network is looked at: it is only planned

_NOTHING_NEW = (
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D,
    keras.layers.Rescaling,
    keras.layers.Normalization,
    keras.layers.Dropout,
    keras.layers.BatchNormalization,
)


def default_layers(model: keras.Model, taps: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """`{"content": (...), "style": (...)}` for a functional model with the tensors `taps`.

    Layers that all later ones depend on (the end of a residual or an inception block) are
    preferred to those inside a branch; normalisations and what only moves pixels are passed over.
    """
    narrow = _narrow_points(model)
    learnt = _first_convolution(model)
    behind = {
        tap: tensor
        for tap, tensor in taps.items()
        if _position(model, tensor) >= learnt and not isinstance(_operation(tensor), _NOTHING_NEW)
    } or dict(taps)
    candidates = {tap: tensor for tap, tensor in behind.items() if id(tensor) in narrow}
    if len(candidates) < STYLE_LAYERS:
        candidates = behind
    ends = _stage_ends(model, candidates)
    found = chosen(ends if len(ends) >= STYLE_LAYERS else list(candidates))
    return found | {"content": (_before(candidates, found),)}


def _before(candidates: Mapping[str, Any], found: Mapping[str, tuple[str, ...]]) -> str:
    """The last layer of the content layer's kind before it that style has not taken; else itself.

    So the two terms do not share a layer, as in the published objectives.
    """
    (content,) = found["content"]
    kind = type(_operation(candidates[content]))
    names = list(candidates)
    for name in reversed(names[: names.index(content)]):
        if name in found["style"]:
            break
        if isinstance(_operation(candidates[name]), kind):
            return name
    return content


def chosen(layers: Sequence[Any], count: int = STYLE_LAYERS) -> dict[str, tuple[Any, ...]]:
    """At most `count` of `layers`, evenly spread to the last one, and the content layer of them."""
    count = min(count, len(layers))
    steps = max(1, count - 1)
    style = tuple(layers[round(i * (len(layers) - 1) / steps)] for i in range(count))
    return {"content": (style[max(1, round(CONTENT_DEPTH * count)) - 1],), "style": style}


def _stage_ends(model: keras.Model, candidates: Mapping[str, Any]) -> list[str]:
    """The last of the candidates at each scale 1, 1/2, 1/4, ...; none where shapes do not work."""
    part = keras.Model(model.inputs, dict(candidates))
    height, width = (size or SIZE for size in model.inputs[0].shape[1:3])
    try:
        shapes = part.compute_output_spec(keras.KerasTensor((1, height, width, 3)))
    except ValueError:  # a model that is not for every size of picture
        return []
    ends: dict[int, str] = {}
    for tap in candidates:  # the answer's own order is the backend's
        ends[round(math.log2(height / max(1, shapes[tap].shape[1])))] = tap
    return sorted(ends.values(), key=list(candidates).index)


def _narrow_points(model: keras.Model) -> set[int]:
    """Identities of the tensors through which everything flows that comes after them."""
    last_use: dict[int, int] = {}
    for position, operation in enumerate(model.operations):
        if not isinstance(operation, keras.layers.InputLayer):
            for tensor in keras.tree.flatten(operation.input):
                last_use[id(tensor)] = position
    narrow, alive_until = set(), -1
    for position, operation in enumerate(model.operations):
        tensors = keras.tree.flatten(operation.output)
        if alive_until <= position and len(tensors) == 1:
            narrow.add(id(tensors[0]))
        alive_until = max([alive_until, *(last_use.get(id(t), position) for t in tensors)])
    return narrow


def _first_convolution(model: keras.Model) -> int:
    """Position of the first operation with a kernel of four axes; 0 where there is none."""
    return next(
        (
            position
            for position, operation in enumerate(model.operations)
            if any(len(v.shape) == 4 for v in getattr(operation, "weights", ()))
        ),
        0,
    )


def _operation(tensor: Any) -> Any:
    return tensor._keras_history.operation


def _position(model: keras.Model, tensor: Any) -> int:
    return model.operations.index(_operation(tensor))
