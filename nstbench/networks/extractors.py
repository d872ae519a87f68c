"""Networks that turn pictures into features.

An `Extractor` takes images in [0, 1] and does its network's own preprocessing inside. Its
parameters are plain tensors that travel as arguments into the compiled function. Three kinds:

- the VGGs (`vgg19`, `vgg16`) with max or average pooling, on `nstbench.engine.kernels`;
- `alexnet`, as torchvision defines it;
- any model of `keras.applications` by name (`inception_v3`, `resnet50`, ...), or a model given.

A *tap* is the name of a tensor inside: `block1_conv1` after the ReLU, `block1_conv1.pre` before it.
Only what lies below the deepest wanted tap is computed.
"""

import contextlib
import io
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from nstbench import errors
from nstbench.engine import kernels as convolutions
from nstbench.engine.kernels import Fast
from nstbench.errors import SettingsError, WeightsError
from nstbench.networks import weights as network_weights
from nstbench.networks.weights import NetworkWeights, Progress

POOLINGS = {"max": convolutions.max_pool, "avg": convolutions.avg_pool}
KERNELS = ("direct", "fast")

_CAFFE_MEAN = (103.939, 116.779, 123.68)  # BGR, of ImageNet, on 0..255
_TORCHVISION_MEAN = (0.485, 0.456, 0.406)  # RGB, of ImageNet, on 0..1
_TORCHVISION_STD = (0.229, 0.224, 0.225)

_ALEXNET_STRIDE, _ALEXNET_PADDING = 4, 2  # of its first convolution
_ALEXNET_POOLED = ("conv1", "conv2", "conv5")  # followed by a 3x3 max pool with stride 2


@dataclass(frozen=True)
class Origin:
    """Where the loaded weights came from, and the SHA-256 of their values."""

    source: str
    sha256: str


@dataclass(frozen=True)
class Extractor:
    """One network, ready to use.

    `compute(image, parameters, layers)` is what `features` runs once the layers are known to
    exist; `parameters` is any structure of float32 tensors; `layers` are all taps, from the image
    upwards.
    """

    name: str
    weights: Origin
    parameters: Any
    layers: tuple[str, ...]
    compute: Callable[[Any, Any, tuple[str, ...]], dict[str, Any]]

    def features(self, image, parameters, layers: Sequence[str]) -> dict[str, Any]:
        """The tensors at the taps `layers`: `(N, h, w, C)` each, for images `(N, H, W, 3)`.

        Images are float32 RGB in [0, 1]; `parameters` are this extractor's, perhaps as arguments
        of a compiled function. Raises `SettingsError` for a tap that does not exist.
        """
        for layer in layers:
            if layer not in self.layers:
                raise errors.unknown(f"layer of {self.name}", layer, self.layers)
        return self.compute(image, parameters, tuple(layers))


def build(
    name: str,
    weights: str,
    pooling: str | None = None,
    kernels: str = "direct",
    seed: int = 0,
    progress: Progress | None = None,
    taps: Collection[str] | None = None,
    pixels: int = 256 * 256,
) -> Extractor:
    """The extractor `name`: "vgg19", "vgg16", "alexnet" or a model of `keras.applications`.

    `weights` as in `weights.load`; a model of `keras.applications` knows "imagenet", "random" and
    a path. `pooling` is "max" or "avg" for a VGG and None otherwise. `kernels` is "direct" or
    "fast" (see `kernels.choose`; a VGG's alone), and `pixels` the size of picture to choose them
    for; any other can be shown. `seed` draws random weights; `progress` is told of downloads.
    `taps` are the only layers that will be asked for, None where any may be: weights above them
    are not kept.

    Raises `SettingsError` for an unknown name or an option that the network lacks, `WeightsError`
    where the weights cannot be had.
    """
    if kernels not in KERNELS:
        raise errors.unknown("kernels", kernels, KERNELS)
    is_vgg = name in ("vgg16", "vgg19")
    if is_vgg and pooling not in POOLINGS:
        raise errors.unknown(f"extractor.pooling of {name}", pooling, POOLINGS)
    if not is_vgg and pooling is not None:
        raise SettingsError(
            f"extractor.pooling={pooling} is for vgg19 and vgg16; {name} needs null"
        )
    if is_vgg:
        loaded = network_weights.load(name, weights, progress, seed)
        fast = _vgg_fast(loaded, pixels) if kernels == "fast" else {}
        return _sequence(loaded, _vgg_steps(loaded, POOLINGS[pooling]), fast, taps)
    if name == "alexnet":
        loaded = network_weights.load(name, weights, progress, seed)
        return _sequence(loaded, _alexnet_steps(loaded), {}, taps)
    return _application(name, weights, seed, progress)


