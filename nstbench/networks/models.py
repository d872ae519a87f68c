"""Any functional Keras model as an `Extractor`, with the preprocessing that its name implies."""

import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from nstbench.errors import SettingsError
from nstbench.networks.extractor import Extractor, Origin, values_digest
from nstbench.networks.names import plain
from nstbench.networks.stages import default_layers


def from_model(model, name: str | None = None, source: str = "a model given") -> Extractor:
    """An extractor of a Keras functional model, with its weights as they are now.

    Pictures are preprocessed as `keras.applications` does for a model of this name (`model.name`
    unless given); a model of another name is shown 0..255 as it stands. Taps are the layers with
    outputs (N, h, w, C). Raises `SettingsError` when the model has no such layer.
    """
    if not getattr(model, "inputs", None) or len(model.inputs) != 1:
        raise SettingsError("an extractor must be a functional Keras model with one input")
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    name = name or model.name
    taps = _taps(model)
    if not taps:
        raise SettingsError(f"{name} has no layer with an output of shape (N, h, w, C)")
    values = [np.asarray(ops.convert_to_numpy(variable.value)) for variable in model.variables]
    origin = Origin(source, values_digest(values))
    preprocess = preprocess_input(name)
    place = {id(variable): index for index, variable in enumerate(model.variables)}

    def compute(image, parameters, layers):
        part = keras.Model(model.inputs, {layer: taps[layer] for layer in layers})
        trainable, fixed = (
            [parameters[place[id(variable)]] for variable in variables]
            for variables in (part.trainable_variables, part.non_trainable_variables)
        )
        _check_size(name, model, image)
        pixels = preprocess(255.0 * image)
        found, _ = part.stateless_call(trainable, fixed, pixels, training=False)
        return found

    parameters = [ops.convert_to_tensor(value) for value in values]
    defaults = default_layers(model, taps)
    return Extractor(name, origin, parameters, tuple(taps), compute, defaults)


def _taps(model) -> dict[str, Any]:
    """Symbolic outputs of the layers that give feature maps, by name.

    Keras numbers unnamed layers on through a process (`conv2d_94` in the second InceptionV3);
    here numbers start anew in each model (`conv2d`, `conv2d_1`, ...), as in a fresh process.
    """
    layers = [
        layer
        for layer in model.layers
        if not isinstance(layer, (keras.layers.InputLayer, keras.Model))
        and isinstance(layer.output, keras.KerasTensor)
        and len(layer.output.shape) == 4
    ]
    numbers: dict[str, list[int]] = {}
    automatic = {layer.name: _automatic(layer) for layer in model.layers}
    for kind, number in filter(None, automatic.values()):
        numbers.setdefault(kind, []).append(number)

    def tap(layer):
        if automatic[layer.name] is None:
            return layer.name
        kind, number = automatic[layer.name]
        rank = sorted(numbers[kind]).index(number)
        return f"{kind}_{rank}" if rank else kind

    return {tap(layer): layer.output for layer in layers}


def _automatic(layer) -> tuple[str, int] | None:
    """("conv2d", 3) for a `Conv2D` that Keras named `conv2d_3`; None where someone chose a name."""
    match = re.fullmatch(r"(.+?)(?:_(\d+))?", layer.name)
    is_automatic = plain(match[1]) == type(layer).__name__.lower()
    return (match[1], int(match[2] or 0)) if is_automatic else None


def application_functions() -> dict[str, Callable]:
    """The model functions of `keras.applications`, by name in lower case: "inceptionv3", ..."""
    found = vars(keras.applications).items()
    return {name.lower(): value for name, value in found if name[0].isupper() and callable(value)}


def preprocess_input(name: str):
    """Keras's `preprocess_input`, from 0..255, for a model of this name; else the identity."""
    function = application_functions().get(plain(name))
    if function is None:
        return lambda image: image
    return getattr(keras.applications, function.__module__.rpartition(".")[2]).preprocess_input


def _check_size(name: str, model, image) -> None:
    wanted = tuple(model.inputs[0].shape[1:3])
    if any(w not in (None, h) for w, h in zip(wanted, image.shape[1:3], strict=True)):
        raise SettingsError(
            f"{name} takes pictures of {wanted[0]} x {wanted[1]} only: use that size, or build it "
            "with include_top=False and input_shape=(None, None, 3)"
        )
