"""Keras's weights files: the old layout, a whole `.h5` model, or Keras 3's `.weights.h5`."""

import re
from pathlib import Path

import numpy as np

from nstbench.errors import WeightsError
from nstbench.networks.weights.layers import Layers, check, shapes


def read_layers(path: Path, network: str) -> Layers:
    """The convolutions of `network`, float32, in network order; dense layers are passed over.

    The arrays of a layer lie below a group of its name; in `.weights.h5` below `conv2d`,
    `conv2d_1`, ... in network order. Only arrays of the expected shapes are read, so that a file
    costs no more memory than the network. Raises `WeightsError`, in one line, for a file that is
    no such file or another network's.
    """
    import h5py

    try:
        with h5py.File(path) as file:
            layers = _layers(file, path, network)
    except WeightsError:
        raise
    except Exception as error:  # what h5py raises of a damaged file is of many kinds
        raise WeightsError(f"{path} holds no Keras weights (HDF5) of {network}") from error
    check(network, layers, str(path))
    return layers


def _layers(file, path: Path, network: str) -> Layers:
    expected = shapes(network)
    found: dict[str, dict[int, np.ndarray]] = {name: {} for name in expected}
    for name, array in _arrays(file).items():
        layer = _layer_of(name.split("/"), tuple(expected))
        if layer is not None:
            wanted = expected[layer] if array.ndim == 4 else expected[layer][3:]
            if array.shape != wanted or array.dtype.kind != "f":
                kind = f"{array.shape} {array.dtype}"
                raise WeightsError(f"{path}: {name} is {kind}, {network} expects {wanted}")
            found[layer][array.ndim] = np.asarray(array[()], np.float32)
        elif array.ndim == 4:
            raise WeightsError(f"{path} is not of {network}, which has no convolution {name}")
    missing = [name for name, arrays in found.items() if set(arrays) != {1, 4}]
    if missing:
        raise WeightsError(f"{path} holds no Keras weights of {network}: {missing[0]} is missing")
    return {name: (arrays[4], arrays[1]) for name, arrays in found.items()}


def _arrays(file) -> dict:
    """Kernels and biases by path, not read yet; without what an optimizer left there."""
    import h5py

    names: list[str] = []
    file.visit(names.append)
    return {
        name: file[name]
        for name in names
        if isinstance(file[name], h5py.Dataset)
        and file[name].ndim in (1, 4)
        and not name.startswith("optimizer")
    }


def _layer_of(parts: list[str], layers: tuple[str, ...]) -> str | None:
    for part in parts:
        if part in layers:
            return part
        match = re.fullmatch(r"conv2d(?:_(\d{1,4}))?", part)
        if match and int(match[1] or 0) < len(layers):
            return layers[int(match[1] or 0)]
    return None
