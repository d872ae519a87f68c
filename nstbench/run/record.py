"""The run directory: the one place that writes it, and how it is read back.

What a kill at any moment leaves: `run.json` and `checkpoint.npz` are whole (written under another
name, brought to the disk, then renamed); the CSV files are whole up to the last line end, and what
follows it is dropped by readers and by the next session. A checkpoint is published only after
the rows before it are on the disk, so a session that continues never misses one.
"""

import csv
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydantic import ValidationError

from nstbench.errors import RecordError
from nstbench.files import TEMPORARY, replacing
from nstbench.pictures import images
from nstbench.run import migrate
from nstbench.run.lock import Lock, reason
from nstbench.run.schema import SCHEMA_VERSION, RunRecord, epoch_columns, trace_columns


def atomic_write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Publish what `write` writes as `path`: readers see the old file or the whole new one.

    Raises `RecordError`; the old file is then as it was and no temporary is left.
    """
    try:
        with replacing(Path(path)) as temporary, open(temporary, "wb") as file:
            write(file)
    except OSError as error:
        raise RecordError(f"cannot write {path}: {reason(error)}") from error


def save_picture(path: Path, pixels: np.ndarray, text: Mapping[str, str] | None = None) -> None:
    """`images.save`; where the system refuses that, `RecordError` says why."""
    try:
        images.save(path, pixels, text)
    except OSError as error:
        raise RecordError(f"cannot write {path}: {reason(error)}") from error


def check_writable(folder: Path) -> None:
    """Make `folder` and see that files can be made in it; `RecordError` says why not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RecordError(f"cannot write {folder}: {reason(error)}") from error


def read_record(path: Path) -> RunRecord | None:
    """The `run.json` in the run directory `path`, or None where there is none.

    Records of older schemas are lifted to this one. Raises `RecordError` when it is no run's or was
    written by a newer version.
    """
    file = Path(path) / "run.json"
    try:
        document = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"cannot read {file}: {reason(error)}") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{file} is not the record of a run (not JSON); move it away") from error
    return as_record(document, file)


def as_record(document: object, file: Path) -> RunRecord:
    """A parsed `run.json` as a record; `file` is named where it is none."""
    if not isinstance(document, dict):
        raise RecordError(f"{file} is not the record of a run (no JSON object); move it away")
    version = document.get("schema", 0)
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise RecordError(
            f"{file} was written with schema {version}, this version writes {SCHEMA_VERSION}; "
            "choose another folder with out=... or move it away"
        )
    try:
        return RunRecord.model_validate(migrate.record(document))
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "not JSON"
        raise RecordError(f"{file} is not the record of a run ({where}); move it away") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise RecordError(f"{file} is not the record of a run ({error}); move it away") from error


def read_rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The whole rows of a CSV file that may be growing; none where it is not there.

    `columns` are those that every such file has (`EPOCH_COLUMNS`, `TRACE_COLUMNS`); those of the
    terms follow as they are. A last line without its end is half a row and left out.
    """
    try:
        text = Path(path).read_bytes().decode()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"cannot read {path}: {error}") from error
    lines = text[: text.rfind("\n") + 1].splitlines()
    names = migrate.columns(lines[0].split(",")) if lines else []
    missing = [name for name in columns if lines and name not in names]
    if missing:
        raise RecordError(f"{path} has no column {missing[0]}")
    return list(csv.DictReader(lines[1:], fieldnames=names))


def start_loss(directory: Path) -> float | None:
    """The loss before a run's first update; None where it is not on record."""
    with suppress(RecordError, ValueError, KeyError):
        for row in read_rows(directory / "trace.csv", ()):
            return float(row["loss"])
    return None


def snapshots(directory: Path, epochs: int) -> dict[int, Path]:
    """Pictures that a run of `epochs` epochs kept, by epoch: 0 its start, the last its result."""
    kept = {}
    for path in (directory / "frames").glob("epoch_*.png"):
        number = path.stem.removeprefix("epoch_")
        if number.isdigit() and int(number) <= epochs:
            kept[int(number)] = path
    if (directory / "image.png").is_file():
        kept[epochs] = directory / "image.png"
    return dict(sorted(kept.items()))


