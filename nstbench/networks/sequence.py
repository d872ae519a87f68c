"""Networks whose layers follow one another: the VGGs and AlexNet, from weights of our own reading.

Only what lies below the deepest wanted tap is computed and kept.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from keras import ops

from nstbench.engine import kernels
from nstbench.networks.extractor import Extractor, Origin
from nstbench.networks.names import layer_names
from nstbench.networks.prepared import Prepared
from nstbench.networks.weights import CAFFE, TORCHVISION

Step = Callable[[Any, Mapping], Any]  # (tensor, parameters) -> tensor
Convolution = Callable[[Any, Mapping], Any]  # (tensor, arrays of its layer) -> tensor

CAFFE_MEAN = (103.939, 116.779, 123.68)  # BGR, of ImageNet, on 0..255
TORCHVISION_MEAN = (0.485, 0.456, 0.406)  # RGB, of ImageNet, on 0..1
TORCHVISION_STD = (0.229, 0.224, 0.225)


def sequence(
    prepared: Prepared,
    steps: Mapping[str, Step],
    taps: Collection[str] | None,
    defaults: Mapping[str, Sequence[str]],
) -> Extractor:
    """An extractor whose taps `steps` follow one another; it holds what `taps` need."""
    names, loaded = list(steps), prepared.weights
    depth = max((names.index(tap) for tap in taps or names if tap in steps), default=len(names))
    needed = {name.removesuffix(".pre") for name in names[: depth + 1]}

    def arrays(name: str) -> dict:
        ready = prepared.arrays.pop(name, None)
        return ready.result() if ready else kernels.prepare(*loaded.layers[name])

    parameters = {
        # A copy: TensorFlow's tensors otherwise keep the host's array alive beside their own.
        name: {key: ops.copy(ops.convert_to_tensor(array)) for key, array in arrays(name).items()}
        for name in loaded.layers
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
    return Extractor(loaded.network, origin, parameters, tuple(steps), compute, defaults)


def steps_to(
    network: str, pool: Callable[[Any], Any], first: Convolution = kernels.conv2d
) -> dict[str, Step]:
    """The step to each layer of `network`; its first convolution is `first`."""
    layers = layer_names(network)

    def step(layer: str) -> Step:
        name = layer.removesuffix(".pre")
        convolve = first if layer == layers[0] else kernels.conv2d
        if layer != name:
            return lambda x, parameters: convolve(x, parameters[name])
        activate = pool if "pool" in layer else ops.relu
        return lambda x, parameters: activate(x)

    return {layer: step(layer) for layer in layers}


def _caffe(image):
    """RGB in [0, 1] to BGR in 0..255 minus ImageNet's mean."""
    return 255.0 * ops.flip(image, axis=-1) - _like(image, CAFFE_MEAN)


def _torchvision(image):
    """RGB in [0, 1], minus ImageNet's mean, over its standard deviation."""
    return (image - _like(image, TORCHVISION_MEAN)) / _like(image, TORCHVISION_STD)


def _like(image, channels: tuple[float, ...]):
    return ops.convert_to_tensor(channels, dtype=image.dtype)


_PREPROCESSING = {CAFFE: _caffe, TORCHVISION: _torchvision}
