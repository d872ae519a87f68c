"""A network of one's own: a Keras model or an `Extractor` that a path names.

extractor=./my_net.py:build       a function of a file that returns one
extractor=mylab.nets.small        one in an installed package, or what makes it
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from nstbench import outside
from nstbench.errors import SettingsError, WeightsError
from nstbench.networks import stages
from nstbench.networks.applications import randomise
from nstbench.networks.extractor import Extractor, Origin, Request, values_digest
from nstbench.networks.models import from_model


def build(request: Request) -> Extractor:
    """The network at `request.target`, under its own name.

    What the path names is called with the options, and with `seed` where it has such a parameter;
    a model or an `Extractor` is taken as it is. Values drawn at random are the same in every
    process. `weights` is "imagenet" for those that the network brings, "random", or the path of a
    file that the model loads. Raises `SettingsError`, in one line, where there is no network.
    """
    network = _made(request)
    if isinstance(network, Extractor):
        return _extractor(request, network)
    if not isinstance(network, keras.Model):
        raise SettingsError(
            f"{request.target} gives {_kind(network)}; a network is a functional Keras model or "
            "an nstbench.networks.Extractor"
        )
    source = _load(request, network)
    return from_model(network, source=source)


def _made(request: Request) -> Any:
    target = request.target
    keras.utils.set_random_seed(request.seed)
    found = outside.locate(target)
    if isinstance(found, keras.Model | Extractor):
        request.refuse_options()
        return found
    if not callable(found):
        raise SettingsError(f"{target} is {_kind(found)} and not a function that makes a network")
    known = outside.parameters(found)
    ours = {"seed": request.seed} if "seed" in known and "seed" not in request.options else {}
    options = request.options
    if not outside.takes_any(found):
        if not set(known) - set(ours):
            request.refuse_options()
        options = outside.check_options(target, options, known, ours)
    try:
        return found(**options, **ours)
    except Exception as error:
        text = " ".join(str(error).split())
        raise SettingsError(f"{target} raised {type(error).__name__}: {text}") from error


def _extractor(request: Request, network: Extractor) -> Extractor:
    if request.weights != "imagenet":
        raise WeightsError(
            f"{request.target} brings its own weights: leave out weights={request.weights}"
        )
    if not network.layers:
        raise SettingsError(f"{request.target} gives an Extractor without layers")
    return replace(
        network,
        layers=tuple(network.layers),
        weights=Origin(_described(request.target), values_digest(network.parameters)),
        defaults=network.defaults or stages.chosen(network.layers),
    )


def _load(request: Request, model: keras.Model) -> str:
    """Give the model the weights that were asked for, and say where they are from."""
    weights = request.weights
    if weights == "imagenet":
        return _described(request.target)
    if weights == "random":
        randomise(model, request.seed)
        return f"He initialisation, seed {request.seed}"
    path = Path(weights).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"no weights file at {weights}; leave weights out for those that {request.target} "
            "brings, or give random or a path"
        )
    try:
        model.load_weights(path)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{weights} holds no weights of {request.target}: {reason}") from error
    return f"file {path.name}"


def _described(target: str) -> str:
    """`my_net.py:build` for a file, the path for what can be imported."""
    file = outside.file_of(target)
    return f"{file.name}:{target.rpartition(':')[2]}" if file else target


def _kind(value: Any) -> str:
    return f"an object of type {type(value).__name__}"
