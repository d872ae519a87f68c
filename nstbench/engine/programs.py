"""Compiled programs, kept on disk from one process to the next.

A program is machine code: whoever can put one here can do what this user can. So an entry is
believed only with an HMAC-SHA256 under a key that this user alone can read, taken over all that a
program depends on (its name, the versions, the processor and the threads) and its bytes. An entry
that is cut, damaged, forged, or of another machine, version or processor has another code: it is a
miss, as is a folder that cannot be read or written. None is an error.

The folder is `$NSTBENCH_PROGRAMS`, else `programs` in the cache; with `NSTBENCH_PROGRAMS=off` none
is kept.
"""

import hashlib
import hmac
import json
import os
import platform
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from nstbench.files import cache_dir, replacing

VARIABLE = "NSTBENCH_PROGRAMS"
OFF = "off"
KEY = "key"  # the name of its file
ENDING = ".program"
LARGEST = 1 << 28  # bytes of an entry; the step of VGG-19 has some hundred thousand
MOST = 64  # entries; the one that was used longest ago makes room
# What changes the code that a compiler writes, besides its version.
ENVIRONMENT = ("XLA_FLAGS", "TF_XLA_FLAGS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


@dataclass(frozen=True)
class Programs:
    """The entries of one folder that were made under `conditions`."""

    folder: Path
    key: bytes
    conditions: str

    def get(self, name: str) -> bytes | None:
        """The program `name` as it was put here; None where there is none to believe."""
        path = self._path(name)
        with suppress(OSError):
            held = _read(path, LARGEST)
            size = hashlib.sha256().digest_size
            if held and hmac.compare_digest(held[:size], self._code(name, held[size:])):
                os.utime(path)
                return held[size:]
        return None

    def put(self, name: str, program: bytes) -> None:
        """Keep `program` under `name` for the next process, if that can be done."""
        with suppress(OSError):
            with replacing(self._path(name)) as temporary:
                temporary.write_bytes(self._code(name, program) + program)
            for path in sorted(self._paths(), key=_age)[:-MOST]:
                path.unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        """The names under which entries lie here, believed or not."""
        with suppress(OSError):
            for path in self._paths():
                with suppress(ValueError):
                    yield bytes.fromhex(path.stem).decode()

    def _paths(self) -> list[Path]:
        return list(self.folder.glob(f"*{ENDING}"))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name.encode().hex()}{ENDING}"

    def _code(self, name: str, program: bytes) -> bytes:
        head = json.dumps([name, self.conditions]).encode() + b"\n"
        return hmac.digest(self.key, head + program, "sha256")


def kept(backend: str, packages: Sequence[str], settings: str = "") -> Programs | None:
    """The programs of `backend`, compiled by these packages; None where none can be kept.

    `settings` is whatever else the engine was made with.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen == OFF:
        return None
    folder = Path(chosen).expanduser() if chosen else cache_dir() / "programs"
    folder = folder / backend
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = _key(folder.parent / KEY)
    except OSError:
        return None
    return Programs(folder, key, _conditions(packages, settings)) if key else None


def _key(path: Path) -> bytes | None:
    """The key of this folder, made where there is none; None where others could know it."""
    size = 32
    with suppress(FileExistsError):
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(made, "wb") as file:
            file.write(secrets.token_bytes(size))
    held = _read(path, size, private=True)
    return held if held and len(held) == size else None


def _read(path: Path, most: int, private: bool = False) -> bytes | None:
    """A plain file of this user's, no link and no longer than `most`; None where it is another."""
    flags = (getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
    number = os.open(path, os.O_RDONLY | sum(flags))
    with os.fdopen(number, "rb") as file:
        facts = os.fstat(number)
        forbidden = 0o077 if private else 0o022
        owner = getattr(os, "geteuid", lambda: facts.st_uid)()
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > most or facts.st_uid != owner:
            return None
        if os.name == "posix" and stat.S_IMODE(facts.st_mode) & forbidden:
            return None
        return file.read(most)


def _conditions(packages: Sequence[str], settings: str) -> str:
    versions = [f"{name} {metadata.version(name)}" for name in packages]
    chosen = [f"{name}={os.environ[name]}" for name in ENVIRONMENT if name in os.environ]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return json.dumps([versions, chosen, cores, platform.machine(), _processor(), settings])


def _processor() -> str:
    """Model and features of the processor, as far as the system tells."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
        return "\n".join(n for n in lines if n.startswith(("model", "flags", "Features", "CPU")))
    return platform.processor()


def _age(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
