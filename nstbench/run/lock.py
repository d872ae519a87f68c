"""One writer per directory, on any file system, without `flock`.

The owner of a directory keeps a note in it, `lock.<n>`, that says who it is. A claimant reads
the notes that are there, and only when every owner is dead does it create the next one, which
the file system grants to one process alone (`O_CREAT | O_EXCL`: atomic on local disks, on NFS
from version 3, on Lustre and GPFS, where `flock` is often missing or ends at the machine).
Who is dead:

- an owner in the same kernel and process namespace: when no process has its number and start time;
- any other owner (another machine, another container): when its heartbeat, the note's
  modification time, renewed every `HEARTBEAT_S`, is watched standing still. Only a change counts,
  so clocks that disagree or jump make the watch longer or shorter (10 to 60 s), never wrong.

Limits: an owner on another machine that is stopped or cut off from the file system for more than
a minute counts as dead. It finds out at its next write (`Lock.check`), which then raises.
"""

import contextlib
import errno
import hashlib
import json
import os
import random
import stat
import sys
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from nstbench.errors import LockedError, RecordError

HEARTBEAT_S = 5.0
SAID_S = 5.0  # a longer wait is announced
LARGEST_PID = 2**31  # what a system call takes
SILENCE_S = 60.0  # ten heartbeats and more: NFS may hold attributes back for half a minute


@dataclass(frozen=True)
class Owner:
    """Who holds a lock: a process (`pid`, `started`) of a `kernel`, and since when (UTC)."""

    kernel: str
    pid: int
    started: str
    since: str

    def __str__(self) -> str:
        where = "" if self.kernel == kernel() else " on another machine"
        return f"process {self.pid}{where} since {self.since}"


def kernel() -> str:
    """Digest of what makes process numbers comparable: this boot and this process namespace."""
    facts = []
    with contextlib.suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        facts.append(os.readlink("/proc/self/ns/pid"))
    if not facts:
        facts = [os.uname().nodename if hasattr(os, "uname") else os.environ["COMPUTERNAME"]]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def started(pid: int) -> str | None:
    """When process `pid` started, as text that only serves to be compared; None: no such process.

    Linux counts ticks since boot, which a clock that jumps leaves alone. A zombie is dead.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except OSError:
        pass
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.1f}"
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return "hidden"


def live_owner(directory: Path, silence_s: float = SILENCE_S) -> Owner | None:
    """The live owner of `directory`, or None; watches a foreign heartbeat up to `silence_s`."""
    for path in _notes(Path(directory)):
        if _is_alive(path, HEARTBEAT_S, silence_s):
            return _read(path)
    return None


class Lock:
    """Exclusive ownership of `directory` from `acquire` to `release`.

    Raises `LockedError` when a live process owns it, `RecordError` when no note can be written.
    """

    def __init__(
        self, directory: Path, heartbeat_s: float = HEARTBEAT_S, silence_s: float = SILENCE_S
    ):
        self.directory = Path(directory)
        self._heartbeat_s, self._silence_s = heartbeat_s, silence_s
        since = datetime.now(UTC).isoformat(timespec="seconds")
        self._note = json.dumps(asdict(Owner(kernel(), os.getpid(), started(os.getpid()), since)))
        self._path: Path | None = None
        self._stop = threading.Event()

    def acquire(self) -> None:
        while not self._try_acquire():
            time.sleep(random.uniform(0.01, 0.1))
        beat = threading.Thread(target=self._beat, name="nstbench-heartbeat", daemon=True)
        beat.start()

    def check(self) -> None:
        """Raise `LockedError` if this process stood still, was taken for dead and lost the lock."""
        if self._path is None or _text(self._path) != self._note:
            if not self.directory.is_dir():
                raise RecordError(
                    f"{self.directory} was deleted or moved while the run wrote to it"
                )
            raise LockedError(f"{self.directory} was taken over while this process stood still")

    def release(self) -> None:
        self._stop.set()
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
        self._path = None

    def _try_acquire(self) -> bool:
        """One attempt; False when another claimant came between and it should be made again."""
        dead = _notes(self.directory)
        for path in dead:
            if _is_alive(path, self._heartbeat_s, self._silence_s):
                raise LockedError(f"{self.directory} is being written by {_read(path)}")
        mine = self.directory / f"lock.{max(map(_number, dead), default=0) + 1}"
        if not _create(mine, self._note):
            return False
        # While the dead were judged, others may have come and gone, under any number.
        now = _notes(self.directory)
        if any(now[path] != dead.get(path) for path in now if path != mine):
            mine.unlink(missing_ok=True)
            return False
        for path in dead:
            with contextlib.suppress(PermissionError):  # another user's, in a folder of theirs
                path.unlink(missing_ok=True)
        self._path = mine
        return True

    def _beat(self) -> None:
        while not self._stop.wait(self._heartbeat_s):
            try:
                os.utime(self._path)
            except (OSError, TypeError):  # a passing fault, taken over (see check), or released
                continue


def _notes(directory: Path) -> dict[Path, int]:
    """The notes in `directory` with their modification times in ns: names are used again."""
    try:
        names = [name for name in os.listdir(directory) if name.startswith("lock.")]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise RecordError(f"cannot read {directory}: {reason(error)}") from error
    found = {
        directory / name: _modified(directory / name) for name in names if name[5:].isdecimal()
    }
    return {path: modified for path, modified in found.items() if modified is not None}


def _number(path: Path) -> int:
    return int(path.name[5:])


def _create(path: Path, note: str) -> bool:
    """Create `path` with the text `note`; False when it is there already."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    except OSError as error:
        raise RecordError(f"cannot write in {path.parent}: {reason(error)}") from error
    try:
        os.write(descriptor, note.encode())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise RecordError(f"cannot write in {path.parent}: {reason(error)}") from error
    finally:
        os.close(descriptor)
    return True


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None


