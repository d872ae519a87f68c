"""The run directory: whatever kills the writer, no row is lost, doubled or read by half."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nstbench.errors import LockedError, RecordError
from nstbench.run.record import (
    RunDirectory,
    atomic_write,
    read_record,
    read_rows,
    save_picture,
)
from nstbench.run.schema import EPOCH_COLUMNS, TRACE_COLUMNS, RunRecord, Status

RECORD = {
    "schema": 2,
    "id": "adam",
    "status": "running",
    "created": "2026-01-01T00:00:00Z",
    "command": ["optimizer=adam"],
    "settings": {"optimizer": {"name": "adam"}},
    "problem": "p",
    "content": {"name": "astronaut", "sha256": "a", "height": 64, "width": 64},
    "style": [],
    "weights": {"name": "random", "source": "seed 0", "sha256": "w"},
    "machine": {"host": "h"},
    "versions": {"numpy": "2"},
}


def row(epoch, loss=0.1):
    numbers = {"epoch": epoch, "step": 5 * epoch, "evaluations": 2 * epoch}
    return dict.fromkeys(EPOCH_COLUMNS, 0.5) | numbers | {"loss": loss}


def trace(epoch):
    values = dict.fromkeys(TRACE_COLUMNS, 0.25) | {"epoch": epoch}
    return [values | {"evaluation": 2 * epoch - 1}, values | {"evaluation": 2 * epoch}]


def epochs_of(path):
    return [int(row["epoch"]) for row in read_rows(path / "epochs.csv", EPOCH_COLUMNS)]


def fill(path, epochs):
    with RunDirectory(path) as run:
        run.start_rows()
        for epoch in epochs:
            run.append_trace(trace(epoch))
            run.append_epoch(row(epoch))


def test_what_is_written_is_read_back(tmp_path):
    record = RunRecord.model_validate(RECORD)
    with RunDirectory(tmp_path / "deep" / "run") as run:
        assert run.read_record() is None
        run.write_record(record)
        assert run.start_rows() == 0
        run.append_epoch(row(1, loss=0.1 + 0.2))
        run.append_epoch(row(2, loss=float("nan")))
        run.save_checkpoint({"image": np.arange(6.0), "epoch": np.array(2)})
        assert run.read_record() == record
        state = run.load_checkpoint()
        assert state["epoch"] == 2 and list(state["image"]) == [0, 1, 2, 3, 4, 5]
        run.clear_checkpoint()
        assert run.load_checkpoint() is None
        assert run.frame_path(10) == run.path / "frames" / "epoch_00010.png"
    rows = read_rows(run.path / "epochs.csv", EPOCH_COLUMNS)
    assert [float(rows[0]["loss"]), rows[1]["loss"]] == [0.1 + 0.2, "nan"]


def test_rows_are_in_the_system_as_soon_as_they_are_appended(tmp_path):
    with RunDirectory(tmp_path) as run:
        run.start_rows()
        run.append_epoch(row(1))
        assert epochs_of(tmp_path) == [1]


def test_half_a_row_is_never_read_and_is_gone_after_resuming(tmp_path):
    fill(tmp_path, [1, 2])
    whole = (tmp_path / "epochs.csv").read_bytes()
    for cut in range(len(whole) + 1):
        (tmp_path / "epochs.csv").write_bytes(whole[:cut])
        rows = max(whole[:cut].count(b"\n") - 1, 0)
        assert epochs_of(tmp_path) == [1, 2][:rows]
        with RunDirectory(tmp_path) as run:
            assert run.start_rows(keep_epochs=2) == rows
            for epoch in range(rows + 1, 3):
                run.append_trace(trace(epoch))
                run.append_epoch(row(epoch))
        assert (tmp_path / "epochs.csv").read_bytes() == whole


def test_resuming_cuts_both_tables_back_to_the_checkpoint(tmp_path):
    fill(tmp_path, [1, 2, 3, 4])
    with RunDirectory(tmp_path) as run:
        assert run.start_rows(keep_epochs=2) == 2
    assert epochs_of(tmp_path) == [1, 2]
    rows = read_rows(tmp_path / "trace.csv", TRACE_COLUMNS)
    assert [int(row["evaluation"]) for row in rows] == [1, 2, 3, 4]


WRITES = {
    "trace": lambda run: run.append_trace(trace(2)),
    "epoch": lambda run: run.append_epoch(row(2)),
    "checkpoint": lambda run: run.save_checkpoint({"x": np.zeros(1)}),
    "record": lambda run: run.write_record(RunRecord.model_validate(RECORD)),
    "frame": lambda run: run.frame_path(2),
    "picture": lambda run: run.picture_path(),
    "rows": lambda run: run.start_rows(),
    "clear": lambda run: run.clear(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_whoever_lost_the_directory_writes_nothing_more(tmp_path, write):
    """After a takeover not one row, picture or state of the old owner reaches the new one's."""
    with RunDirectory(tmp_path) as run:
        run.start_rows()
        run.append_trace(trace(1))
        run.append_epoch(row(1))
        other = {"kernel": "elsewhere", "pid": 1, "started": "1", "since": "yesterday"}
        (tmp_path / "lock.1").write_text(json.dumps(other))
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        with pytest.raises(LockedError, match="taken over"):
            write(run)
        after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("damage", [[1, 1, 2], [1, 3], [2, 3], []])