# ---------------------------------------------------------------- plain sequences


_Step = Callable[[Any, Mapping], Any]  # (tensor, parameters) -> tensor


def _sequence(
    loaded: NetworkWeights,
    steps: dict[str, _Step],
    fast: Mapping[str, Fast],
    taps: Collection[str] | None,
) -> Extractor:
    """An extractor whose taps `steps` follow one another; it holds what `taps` need."""
    names = list(steps)
    depth = max((names.index(tap) for tap in taps or names if tap in steps), default=len(names))
    needed = {name.removesuffix(".pre") for name in names[: depth + 1]}
    parameters = {
        name: {
            # A copy: TensorFlow's tensors otherwise keep the host's array alive beside their own.
            key: ops.copy(ops.convert_to_tensor(array))
            for key, array in convolutions.prepare(*layer, fast.get(name, Fast.NOWHERE)).items()
        }
        for name, layer in loaded.layers.items()
        if name in needed
    }
    preprocess = _PREPROCESSING[loaded.preprocessing]

    def compute(image, parameters, layers):
        x, found = preprocess(image), {}
        for tap, step in steps.items():
            if len(found) == len(set(layers)):
                break
            x = step(x, parameters)
            if tap in layers:
                found[tap] = x
        return found

    origin = Origin(loaded.source, loaded.sha256)
    return Extractor(loaded.network, origin, parameters, tuple(steps), compute)


def _vgg_steps(loaded: NetworkWeights, pool) -> dict[str, _Step]:
    """Keras's layer names; every block ends with a pool (Simonyan & Zisserman 2014, table 1)."""
    blocks: dict[str, list[str]] = {}
    for name in loaded.layers:
        blocks.setdefault(name.partition("_")[0], []).append(name)
    steps: dict[str, _Step] = {}
    for block, names in blocks.items():
        for name in names:
            steps |= _convolution(name, convolutions.conv2d)
        steps[f"{block}_pool"] = lambda x, parameters: pool(x)
    return steps


def _vgg_fast(loaded: NetworkWeights, pixels: int) -> dict[str, Fast]:
    """Every block's pool doubles the pixels per step of the layers after it."""
    blocks = {name: int(name.partition("_")[0].removeprefix("block")) for name in loaded.layers}
    return {name: convolutions.choose(2 ** (n - 1), pixels) for name, n in blocks.items()}


def _alexnet_steps(loaded: NetworkWeights) -> dict[str, _Step]:
    """torchvision's AlexNet (Krizhevsky 2014, "One weird trick ..."), convolutional part."""
    steps: dict[str, _Step] = {}
    for name in loaded.layers:
        steps |= _convolution(name, _strided if name == "conv1" else convolutions.conv2d)
        if name in _ALEXNET_POOLED:
            steps[name.replace("conv", "pool")] = lambda x, parameters: ops.max_pool(
                x, 3, strides=2, padding="valid", data_format="channels_last"
            )
    return steps


def _convolution(name: str, convolve) -> dict[str, _Step]:
    return {
        f"{name}.pre": lambda x, parameters: convolve(x, parameters[name]),
        name: lambda x, parameters: ops.relu(x),
    }


def _strided(x, layer):
    pad = (_ALEXNET_PADDING, _ALEXNET_PADDING)
    x = ops.pad(x, ((0, 0), pad, pad, (0, 0)))
    stride = _ALEXNET_STRIDE
    y = ops.conv(x, layer["kernel"], stride, padding="valid", data_format="channels_last")
    return y + layer["bias"]


def _caffe(image):
    """RGB in [0, 1] to BGR in 0..255 minus ImageNet's mean."""
    return 255.0 * ops.flip(image, axis=-1) - _like(image, _CAFFE_MEAN)


def _torchvision(image):
    """RGB in [0, 1], minus ImageNet's mean, over its standard deviation."""
    return (image - _like(image, _TORCHVISION_MEAN)) / _like(image, _TORCHVISION_STD)


def _like(image, channels: tuple[float, ...]):
    return ops.convert_to_tensor(channels, dtype=image.dtype)


