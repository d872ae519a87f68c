"""Keras's official HDF5 files of the VGGs without their dense layers, and how they get here."""

import hashlib
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

from nstbench.networks.weights.layers import Progress, Unavailable

TIMEOUT = (4, 30)  # seconds to connect, and between two packets

# keras.applications' own address and MD5.
ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications"
MD5 = {
    "vgg16": "6d6bbae143d832006294945121d1f1fc",
    "vgg19": "253f8cb515780f3b799900260a226db6",
}


def download(network: str, folder: Path, progress: Progress) -> Path:
    """Download Keras's official HDF5 file of `network` into `folder`."""
    import requests

    name = f"{network}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    url, path, digest = (
        f"{ADDRESS}/{network}/{name}",
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
        raise Unavailable(reason_of(error)) from error
    if digest.hexdigest() != MD5[network]:
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


def reason_of(error: Exception) -> str:
    """A network error in a few words; the full text of requests fills lines."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"status {status}" if status else f"no connection ({type(error).__name__})"