def test_rows_that_are_doubled_or_missing_are_not_resumed_from(tmp_path, damage):
    fill(tmp_path, damage)
    whole = 1 if damage[:1] == [1] else 0
    with RunDirectory(tmp_path) as run:
        assert run.start_rows(keep_epochs=3) == whole
    assert epochs_of(tmp_path) == [1][:whole]


def test_a_table_of_another_version_is_left_alone(tmp_path):
    (tmp_path / "epochs.csv").write_text("epoch,loss\n1,2\n")
    with RunDirectory(tmp_path) as run, pytest.raises(RecordError, match="other columns"):
        run.start_rows()
    assert (tmp_path / "epochs.csv").read_text() == "epoch,loss\n1,2\n"
    with pytest.raises(RecordError, match="no column step"):
        read_rows(tmp_path / "epochs.csv", EPOCH_COLUMNS)


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_damaged_checkpoint_is_none(tmp_path, cut):
    with RunDirectory(tmp_path) as run:
        run.save_checkpoint({"image": np.zeros(100)})
        whole = (tmp_path / "checkpoint.npz").read_bytes()
        (tmp_path / "checkpoint.npz").write_bytes(whole[:cut])
        assert run.load_checkpoint() is None


def test_leftover_temporaries_are_cleaned_at_the_next_opening(tmp_path):
    (tmp_path / "frames").mkdir()
    leftovers = [tmp_path / ".run.json.99.tmp", tmp_path / "frames" / ".epoch_00001.png.99.tmp"]
    for path in leftovers:
        path.touch()
    with RunDirectory(tmp_path):
        assert not any(path.exists() for path in leftovers)


def test_what_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "keep").mkdir()
    (tmp_path / ".x.7.tmp").mkdir()
    (tmp_path / "keep" / "my.tmp").touch()
    (tmp_path / "my.tmp").touch()
    with RunDirectory(tmp_path):
        pass
    assert (tmp_path / "keep" / "my.tmp").exists() and (tmp_path / "my.tmp").exists()


def test_a_run_that_wrote_nothing_leaves_no_directory(tmp_path):
    with RunDirectory(tmp_path / "run"):
        pass
    assert not (tmp_path / "run").exists()


def test_a_table_that_was_deleted_while_it_grew_is_one_line(tmp_path):
    with RunDirectory(tmp_path) as run:
        run.start_rows()
        run.append_epoch(row(1))
        (tmp_path / "epochs.csv").unlink()
        with pytest.raises(RecordError, match="epochs.csv was deleted"):
            run.append_epoch(row(2))


@pytest.mark.parametrize("name", ["image.png", "run.json", "checkpoint.npz", "epochs.csv"])
def test_a_folder_in_a_files_place_is_one_line(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "inside").touch()
    with pytest.raises(RecordError, match=name), RunDirectory(tmp_path) as run:
        run.clear()
        run.start_rows()
    with pytest.raises(RecordError, match=name):
        save_picture(tmp_path / name, np.zeros((16, 16, 3)))


def test_clearing_leaves_nothing_of_an_earlier_run(tmp_path):
    fill(tmp_path, [1])
    with RunDirectory(tmp_path) as run:
        run.write_record(RunRecord.model_validate(RECORD))
        run.frame_path(1).touch()
        run.clear()
        assert run.read_record() is None and run.start_rows(1) == 0
        assert not run.frame_path(1).exists()


def test_two_writers_never_share_a_directory(tmp_path):
    with RunDirectory(tmp_path), pytest.raises(LockedError, match=f"process {os.getpid()}"):
        RunDirectory(tmp_path).__enter__()
    with RunDirectory(tmp_path):
        pass


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema": 0, "status": "done"}', "is not the record of a run"),
        ('{"schema": 99}', "schema 99, this version writes 2"),
        ('{"schema": "2"}', "schema 2, this version writes 2"),
        ("[" * 200_000, "not the record of a run"),
        ('{"schema": 1}', "is not the record of a run"),
        ("{", "not the record of a run"),
        ("[1]", "not the record of a run"),
    ],
)
def test_a_foreign_record_is_one_clear_line(tmp_path, text, message):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RecordError, match=message) as error:
        read_record(tmp_path)
    assert "\n" not in str(error.value)


# ---- faults of the disk -------------------------------------------------------------------------


class FullDisk:
    """`os.write` on a disk with `room` bytes left: the last write is cut short, then ENOSPC."""

    def __init__(self, room):
        self.room, self.write = room, os.write

    def __call__(self, descriptor, data):
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = self.write(descriptor, bytes(data)[: self.room])
        self.room -= count
        return count


