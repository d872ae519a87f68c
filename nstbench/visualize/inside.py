"""What is inside: names and shapes of layers, first kernels, feature maps, reconstructions.

Arrays in, arrays out; nothing is drawn here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from keras import ops

from nstbench import engine as engines
from nstbench import errors, networks, optimizers
from nstbench.networks import models
from nstbench.networks import weights as network_weights
from nstbench.networks.weights import Progress
from nstbench.pictures import images
from nstbench.settings import config
from nstbench.settings.config import Settings
from nstbench.transfer import problem as problems


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


def layer_shapes(
    settings: Settings, progress: Progress | None = None
) -> dict[str, tuple[int, int, int]]:
    """(rows, columns, channels) of every layer's features for a picture of `settings.size`."""
    engine = engines.load(settings.device)
    with engine.scope():
        extractor = _extractor(settings, progress)
        grey = np.full((1, settings.size, settings.size, 3), 0.5, np.float32)
        found = extractor.features(
            ops.convert_to_tensor(grey), extractor.parameters, extractor.layers
        )
    return {layer: tuple(found[layer].shape[1:]) for layer in extractor.layers}


def filters(settings: Settings, progress: Progress | None = None) -> np.ndarray:
    """The first layer's kernels in the picture's RGB: `(k, k, 3, n)`."""
    name = settings.extractor.name
    if name in network_weights.NETWORKS:
        loaded = network_weights.load(name, settings.weights, progress, settings.seed)
        kernel, _ = next(iter(loaded.layers.values()))
        is_bgr = loaded.preprocessing == network_weights.CAFFE
        return kernel[:, :, ::-1] if is_bgr else kernel
    extractor = _extractor(settings, progress)
    arrays = (np.asarray(ops.convert_to_numpy(a)) for a in extractor.parameters)
    kernel = next((a for a in arrays if a.ndim == 4 and a.shape[2] == 3), None)
    if kernel is None:
        raise errors.SettingsError(f"the first layer of {name} is no convolution of colours")
    return kernel[:, :, ::-1] if _reads_bgr(name) else kernel


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


def _first_convolution(extractor: networks.Extractor) -> str:
    """After its ReLU where the network names that."""
    names = [tap for tap in extractor.layers if not tap.endswith(".pre")]
    return next((tap for tap in names if "conv" in tap), names[0])


def _extractor(settings: Settings, progress: Progress | None) -> networks.Extractor:
    pooling = settings.extractor.pooling
    return networks.build(
        settings.extractor.name,
        options={} if pooling is None else {"pooling": pooling},
        weights=settings.weights,
        seed=settings.seed,
        progress=progress,
    )


def content_targets(layers: Sequence[str]) -> list[config.Objective]:
    """One objective per layer: the mean squared distance of its features."""
    return [_objective(content=(layer,)) for layer in layers]


def style_targets(layers: Sequence[str]) -> list[config.Objective]:
    """One objective for the first layer, the first two, ...: the paper's, with w_l = 1 / n."""
    return [_objective(style=tuple(layers[: n + 1])) for n in range(len(layers))]


def _objective(content: tuple[str, ...] = (), style: tuple[str, ...] = ()) -> config.Objective:
    return config.Objective(
        name="reconstruction",
        content=config.Content(list(content), 1.0, "mean"),
        style=config.Style(list(style), 1.0 / max(1, len(style)), "paper", "gram"),
        variation=config.Variation(0.0, "l1_sum", 1.0),
    )


def reconstruct(
    settings: Settings,
    targets: Sequence[config.Objective],
    poolings: Sequence[str | None],
    steps: int,
    stage: Callable[[str], None],
    progress: Progress | None = None,
) -> Iterator[Reconstruction]:
    """From the start image of `settings` towards each target, under each pooling.

    `stage` is told what is going on, in words.
    """
    engine = engines.load(settings.device, settings.precision)
    for pooling in poolings:
        network = replace(settings.extractor, pooling=pooling)
        for target in targets:
            posed = replace(settings, extractor=network, objective=target)
            layers = (*target.content.layers, *target.style.layers)
            stage(f"{layers[-1]}, {pooling} pooling")
            with engine.scope():
                yield _reconstruct(posed, engine, steps, layers, progress)


def _reconstruct(settings, engine, steps, layers, progress) -> Reconstruction:
    problem = problems.load(settings, engine, progress)
    # A style's picture takes the content's size: the Gram matrices know no positions.
    start = problems.start_image(settings, problem.content.pixels)
    optimizer = optimizers.create([settings.optimizer], engine, problem.objective, start[None])
    epoch = optimizer.advance(steps)[0]
    end = optimizer.evaluate()[0]
    return Reconstruction(
        settings.extractor.pooling,
        tuple(layers),
        optimizer.images[0],
        epoch.steps[0].loss,
        end.loss,
    )