def _read(path: Path) -> Owner | None:
    """The owner in a note; None for one of another form, or not written to its end."""
    try:
        owner = Owner(**json.loads(_text(path) or ""))
    except (ValueError, TypeError, RecursionError):
        return None
    is_process = type(owner.pid) is int and 0 < owner.pid < LARGEST_PID
    return owner if is_process else None


def _is_alive(path: Path, heartbeat_s: float, silence_s: float) -> bool:
    owner = _read(path)
    if owner is not None and owner.kernel == kernel():
        return started(owner.pid) in (owner.started, "hidden")
    return _beats(path, heartbeat_s, silence_s)


def _beats(path: Path, heartbeat_s: float, silence_s: float) -> bool:
    """Whether the heartbeat of `path` changes while it is watched."""
    first = _modified(path)
    if first is None:
        return False
    seeming_age = time.time() - first / 1e9
    patience = min(max(silence_s - seeming_age, 2 * heartbeat_s), silence_s)
    if patience > SAID_S:
        text = f"watching {path} for up to {patience:.0f} s: does its owner still live?"
        print(f"nstbench: {text}", file=sys.stderr, flush=True)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        time.sleep(min(1.0, heartbeat_s / 5))
        latest = _modified(path)
        if latest != first:
            return latest is not None  # None: it was released meanwhile
    return False


def _modified(path: Path) -> int | None:
    """Modification time in ns; None where it is gone.

    Opened first, as NFS looks behind its attribute cache only then; a note that is another user's
    may be closed to this one. Raises `RecordError` for what is no file: nobody's, and in the way.
    """
    try:
        state = os.stat(path)
        if not stat.S_ISREG(state.st_mode):
            raise RecordError(f"{path} is no file, but in the place of a lock; move it away")
        with contextlib.suppress(PermissionError), open(path, "rb") as file:
            state = os.fstat(file.fileno())
        return state.st_mtime_ns
    except OSError:
        return None


def reason(error: OSError) -> str:
    """What went wrong, in a person's words."""
    words = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EROFS: "the file system is read-only",
        errno.EACCES: "permission denied",
    }
    return words.get(error.errno, os.strerror(error.errno) if error.errno else str(error))