@pytest.mark.parametrize("room", [0, 1, 20, 30])
def test_a_full_disk_loses_no_completed_row(tmp_path, monkeypatch, room):
    with RunDirectory(tmp_path) as run:
        run.start_rows()
        run.append_epoch(row(1))
        monkeypatch.setattr(os, "write", FullDisk(room))
        with pytest.raises(RecordError, match="epochs.csv: the disk is full"):
            run.append_epoch(row(2))
        monkeypatch.undo()
        assert (tmp_path / "epochs.csv").read_bytes().endswith(b"\n")
        run.append_epoch(row(2))
    assert epochs_of(tmp_path) == [1, 2]


def test_a_failed_replacement_leaves_the_old_file_and_no_temporary(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    atomic_write(path, lambda file: file.write(b"old"))

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordError, match="the disk is full"):
        atomic_write(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_a_really_full_disk(small_disk):
    state = {"image": np.zeros(20_000, np.uint8)}
    with RunDirectory(small_disk / "run") as run:
        run.start_rows()
        run.append_epoch(row(1))
        run.save_checkpoint(state)
        ballast = small_disk / "ballast"
        with pytest.raises(OSError), open(ballast, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        with pytest.raises(RecordError, match="the disk is full"):
            run.save_checkpoint(state)
        with pytest.raises(RecordError, match="the disk is full"):
            for epoch in range(2, 1000):
                run.append_epoch(row(epoch))
        whole = epoch - 1
        assert epochs_of(run.path) == list(range(1, whole + 1))
        assert run.load_checkpoint()["image"].shape == (20_000,)
        ballast.unlink()
        run.append_epoch(row(whole + 1))
    assert epochs_of(run.path) == list(range(1, whole + 2))


def test_a_read_only_results_folder_is_one_clear_line(small_disk):
    fill(small_disk / "run", [1])
    command = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(command, check=True)
    for name in ("run", "new"):
        with pytest.raises(RecordError, match="the file system is read-only"):
            RunDirectory(small_disk / name).__enter__()
    assert epochs_of(small_disk / "run") == [1]


# ---- kill -9 ------------------------------------------------------------------------------------

WRITER = """
import sys
import numpy as np
from nstbench.run.record import RunDirectory
from nstbench.run.schema import EPOCH_COLUMNS, TRACE_COLUMNS

epochs = int(sys.argv[2])
with RunDirectory(sys.argv[1]) as run:
    state = run.load_checkpoint() or {"epoch": np.array(0), "total": np.array(0.0)}
    done, total = int(state["epoch"]), float(state["total"])
    assert run.start_rows(done) == done, "rows behind the checkpoint are missing"
    for epoch in range(done + 1, epochs + 1):
        total += 1 / epoch
        numbers = {"epoch": epoch, "evaluation": epoch, "evaluations": epoch}
        run.append_trace([{n: numbers.get(n, total) for n in TRACE_COLUMNS}])
        run.append_epoch({n: numbers.get(n, total) for n in EPOCH_COLUMNS})
        run.save_checkpoint({"epoch": np.array(epoch), "total": np.array(total)})
    print("complete")
"""


@pytest.mark.slow
def test_killed_at_any_moment_the_rows_end_as_if_it_never_was(tmp_path):
    command = [sys.executable, "-c", WRITER]
    subprocess.run([*command, tmp_path / "calm", "400"], check=True, capture_output=True)
    random, kills = np.random.default_rng(0), 0
    for _ in range(60):
        process = subprocess.Popen([*command, tmp_path / "killed", "400"], stdout=subprocess.PIPE)
        wait_for_start(tmp_path / "killed", process)
        time.sleep(random.uniform(0, 0.06))
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate()
        kills += process.returncode == -signal.SIGKILL
        if b"complete" in output:
            break
    else:
        subprocess.run([*command, tmp_path / "killed", "400"], check=True)
    assert kills >= 3
    for name in ("epochs.csv", "trace.csv"):
        calm, killed = (tmp_path / run / name for run in ("calm", "killed"))
        assert calm.read_bytes() == killed.read_bytes()


def wait_for_start(path: Path, process):
    """Until `process` owns the directory: a kill before that tests nothing."""
    note = f'"pid": {process.pid},'
    while process.poll() is None:
        for lock in path.glob("lock.*"):
            try:
                if note in lock.read_text():
                    return
            except OSError:
                continue
        time.sleep(0.002)


def test_a_status_that_is_final_is_neither_running_nor_failed():
    assert [status for status in Status if status.is_final] == ["completed", "diverged"]


# ---- older records ------------------------------------------------------------------------------

REFERENCE = Path(__file__).resolve().parents[1] / "results" / "reference" / "runs"


def test_records_of_schema_1_are_read_as_this_one():
    paths = sorted(REFERENCE.iterdir())
    assert paths
    for path in paths:
        record = read_record(path)
        assert record.schema_version == 2
        assert set(record.final.terms) == {"content", "style", "variation"}
        assert sum(record.final.terms.values()) == pytest.approx(record.final.loss, rel=1e-5)
        assert record.settings["optimizer"]["options"] and record.settings["schedule"]
        rows = read_rows(path / "epochs.csv", EPOCH_COLUMNS)
        assert float(rows[-1]["term_variation"]) > 0
        assert read_rows(path / "trace.csv", TRACE_COLUMNS)[0]["term_style"]
