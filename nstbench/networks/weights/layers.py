"""What weights are: convolutions by name, their shapes, their check-sum, and what belongs to them.

Layers are convolutions only, in network order: kernel (height, width, input, output channel) and
bias, float32.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from nstbench import errors
from nstbench.errors import WeightsError

Layers = Mapping[str, tuple[np.ndarray, np.ndarray]]
Shapes = Mapping[str, tuple[int, int, int, int]]
Progress = Callable[[str, int, int | None], None]  # what, bytes so far, bytes in all if known

NETWORKS = ("vgg19", "vgg16", "alexnet")
CAFFE, TORCHVISION = "caffe", "torchvision"  # preprocessing that the weights were trained with

_VGG_BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_VGG_WIDTHS = (64, 128, 256, 512, 512)
_ALEXNET = ((11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256))


class Unavailable(Exception):
    """A source does not give the weights; the message says why, in a few words."""


@dataclass(frozen=True)
class NetworkWeights:
    """The convolutions of one network.

    `name` is what was asked for (imagenet, random, a file's name), `source` where the values came
    from, `sha256` the digest of names, shapes and values (see `digest`), `preprocessing` how the
    network wants its input: "caffe" or "torchvision".
    """

    network: str
    name: str
    source: str
    sha256: str
    preprocessing: str
    layers: Layers


def shapes(network: str) -> Shapes:
    """Kernel shapes by layer name, in network order."""
    if network == "alexnet":
        return {f"conv{i}": (k, k, c, n) for i, (k, c, n) in enumerate(_ALEXNET, start=1)}
    if network not in _VGG_BLOCKS:
        raise errors.unknown("network", network, NETWORKS)
    found, channels = {}, 3
    for block, (depth, width) in enumerate(zip(_VGG_BLOCKS[network], _VGG_WIDTHS, strict=True), 1):
        for conv in range(1, depth + 1):
            found[f"block{block}_conv{conv}"] = (3, 3, channels, width)
            channels = width
    return found


def trained_with(network: str) -> str:
    """The preprocessing that goes with a network's weights where they do not say it themselves."""
    return TORCHVISION if network == "alexnet" else CAFFE


def digest(layers: Mapping[str, tuple[np.ndarray, ...]]) -> str:
    """SHA-256 over, for each layer in order: its name, the shapes, the float32 bytes."""
    total = hashlib.sha256()
    for name, arrays in layers.items():
        for array in arrays:
            total.update(f"{name} {array.shape}".encode())
            total.update(np.ascontiguousarray(array, "<f4").data)
    return total.hexdigest()


def check(network: str, layers: Layers, where: str) -> None:
    """Raise `WeightsError` unless `layers` are this network's, with finite values."""
    for name, shape in shapes(network).items():
        if name not in layers:
            raise WeightsError(f"{where} has no layer {name} of {network}")
        kernel, bias = layers[name]
        if kernel.shape != shape or bias.shape != shape[3:]:
            raise WeightsError(f"{where}: kernel of {name} is {kernel.shape}, expected {shape}")
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise WeightsError(f"{where}: {name} holds values that are not finite")
