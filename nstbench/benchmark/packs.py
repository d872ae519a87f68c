"""A pack: runs in one zip file that a stranger can check, and how it is opened without trust.

    manifest.json         format, date, versions, commands, and SHA-256 and size of all that follows
    runs/<id>/            run.json, epochs.csv, trace.csv, pictures, the optimizer's source
    inputs/<sha256>.png   pictures of one's own that runs were made from
    benchmark/            scores.json, report.md and figures, where a benchmark's folder was packed

All of it is data: names are held against one pattern before anything is written, links and absurd
sizes are refused, and no text is ever looked up anywhere.
"""

import hashlib
import re
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nstbench.errors import NstbenchError

FORMAT = 1
MANIFEST = "manifest.json"
MOST_FILES = 50_000
LARGEST = 256 * 2**20  # bytes of one file
LARGEST_MANIFEST = 32 * 2**20
WHOLE = 4 * 2**30  # bytes of all files
CHUNK = 2**20

# Up to three names below one of the three folders; none begins with a dot or holds a separator.
_PART = r"/[\w+=@,()-][\w.+=@,() -]{0,200}"
_NAME = re.compile(rf"(runs|inputs|benchmark)({_PART}){{1,3}}")


class PackError(NstbenchError):
    """A pack cannot be made, or is not what it says it is."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Entry(_Model):
    """What the manifest says of one file."""

    sha256: str
    size: int = Field(ge=0)


class Manifest(_Model):
    """`manifest.json`. `inputs` maps pictures as the runs name them to files of the pack."""

    format: int
    made: str  # ISO 8601, UTC
    versions: dict[str, str | None]
    commands: list[list[str]]  # arguments after `python -m nstbench` that make the runs again
    inputs: dict[str, str] = {}
    files: dict[str, Entry]


@dataclass(frozen=True)
class Pack:
    """An opened pack: every file lies in `folder` and has the digest that the manifest gives."""

    path: Path
    folder: Path
    manifest: Manifest


@contextmanager
def opened(path: Path) -> Iterator[Pack]:
    """The pack, unpacked into a temporary folder for the length of the block.

    Raises `PackError`, in one line, for whatever is no pack or holds other files than it lists.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise PackError(f"{plain(path)} cannot be opened: {plain(error)}") from None
    with archive, tempfile.TemporaryDirectory(prefix="nstbench-pack-") as folder:
        try:
            members = _members(archive)
            manifest = _manifest(archive, members)
            for name, info in members.items():
                _extract(archive, info, Path(folder, name), manifest.files[name])
        except PackError as error:
            raise PackError(f"{plain(path)}: {error}") from None
        except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise PackError(f"{plain(path)} cannot be read: {plain(error)}") from None
        yield Pack(Path(path), Path(folder), manifest)


def is_name(name: str) -> bool:
    """Whether a file may have this name in a pack."""
    return _NAME.fullmatch(name) is not None


def plain(text: object) -> str:
    """A stranger's text for the screen: one line, not endless, nothing that a terminal obeys."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in str(text))
    return shown if len(shown) <= 300 else f"{shown[:297]}..."


def digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Every file but the manifest by its name, none of them dangerous."""
    infos = archive.infolist()
    if len(infos) > MOST_FILES:
        raise PackError(f"{len(infos)} files are too many")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if not (is_name(info.filename) or info.filename == MANIFEST) or info.filename in members:
            raise PackError(f"a file must not be called {plain(repr(info.filename))}")
        if kind not in (0, stat.S_IFREG):
            raise PackError(f"{plain(info.filename)} is no plain file")
        if info.file_size > LARGEST:
            raise PackError(f"{plain(info.filename)} is too large ({info.file_size} bytes)")
        members[info.filename] = info
    if sum(info.file_size for info in infos) > WHOLE:
        raise PackError("its files are too large together")
    return members


def _manifest(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> Manifest:
    """The manifest, taken out of `members`, which it must list exactly."""
    info = members.pop(MANIFEST, None)
    if info is None or info.file_size > LARGEST_MANIFEST:
        raise PackError(f"it has no {MANIFEST}: it is no pack of nstbench")
    try:
        manifest = Manifest.model_validate_json(archive.read(info))
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise PackError(f"{MANIFEST} cannot be read ({plain(where) or 'no JSON'})") from None
    if manifest.format != FORMAT:
        raise PackError(f"it has format {manifest.format}, this version reads {FORMAT}")
    for name in manifest.files.keys() ^ members.keys():
        where = "is not in the pack" if name in manifest.files else "is not in its manifest"
        raise PackError(f"{plain(name)} {where}")
    for name in manifest.inputs.values():
        if name not in members:
            raise PackError(f"{plain(name)} is not in the pack")
    return manifest


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, entry: Entry) -> None:
    """Write one member, whose name was checked, to `path`; it must be what `entry` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sha = hashlib.sha256()
    with archive.open(info) as source, open(path, "xb") as target:
        while data := source.read(CHUNK):  # never more than the size that was checked
            sha.update(data)
            target.write(data)
    if (sha.hexdigest(), path.stat().st_size) != (entry.sha256, entry.size):
        raise PackError(f"{plain(info.filename)} is not the file that the manifest lists (SHA-256)")


def write(path: Path, files: Mapping[str, Path], manifest: Manifest) -> None:
    """Write the pack of `files` (by the names in it) and the manifest that lists them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST), manifest.model_dump_json(indent=1) + "\n",
                         zipfile.ZIP_DEFLATED)  # fmt: skip
        for name, file in sorted(files.items()):
            info = zipfile.ZipInfo(name)  # without dates, owners and modes
            archive.writestr(info, file.read_bytes(), zipfile.ZIP_DEFLATED)
