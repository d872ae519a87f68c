"""The models of `keras.applications`, by name: resnet50, inception_v3, mobilenet_v2, ...

Options are the parameters of the model's own function (`extractor.alpha=0.5` for MobileNet), but
for those that decide whether it is a network for pictures of any size.
"""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from nstbench import outside
from nstbench.errors import SettingsError, WeightsError
from nstbench.networks.extractor import Extractor, Request
from nstbench.networks.models import application_functions, from_model
from nstbench.networks.names import plain

OURS = {
    "include_top": False,
    "input_shape": (None, None, 3),
    "input_tensor": None,
    "pooling": None,
    "classes": None,
    "classifier_activation": None,
    "include_preprocessing": None,
    "name": None,
    "weights": None,
}


def build(request: Request) -> Extractor:
    """The model that `request` names, without its dense layers, with its own preprocessing.

    Weights are "imagenet", "random" or a path. Raises `WeightsError` where they cannot be had.
    """
    name, weights = request.name, request.weights
    function = application_functions()[plain(name)]
    options = _options(request, function)
    if weights not in ("imagenet", "random") and not Path(weights).is_file():
        raise WeightsError(
            f"no weights file at {weights}; the weights of {name} are imagenet, random or a path"
        )
    model = _built(request, function, options)
    source = "keras.applications" if weights == "imagenet" else f"file {Path(weights).name}"
    if weights == "random":
        randomise(model, request.seed)
        source = f"He initialisation, seed {request.seed}"
    return from_model(model, name, source)


def _options(request: Request, function: Callable) -> dict[str, Any]:
    known = outside.parameters(function)
    if set(known) <= set(OURS):
        request.refuse_options()
    return outside.check_options(request.name, request.options, known, OURS)


def _built(request: Request, function: Callable, options: dict[str, Any]):
    """The model with its weights (of "random": any), for pictures of any size."""
    name, weights = request.name, request.weights
    imagenet = weights == "imagenet"
    if imagenet and request.progress:
        request.progress(f"weights of {name}", 0, None)
    try:
        # Keras reports its download on standard output, where a library has no business.
        with contextlib.redirect_stdout(io.StringIO()):
            model = function(
                include_top=False,
                weights="imagenet" if imagenet else None,
                input_shape=OURS["input_shape"],
                **options,
            )
            if weights not in ("imagenet", "random"):
                model.load_weights(weights)
    except Exception as error:  # Keras raises plain `Exception` where a download fails
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if weights == "random":
            raise SettingsError(f"keras.applications cannot make {name}: {reason}") from error
        raise WeightsError(
            f"the {weights} weights of {name} cannot be had ({reason}); give a file as "
            "weights=<path>, connect to the internet, or use weights=random"
        ) from error
    return model


def randomise(model: keras.Model, seed: int) -> None:
    """He initialisation of all kernels (as `weights.load`'s); the other variables keep theirs."""
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        if len(variable.shape) < 2:
            continue
        depthwise = "depthwise" in variable.path  # each input channel has a kernel of its own
        fan_in = np.prod(variable.shape[: 2 if depthwise else -1])
        values = generator.standard_normal(tuple(variable.shape), np.float32)
        variable.assign(values * np.float32(np.sqrt(2 / fan_in)))