_PREPROCESSING = {network_weights.CAFFE: _caffe, network_weights.TORCHVISION: _torchvision}


# ---------------------------------------------------------------- keras.applications


def applications() -> dict[str, Callable]:
    """The model functions of `keras.applications`, by name in lower case: "inceptionv3", ..."""
    found = vars(keras.applications).items()
    return {name.lower(): value for name, value in found if name[0].isupper() and callable(value)}


def _application(name: str, weights: str, seed: int, progress: Progress | None) -> Extractor:
    known = applications()
    function = known.get(_plain(name))
    if function is None or _plain(name) in network_weights.NETWORKS:
        raise errors.unknown("extractor", name, {*network_weights.NETWORKS, *known})
    if weights not in ("imagenet", "random") and not Path(weights).is_file():
        raise WeightsError(
            f"no weights file at {weights}; the weights of {name} are imagenet, random or a path"
        )
    model = _built(name, function, weights, progress)
    source = "keras.applications" if weights == "imagenet" else f"file {Path(weights).name}"
    if weights == "random":
        _randomise(model, seed)
        source = f"He initialisation, seed {seed}"
    return from_model(model, name, source)


def _built(name, function, weights, progress):
    """The model without its dense layers, for pictures of any size."""
    imagenet = weights == "imagenet"
    if imagenet and progress:
        progress(f"weights of {name}", 0, None)
    try:
        # Keras reports its download on standard output, where a library has no business.
        with contextlib.redirect_stdout(io.StringIO()):
            model = function(
                include_top=False,
                weights="imagenet" if imagenet else None,
                input_shape=(None, None, 3),
            )
            if weights not in ("imagenet", "random"):
                model.load_weights(weights)
    except Exception as error:  # Keras raises plain `Exception` where a download fails
        if weights == "random":
            raise
        reason = str(error).strip().splitlines()[0]
        raise WeightsError(
            f"the {weights} weights of {name} cannot be had ({reason}); give a file as "
            "weights=<path>, connect to the internet, or use weights=random"
        ) from error
    return model


def _randomise(model, seed: int) -> None:
    """He initialisation of all kernels (as `weights.load`'s); the other variables keep theirs."""
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        if len(variable.shape) < 2:
            continue
        depthwise = "depthwise" in variable.path  # each input channel has a kernel of its own
        fan_in = np.prod(variable.shape[: 2 if depthwise else -1])
        values = generator.standard_normal(tuple(variable.shape), np.float32)
        variable.assign(values * np.float32(np.sqrt(2 / fan_in)))


def from_model(model, name: str | None = None, source: str = "a model given") -> Extractor:
    """An extractor of a Keras functional model, with its weights as they are now.

    Pictures are preprocessed as `keras.applications` does for a model of this name (`model.name`
    unless given); a model of another name is shown 0..255 as it stands. Taps are the layers with
    outputs (N, h, w, C). Raises `SettingsError` when the model has no such layer.
    """
    if not getattr(model, "inputs", None) or len(model.inputs) != 1:
        raise SettingsError("an extractor must be a functional Keras model with one input")
    name = name or model.name
    taps = _taps(model)
    if not taps:
        raise SettingsError(f"{name} has no layer with an output of shape (N, h, w, C)")
    values = [np.asarray(ops.convert_to_numpy(variable.value)) for variable in model.variables]
    digest = network_weights.digest({str(i): (value,) for i, value in enumerate(values)})
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
    return Extractor(name, Origin(source, digest), parameters, tuple(taps), compute)


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
    is_automatic = _plain(match[1]) == type(layer).__name__.lower()
    return (match[1], int(match[2] or 0)) if is_automatic else None


def preprocess_input(name: str):
    """Keras's `preprocess_input`, from 0..255, for a model of this name; else the identity."""
    function = applications().get(_plain(name))
    if function is None:
        return lambda image: image
    return getattr(keras.applications, function.__module__.rpartition(".")[2]).preprocess_input


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _check_size(name: str, model, image) -> None:
    wanted = tuple(model.inputs[0].shape[1:3])
    if any(w not in (None, h) for w, h in zip(wanted, image.shape[1:3], strict=True)):
        raise SettingsError(
            f"{name} takes pictures of {wanted[0]} x {wanted[1]} only: use that size, or build it "
            "with include_top=False and input_shape=(None, None, 3)"
        )
