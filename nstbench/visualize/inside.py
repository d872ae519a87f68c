"""What is inside: names and shapes of layers, first kernels, feature maps, reconstructions.

Arrays in, arrays out; nothing is drawn here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from nstbench import engine as engines
from nstbench import errors, networks
from nstbench.engine.base import Engine
from nstbench.networks import Extractor, Progress, models
from nstbench.networks import weights as network_weights
from nstbench.optimizers import find, minimise, schedules
from nstbench.pictures import images
from nstbench.settings.model import ObjectiveSettings, Settings
from nstbench.transfer import problem as problems


@dataclass(frozen=True)
class Layer:
    """A tap: its features' (rows, columns, channels), and the terms that take it by default."""

    shape: tuple[int, int, int]
    default_for: tuple[str, ...]


@dataclass(frozen=True)
class Maps:
    """Feature maps of one layer: `values` is `(h, w, n)`, channels `first` ... of `channels`."""

    layer: str
    values: np.ndarray
    first: int
    channels: int


@dataclass(frozen=True)
class Reconstruction:
    """A picture `(H, W, 3)` in [0, 1] that agrees with a target in some layers.

    `loss` is the distance that was left, `start` that of the noise.
    """

    pooling: str | None
    layers: tuple[str, ...]
    pixels: np.ndarray
    start: float
    loss: float


def layers(settings: Settings, progress: Progress | None = None) -> dict[str, Layer]:
    """Every layer, from the image upwards, for a picture of `settings.size`.

    Names and shapes need no trained weights: a built-in network is drawn at random.
    """
    weights = "random" if settings.extractor.target is None else settings.weights
    engine = engines.load(settings.device)
    with engine.scope():
        extractor = _extractor(settings.model_copy(update={"weights": weights}), progress)
        grey = np.full((1, settings.size, settings.size, 3), 0.5, np.float32)
        found = extractor.features(
            ops.convert_to_tensor(grey), extractor.parameters, extractor.layers
        )
    defaults = networks.default_layers(extractor)
    return {
        layer: Layer(
            tuple(found[layer].shape[1:]),
            tuple(term for term, chosen in defaults.items() if layer in chosen),
        )
        for layer in extractor.layers
    }


def filters(settings: Settings, progress: Progress | None = None) -> np.ndarray:
    """The first layer's kernels in the picture's RGB: `(k, k, 3, n)`."""
    name = settings.extractor.name
    if settings.extractor.target is None and name in network_weights.NETWORKS:
        loaded = network_weights.load(name, settings.weights, progress, settings.seed)
        kernel, _ = next(iter(loaded.layers.values()))
        is_bgr = loaded.preprocessing == network_weights.CAFFE
        return kernel[:, :, ::-1] if is_bgr else kernel
    extractor = _extractor(settings, progress)
    arrays = (
        np.asarray(ops.convert_to_numpy(each)) for each in keras.tree.flatten(extractor.parameters)
    )
    kernel = next((a for a in arrays if a.ndim == 4 and a.shape[2] == 3), None)
    if kernel is None:
        raise errors.SettingsError(f"the first layer of {name} is no convolution of colours")
    return kernel[:, :, ::-1] if _reads_bgr(extractor.name) else kernel


def _reads_bgr(name: str) -> bool:
    """Whether `keras.applications` hands colours to the network `name` in reverse order."""
    preprocess = models.preprocess_input(name)
    black, red = np.zeros((1, 1, 1, 3), np.float32), np.zeros((1, 1, 1, 3), np.float32)
    red[..., 0] = 1.0
    answers = [ops.convert_to_numpy(preprocess(each)) for each in (black, red)]
    return bool(np.argmax(np.abs(answers[1] - answers[0])) == 2)