class RunDirectory:
    """One run's directory, owned by this process inside the `with` block.

    Raises `LockedError` when another live process owns it and `RecordError` when it cannot be
    made or written; a failed write leaves the rows, record and checkpoint before it as they were.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._lock = Lock(self.path)
        self._tables: dict[str, _Table] = {}

    def __enter__(self) -> "RunDirectory":
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordError(f"cannot make {self.path}: {reason(error)}") from error
        self._lock.acquire()
        for folder in (self.path, self.path / "frames"):
            for leftover in folder.glob(f".*.[0-9]*{TEMPORARY}"):  # named by `files.replacing`
                with suppress(OSError):
                    leftover.unlink(missing_ok=True)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._close_tables()
        self._lock.release()
        with suppress(OSError):  # not empty, as a rule
            self.path.rmdir()

    def read_record(self) -> RunRecord | None:
        return read_record(self.path)

    def write_record(self, record: RunRecord) -> None:
        self._lock.check()
        text = record.model_dump_json(by_alias=True, indent=2) + "\n"
        atomic_write(self.path / "run.json", lambda file: file.write(text.encode()))

    def start_rows(self, keep_epochs: int = 0, terms: Sequence[str] = ()) -> int:
        """Cut both tables back to the rows of the first `keep_epochs` epochs and open them.

        `terms` are the objective's. Returns how many whole epochs are there in both, fewer than
        `keep_epochs` only when someone took rows away: the checkpoint is then worth nothing and the
        run starts over.
        """
        self._lock.check()
        self._close_tables()
        epochs = _Table(self.path / "epochs.csv", epoch_columns(terms))
        self._tables["epochs"] = epochs
        trace = _Table(self.path / "trace.csv", trace_columns(terms))
        self._tables["trace"] = trace
        evaluations = [0]

        def next_epoch(row, before):
            evaluations.append(int(row["evaluations"]))
            return int(row["epoch"]) == before + 1 <= keep_epochs

        kept = epochs.cut(next_epoch)
        wanted = evaluations[kept]
        rows = trace.cut(lambda row, before: int(row["evaluation"]) == before + 1 <= wanted)
        return kept if rows == wanted else 0

    def append_epoch(self, row: Mapping[str, object]) -> None:
        """Append one row with the epochs' columns; on return the system has it."""
        self._lock.check()
        self._tables["epochs"].append([row])

    def append_trace(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Append rows with the trace's columns; on return the system has them."""
        self._lock.check()
        self._tables["trace"].append(rows)

    def save_checkpoint(self, state: Mapping[str, np.ndarray]) -> None:
        """Publish `state`, after the rows written so far are on the disk."""
        self._lock.check()
        for table in self._tables.values():
            table.to_disk()
        atomic_write(self.path / "checkpoint.npz", lambda file: np.savez(file, **state))  # type: ignore[arg-type]

    def load_checkpoint(self) -> dict[str, np.ndarray] | None:
        """The last published state; None where there is none or it is damaged."""
        try:
            with np.load(self.path / "checkpoint.npz", allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except Exception:  # numpy and zipfile raise at least six kinds for a damaged archive
            return None

    def clear_checkpoint(self) -> None:
        (self.path / "checkpoint.npz").unlink(missing_ok=True)

    def clear(self) -> None:
        """Take away all that an earlier run left, its record first: half a run is never whole."""
        self._lock.check()
        self._close_tables()
        names = ("run.json", "checkpoint.npz", "epochs.csv", "trace.csv", "image.png")
        for path in [self.path / name for name in names] + list(self.path.glob("frames/*.png")):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise RecordError(f"cannot replace {path}: {reason(error)}") from error

    def picture_path(self) -> Path:
        """Where the run's picture is to be written."""
        self._lock.check()
        return self.path / "image.png"

    def frame_path(self, epoch: int) -> Path:
        """Where a snapshot is to be written."""
        self._lock.check()
        folder = self.path / "frames"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise RecordError(f"cannot make {folder}: {reason(error)}") from error
        return folder / f"epoch_{epoch:05d}.png"

    def _close_tables(self) -> None:
        for table in self._tables.values():
            table.close()
        self._tables = {}


class _Table:
    """A CSV file that grows by whole rows."""

    def __init__(self, path: Path, columns: tuple[str, ...]):
        self.path, self.columns = path, columns
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise RecordError(f"cannot write {path}: {reason(error)}") from error

    def cut(self, keep: Callable[[dict[str, str], int], bool]) -> int:
        """Keep the header and the rows from the first on that `keep(row, rows before it)` accepts.

        The rest, half a row included, is cut off in place: that is one step, and works on a full
        disk. Returns the number of rows kept.
        """
        header = (",".join(self.columns) + "\n").encode()
        lines = self.path.read_bytes().splitlines(keepends=True)
        if not lines or (len(lines) == 1 and header.startswith(lines[0]) and lines[0] != header):
            self._truncate(0)
            self._write(header)
            return 0
        if lines[0] != header:
            raise RecordError(f"{self.path} has other columns than this version's; move it away")
        kept, length = 0, len(header)
        for line in lines[1:]:
            if not self._accepts(line, kept, keep):
                break
            kept, length = kept + 1, length + len(line)
        self._truncate(length)
        return kept

    def append(self, rows: Iterable[Mapping[str, object]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writerows(rows)
        self._write(text.getvalue().encode())

    def to_disk(self) -> None:
        try:
            os.fsync(self._file)
        except OSError as error:
            raise RecordError(f"cannot write {self.path}: {reason(error)}") from error

    def close(self) -> None:
        os.close(self._file)

    def _accepts(self, line: bytes, before: int, keep: Callable) -> bool:
        values = line.decode(errors="replace").rstrip("\n").split(",")
        if not line.endswith(b"\n") or len(values) != len(self.columns):
            return False
        try:
            return keep(dict(zip(self.columns, values, strict=True)), before)
        except ValueError:
            return False

    def _write(self, data: bytes) -> None:
        """Write all of `data` or none of it."""
        state = os.fstat(self._file)
        if not state.st_nlink:
            raise RecordError(f"{self.path} was deleted while the run wrote to it")
        whole = state.st_size
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            self._truncate(whole)
            raise RecordError(f"cannot write {self.path}: {reason(error)}") from error

    def _truncate(self, length: int) -> None:
        try:
            os.ftruncate(self._file, length)
        except OSError as error:
            raise RecordError(f"cannot write {self.path}: {reason(error)}") from error
