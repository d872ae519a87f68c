"""One writer per directory: the living are never robbed, the dead never block."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from nstbench.errors import LockedError, RecordError
from nstbench.run import lock
from nstbench.run.lock import Lock, live_owner

HOLD = """
import sys, time
from nstbench.run.lock import Lock
lock = Lock(sys.argv[1]); lock.acquire(); print("held", flush=True); time.sleep(60)
"""


def hold(directory):
    """A process that owns `directory` until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def note_of_another_machine(directory, number=1):
    owner = {"kernel": "elsewhere", "pid": os.getpid(), "started": "1", "since": "yesterday"}
    path = directory / f"lock.{number}"
    path.write_text(json.dumps(owner))
    return path


def beat(path, stop):
    while not stop.wait(0.05):
        os.utime(path)


def test_a_live_owner_is_named_and_keeps_its_lock(tmp_path):
    process = hold(tmp_path)
    try:
        with pytest.raises(LockedError, match=f"process {process.pid} since"):
            Lock(tmp_path).acquire()
        assert live_owner(tmp_path).pid == process.pid
        process.send_signal(signal.SIGSTOP)  # stopped is not dead
        with pytest.raises(LockedError):
            Lock(tmp_path).acquire()
    finally:
        process.kill()
        process.wait()


def test_a_dead_owner_does_not_block_even_before_its_parent_has_noticed(tmp_path):
    process = hold(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    while lock.started(process.pid):  # a zombie from now on
        time.sleep(0.01)
    Lock(tmp_path).acquire()
    process.wait()


def test_a_reused_process_number_is_not_the_owner(tmp_path):
    owner = {"kernel": lock.kernel(), "pid": os.getpid(), "started": "1", "since": "then"}
    (tmp_path / "lock.7").write_text(json.dumps(owner))
    Lock(tmp_path).acquire()
    assert [path.name for path in tmp_path.iterdir()] == ["lock.8"]


def test_the_same_process_is_refused_a_second_time_until_it_releases(tmp_path):
    first = Lock(tmp_path)
    first.acquire()
    with pytest.raises(LockedError):
        Lock(tmp_path).acquire()
    first.release()
    assert not list(tmp_path.iterdir())
    Lock(tmp_path).acquire()


def test_an_owner_on_another_machine_lives_while_its_heart_beats(tmp_path):
    path, stop = note_of_another_machine(tmp_path), threading.Event()
    thread = threading.Thread(target=beat, args=(path, stop))
    thread.start()
    try:
        with pytest.raises(LockedError, match="another machine"):
            Lock(tmp_path, heartbeat_s=0.2, silence_s=2).acquire()
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("skew_s", [-1e6, 0, 1e6])
def test_a_silent_owner_on_another_machine_is_dead_whatever_the_clocks_say(tmp_path, skew_s):
    path = note_of_another_machine(tmp_path)
    os.utime(path, (time.time() + skew_s,) * 2)
    began = time.monotonic()
    Lock(tmp_path, heartbeat_s=0.1, silence_s=0.5).acquire()
    assert 0.2 <= time.monotonic() - began < 5


@pytest.mark.parametrize("skew_s", [-1e6, 0, 1e6])
def test_a_beating_owner_is_alive_whatever_the_clocks_say(tmp_path, skew_s):
    path, stop = note_of_another_machine(tmp_path), threading.Event()

    def beat_askew():
        for count in range(10**6):
            if stop.wait(0.05):
                return
            os.utime(path, (time.time() + skew_s + count,) * 2)

    thread = threading.Thread(target=beat_askew)
    thread.start()
    try:
        with pytest.raises(LockedError):
            Lock(tmp_path, heartbeat_s=0.2, silence_s=0.5).acquire()
    finally:
        stop.set()
        thread.join()


def test_a_note_that_was_never_written_to_the_end_blocks_only_for_the_silence(tmp_path):
    (tmp_path / "lock.1").touch()
    Lock(tmp_path, heartbeat_s=0.05, silence_s=0.2).acquire()


def test_the_owner_beats_and_notices_when_it_was_taken_for_dead(tmp_path):
    mine = Lock(tmp_path, heartbeat_s=0.05)
    mine.acquire()
    note = next(tmp_path.iterdir())
    before = note.stat().st_mtime_ns
    time.sleep(0.3)
    assert note.stat().st_mtime_ns > before
    mine.check()
    note_of_another_machine(tmp_path)  # the same name, another owner
    with pytest.raises(LockedError, match="taken over"):
        mine.check()


def test_of_many_that_start_together_over_a_dead_owner_exactly_one_owns(tmp_path):
    for attempt in range(10):
        directory = tmp_path / str(attempt)
        directory.mkdir()
        note = {"kernel": lock.kernel(), "pid": os.getpid(), "started": "1", "since": "then"}
        (directory / "lock.1").write_text(json.dumps(note))
        outcomes, ready = [], threading.Barrier(8)

        def claim(directory=directory, outcomes=outcomes, ready=ready):
            ready.wait()
            try:
                Lock(directory).acquire()
                outcomes.append("owner")
            except LockedError:
                outcomes.append("refused")

        threads = [threading.Thread(target=claim) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert sorted(outcomes) == ["owner"] + ["refused"] * 7


def test_a_note_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RecordError, match="the disk is full"):
        Lock(tmp_path).acquire()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "note",
    [
        b"\xff\xfe\x00", b"[]", b"7", b"[" * 100_000,
        *(
            json.dumps(
                {"kernel": lock.kernel(), "pid": pid, "started": "1", "since": ""}
            ).encode()
            for pid in ("abc", "../../etc", -5, 0, 2**70, 1.5, None, True)
        ),
    ],
    ids=range(12),
)  # fmt: skip
def test_a_note_of_any_other_form_is_nobodys(tmp_path, note):
    (tmp_path / "lock.3").write_bytes(note)
    mine = Lock(tmp_path, heartbeat_s=0.05, silence_s=0.2)
    mine.acquire()
    mine.check()
    mine.release()


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_in_the_place_of_a_lock_is_one_line(tmp_path, make):
    make(tmp_path / "lock.1")
    with pytest.raises(RecordError, match="lock.1 is no file"):
        Lock(tmp_path).acquire()
    with pytest.raises(RecordError, match="lock.1 is no file"):
        live_owner(tmp_path)


def test_a_directory_that_is_gone_is_not_taken_over(tmp_path):
    directory = tmp_path / "run"
    directory.mkdir()
    mine = Lock(directory)
    mine.acquire()
    directory.rename(tmp_path / "moved")
    with pytest.raises(RecordError, match="deleted or moved"):
        mine.check()
    assert live_owner(directory) is None


def test_a_long_watch_is_announced(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lock, "SAID_S", 0.1)
    note_of_another_machine(tmp_path)
    Lock(tmp_path, heartbeat_s=0.1, silence_s=0.5).acquire()
    assert "does its owner still live?" in capsys.readouterr().err


def test_a_dead_users_note_that_cannot_be_read_is_no_endless_loop():
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        note_of_another_machine(Path(folder)).chmod(0o600)
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                os.setuid(65534)
                Lock(folder, heartbeat_s=0.05, silence_s=0.2).acquire()
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert os.listdir(folder) == ["lock.2"]