def features(
    settings: Settings,
    layer: str | None,
    first: int,
    count: int,
    progress: Progress | None = None,
) -> tuple[images.Picture, Maps]:
    """Channels `first` ... `first + count` of `layer` for the content picture.

    Raises `SettingsError` for an unknown layer or channels that the layer does not have.
    """
    picture = images.load(settings.content, settings.size, settings.keep_aspect)
    engine = engines.load(settings.device)
    with engine.scope():
        extractor = _extractor(settings, progress)
        layer = layer or _first_convolution(extractor)
        found = extractor.features(
            ops.convert_to_tensor(picture.pixels[None]), extractor.parameters, [layer]
        )
        values = engine.to_numpy(found[layer])[0]
    channels = values.shape[-1]
    if first >= channels:
        raise errors.SettingsError(f"first={first}: {layer} has the channels 0 to {channels - 1}")
    return picture, Maps(layer, values[..., first : first + count], first, channels)


def _first_convolution(extractor: Extractor) -> str:
    """After its ReLU where the network names that."""
    names = [tap for tap in extractor.layers if not tap.endswith(".pre")]
    return next((tap for tap in names if "conv" in tap), names[0])


def _extractor(settings: Settings, progress: Progress | None) -> Extractor:
    return networks.build(
        settings.extractor.name,
        settings.extractor.target,
        settings.extractor.options,
        weights=settings.weights,
        seed=settings.seed,
        progress=progress,
    )


def targets(
    settings: Settings, term: Mapping[str, Any], layers: Sequence[str] | None, growing: bool
) -> list[ObjectiveSettings]:
    """Objectives of one `term` each: of every layer alone, or `growing`: the first, the first two.

    The layers weigh 1 / n each. Without `layers`, those of the network's style are taken.
    """
    if layers is None:
        engine = engines.load(settings.device)
        with engine.scope():
            layers = networks.default_layers(_extractor(settings, None))["style"]
    sets = [layers[: n + 1] if growing else [layers[n]] for n in range(len(layers))]
    return [_objective(term, each) for each in sets]


def _objective(term: Mapping[str, Any], layers: Sequence[str]) -> ObjectiveSettings:
    whole = {**term, "layers": list(layers), "weight": 1.0 / len(layers)}
    return ObjectiveSettings(name="reconstruction", terms={str(term["target"]): whole})


def reconstruct(
    settings: Settings,
    objectives: Sequence[ObjectiveSettings],
    poolings: Sequence[str],
    steps: int,
    stage: Callable[[str], None],
    progress: Progress | None = None,
) -> Iterator[Reconstruction]:
    """From the start image of `settings` towards each target, under each pooling.

    A network that has no choice of pooling keeps its own. `stage` is told what is going on, in
    words.
    """
    engine = engines.load(settings.device, settings.precision)
    has_choice = "pooling" in settings.extractor.options
    for pooling in poolings if has_choice else (None,):
        options = settings.extractor.options | ({"pooling": pooling} if has_choice else {})
        network = settings.extractor.model_copy(update={"options": options})
        for objective in objectives:
            (term,) = objective.terms.values()
            posed = settings.model_copy(update={"extractor": network, "objective": objective})
            stage(f"{term['layers'][-1]}, {pooling} pooling" if pooling else term["layers"][-1])
            with engine.scope():
                yield _reconstruct(posed, engine, steps, pooling, term["layers"], progress)


def _reconstruct(
    settings: Settings,
    engine: Engine,
    steps: int,
    pooling: str | None,
    layers: Sequence[str],
    progress: Progress | None,
) -> Reconstruction:
    problem = problems.load(settings, engine, progress)
    # A style's picture takes the content's size: the Gram matrices know no positions.
    start = problems.start_image(settings, problem.content.pixels)
    schedule = schedules.build(settings.schedule, steps)
    optimizer = find.create(settings.optimizer, settings.lr, schedule, engine)
    descent = minimise.create(engine, problem.objective, start, optimizer, settings.optimizer.box)
    began = descent.advance(steps).steps[0]
    made = Reconstruction(
        pooling, tuple(layers), descent.image, began.loss, descent.evaluate().loss
    )
    descent.close()
    return made
