"""nstbench broken on purpose: `make faults`, minutes on two cores.

Every defect that was once found so is tried again: F1 to F10 and M, L in the order of the list in
which they were found. Where the network does not matter, the toy of `light/` is in its place.
What a fault may cost is a line on the screen and exit code 1 or 2: never a traceback, a hang, a
completed run called failed, or a wrong number.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from test_cli import command, environment, only_run
from test_sweep import contents, heed_signals, rows_of, runs, start, sweep, wait_until, workers_of

from nstbench.run.lock import kernel
from nstbench.run.record import read_record, read_rows
from nstbench.run.schema import EPOCH_COLUMNS, Status
from nstbench.sweep import plan

REAL = ("size=32", "weights=random", "epochs=3", "steps_per_epoch=2", "kernels=direct")
LONG = ("-m", "optimizer=adam,sgd", "epochs=60")
PATIENCE_S = 40  # a stopped sweep has ended by then


def lines(text):
    """What was said, without the progress of a run."""
    return [line for line in text.splitlines() if line.startswith("nstbench")]


def one_line(code, errors, *words, codes=(1, 2)):
    """A fault was told as it should be: in one line with these words."""
    assert code in codes and "Traceback" not in errors, errors
    (said,) = lines(errors)
    assert all(word in said for word in words), said


def killed(folder, *arguments, epoch_s=0.05):
    """The directory of a run of the toy that was killed after a checkpoint."""
    process = start(folder, *arguments, "checkpoint_s=0", epoch_s=epoch_s)
    wait_until(lambda: list(folder.glob("results/runs/*/checkpoint.npz")))
    wait_until(lambda: rows_of(folder) > 3)
    process.kill()
    process.wait()
    return only_run(folder)


@pytest.fixture
def whole(tmp_path):
    """What an undisturbed run of 30 epochs leaves."""
    folder = tmp_path / "whole"
    folder.mkdir()
    assert sweep(folder, "epochs=30", "checkpoint_s=0")[0] == 0
    return contents(only_run(folder))


# ---- F ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempt", range(10))
def test_f1_three_identical_sweeps_at_one_moment(tmp_path, attempt):
    arguments = ("-m", "optimizer=adam,sgd", "lr=0.1,0.2", "epochs=20")
    folders = [tmp_path / str(number) for number in range(3)]
    [folder.mkdir() for folder in folders]
    out = f"out={tmp_path / 'shared'}"
    processes = [start(folder, *arguments, out, epoch_s=0.02) for folder in folders]
    assert [process.wait(240) for process in processes] == [0, 0, 0]
    records = [read_record(path) for path in (tmp_path / "shared" / "runs").iterdir()]
    assert [record.status for record in records] == [Status.COMPLETED] * 4
    for folder in folders:
        text = (folder / "out.txt").read_text()
        assert "4 completed" in text and "failed" not in text and "elsewhere" not in text


def no_json(arrays):
    arrays["meta"] = np.array("{")


def no_key(arrays):
    arrays["meta"] = np.array("{}")


def no_array(arrays):
    del arrays["state_speed"]


def other_shape(arrays):
    arrays["state_image"] = np.zeros((2, 2))


def not_a_number(arrays):
    arrays["state_image"] = np.full_like(arrays["state_image"], np.nan)


@pytest.mark.parametrize("damage", [no_json, no_key, no_array, not_a_number])
def test_f2_a_checkpoint_that_does_not_fit(tmp_path, whole, damage):
    directory = killed(tmp_path, "epochs=30")
    with np.load(directory / "checkpoint.npz") as file:
        arrays = dict(file)
    damage(arrays)
    np.savez(directory / "checkpoint.npz", **arrays)
    code, output = sweep(tmp_path, "epochs=30", "checkpoint_s=0")
    assert code == 0 and "does not fit" in output and "Traceback" not in output, output
    assert contents(directory) == whole


def test_f2_a_folder_in_its_place(tmp_path):
    directory = killed(tmp_path, "epochs=30")
    (directory / "checkpoint.npz").unlink()
    (directory / "checkpoint.npz").mkdir()
    code, output = sweep(tmp_path, "epochs=30", "checkpoint_s=0")
    one_line(code, output, "checkpoint.npz")


def lock_of(pid):
    return json.dumps({"kernel": kernel(), "pid": pid, "started": "1", "since": "then"}).encode()


@pytest.mark.parametrize(
    "note", [lock_of("abc"), lock_of("../../etc"), lock_of(-5), b"\xff\x00", b"[" * 100_000],
    ids=["text", "path", "negative", "bytes", "deep"],
)  # fmt: skip
def test_f3_odd_locks(tmp_path, note):
    assert command(tmp_path, "epochs=2")[0] == 0
    path = only_run(tmp_path) / "lock.1"
    path.write_bytes(note)
    os.utime(path, (1, 1))
    code, _, errors = command(tmp_path, "epochs=2", "force=true")
    assert code == 0 and "does its owner still live?" in errors and "Traceback" not in errors


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_f3_what_is_no_file(tmp_path, make):
    assert command(tmp_path, "epochs=2")[0] == 0
    make(only_run(tmp_path) / "lock.1")
    code, _, errors = command(tmp_path, "epochs=2", "force=true")
    one_line(code, errors, "lock.1 is no file")
    code, output, errors = command(tmp_path, "-m", "epochs=2", "force=true")
    assert code == 1 and "1 failed" in output and "Traceback" not in errors


@pytest.mark.parametrize("name", ["image.png", "epochs.csv", "run.json", "content.png"])
def test_f3_folders_in_a_files_place(tmp_path, name):
    assert command(tmp_path, "epochs=2")[0] == 0
    path = only_run(tmp_path) / name
    path.unlink()
    path.mkdir()
    (path / "x").touch()
    code, _, errors = command(tmp_path, "epochs=2", "force=true")
    one_line(code, errors, name)


def test_f3_a_folder_with_a_temporarys_name_and_a_deep_record(tmp_path):
    assert command(tmp_path, "epochs=2")[0] == 0
    directory = only_run(tmp_path)
    (directory / ".x.png.7.tmp").mkdir()
    (directory / "keep").mkdir()
    (directory / "keep" / "my.tmp").touch()
    assert command(tmp_path, "epochs=2", "force=true")[0] == 0
    assert (directory / "keep" / "my.tmp").exists()  # L4
    (directory / "run.json").write_text("[" * 200_000)
    one_line(*command(tmp_path, "epochs=2")[::2], "run.json")
    one_line(*command(tmp_path, "report")[::2], "run.json")


@pytest.mark.parametrize("damage", ["missing", "cut", "doubled"])
def test_f4_a_trace_that_was_changed_before_a_resume(tmp_path, whole, damage):
    directory = killed(tmp_path, "epochs=30")
    path = directory / "trace.csv"
    rows = path.read_bytes().splitlines(keepends=True)
    changed = {"missing": [], "cut": rows[:4], "doubled": rows[:4] + rows[3:]}[damage]
    path.write_bytes(b"".join(changed))
    assert sweep(tmp_path, "epochs=30", "checkpoint_s=0")[0] == 0
    assert contents(directory) == whole


def test_f5_a_run_that_ends_above_its_start_says_so(tmp_path):
    arguments = (*REAL, "optimizer=sgd", "lr=1e-3")
    code, output, errors = command(tmp_path, *arguments, light=False)
    assert code == 0 and "above its start" in output, output + errors
    code, output, _ = command(tmp_path, "-m", *arguments, light=False)
    assert code == 0 and "ends above its start" in output
    code, _, errors = command(tmp_path, "objective.style.weight=-1")
    one_line(code, errors, "at least 0")


def is_caught(process, number):
    """Whether a process has its own handler of a signal by now, or has ended."""
    with suppress(FileNotFoundError):
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
        return bool(int(caught.split()[1], 16) >> (number - 1) & 1)
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("arguments", [("epochs=9",), ("suite=lr_sensitivity",), ("report",)])
def test_f6_a_signal_at_any_moment_of_the_start(tmp_path, number, arguments):
    for after_s in (0.0, 0.15, 0.3, 0.6, 1.0):
        process = subprocess.Popen(
            [sys.executable, "-m", "nstbench", *arguments], cwd=tmp_path,
            env=environment(True, epoch_s=0.5), stderr=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, start_new_session=True, preexec_fn=heed_signals,
        )  # fmt: skip
        wait_until(lambda process=process: is_caught(process, signal.SIGTERM))
        time.sleep(after_s)
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert "Traceback" not in errors, errors
        # Python ends by SIGINT itself where it met it in a text that it executes: 130 in a shell.
        is_done = "no runs in" in errors  # before the signal: an empty folder is soon reported
        assert is_done or process.returncode in (130, 2, -signal.SIGINT), (after_s, errors)
        assert is_done or process.returncode == 2 or "stopped" in errors
        shutil.rmtree(tmp_path / "results", ignore_errors=True)


def begun(folder, *arguments, ignoring):
    """A command line that ignores a signal from its start, as in a script's background."""
    with open(folder / "out.txt", "w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "nstbench", *arguments], cwd=folder, stdout=output,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            env=environment(True, epoch_s=0.1),
            preexec_fn=lambda: signal.signal(ignoring, signal.SIG_IGN),
        )  # fmt: skip


@pytest.mark.parametrize("ignored", [signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("arguments", [("epochs=60",), LONG])
def test_f6_l8_a_signal_that_was_ignored_stays_so_and_sigterm_ends_all(
    tmp_path, ignored, arguments
):
    process = begun(tmp_path, *arguments, ignoring=ignored)
    wait_until(lambda: rows_of(tmp_path) > 1)
    process.send_signal(ignored)
    before = rows_of(tmp_path)
    wait_until(lambda: rows_of(tmp_path) > before + 2)
    workers = workers_of(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 130
    assert not any(worker.is_running() for worker in workers)
    assert "Traceback" not in (tmp_path / "out.txt").read_text()
    (stopped,) = [d for d in runs(tmp_path) if read_record(d)]
    assert read_record(stopped).status == Status.INTERRUPTED


@pytest.mark.parametrize("ignored", [None, signal.SIGINT])
def test_f6_a_worker_that_is_stopped_alone_ends_its_sweep(tmp_path, ignored):
    process = begun(tmp_path, *LONG, ignoring=ignored or signal.SIGUSR1)
    wait_until(lambda: rows_of(tmp_path) > 1)
    (worker,) = workers_of(process)
    worker.send_signal(signal.SIGTERM)
    wait_until(lambda: not worker.is_running())
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 130


@pytest.mark.parametrize(
    "argument",
    [
        "size=999999999", "size=100000", "style=[]", "style=5", "style=[[wave]]",
        "content=small.png", "style=nowhere.png", "content=folder.png", "init=nosuch",
        "weights=nowhere.npz",
        "style_blend=[0,0]", "style_blend=[-1,1]", "optimizer=adam,adagrad", "experiment=a,b",
        "optimizer=glob(a*)", "learning_rate=0.1", "lr=abc", "optimizer.beta_1=5",
        "checkpoint_s=nan", "checkpoint_s=inf", "experiment=../../../etc/hosts",
        "experiment=../optimizer/adam",
        "suite=../x", "optimizer=./no.py:A", "objective.style.weight=-1",
    ],
)  # fmt: skip
def test_f7_m6_m9_l11_l12_a_wrong_value_is_one_quick_line(tmp_path, argument):
    Image.new("RGB", (8, 8)).save(tmp_path / "small.png")
    (tmp_path / "folder.png").mkdir()
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    code, _, errors = command(tmp_path, argument, light=False)
    one_line(code, errors)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 2.0
    assert not (tmp_path / "results").exists()


def test_f8_greetings_are_no_part_of_an_error(tmp_path):
    """A picture whose header is sound and whose body is not: found by a run's own process."""
    Image.effect_noise((64, 64), 90).save(tmp_path / "cut.png")
    data = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    code, output, errors = command(tmp_path, "-m", *REAL, "content=cut.png", light=False)
    assert code == 1 and "cut.png" in output and "Traceback" not in output + errors
    record = read_record(only_run(tmp_path))
    assert "cannot be read" in record.error
    assert not any(word in str(record.log_tail) for word in ("cuda", "oneDNN", "absl"))
    # L5: alone it leaves nothing behind.
    shutil.rmtree(tmp_path / "results")
    code, _, errors = command(tmp_path, *REAL, "content=cut.png", light=False)
    one_line(code, errors, "cut.png")
    assert list((tmp_path / "results" / "runs").iterdir()) == []


def test_f9_f10_names_are_data(tmp_path):
    names = ["${oc.env:SECRET}.png", "it's.png", "a\\b.png", "{{7*7}}.png", "a=b,c.png", "[x].png"]
    (tmp_path / "mine").mkdir()
    for number, name in enumerate(names):
        Image.new("RGB", (40, 40), color=(number, 0, 0)).save(tmp_path / "mine" / name)
    os.environ["SECRET"] = "hunter2"
    try:
        code, output = sweep(tmp_path, "content=mine", "epochs=2")
    finally:
        del os.environ["SECRET"]
    assert code == 0 and f"{len(names)} completed" in output, output
    for path in [tmp_path / "out.txt", *tmp_path.rglob("*.json"), *tmp_path.rglob("log.txt")]:
        assert "hunter2" not in path.read_text()
    assert not any("hunter2" in path.name for path in tmp_path.rglob("*"))
    Image.new("RGB", (40, 40)).save(os.fsencode(tmp_path / "mine") + b"/M\xfcller.png")
    code, output = sweep(tmp_path, "content=mine", "epochs=2")
    assert code in (1, 2) and "Traceback" not in output


# ---- M ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [8, 12, 16, 24, 32, 48])
def test_m1_m2_a_disk_that_fills_at_any_moment(tmp_path, small_disk, room):
    with suppress(OSError), open(small_disk / "ballast", "wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    with open(small_disk / "ballast", "r+b") as file:
        file.truncate(os.path.getsize(small_disk / "ballast") - room * 1024)
    code, _, errors = command(tmp_path, "epochs=20", "snapshots=1", f"out={small_disk}")
    one_line(code, errors, "the disk is full")
    for path in (small_disk / "runs").glob("*/run.json"):
        assert json.loads(path.read_text())["status"] in ("failed", "running")
    (small_disk / "ballast").unlink()
    assert command(tmp_path, "epochs=20", "snapshots=1", f"out={small_disk}")[0] == 0


def test_m3_a_pictures_name_is_no_formula(tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "cost_$100_$200^{.png")
    for optimizer in ("adam", "sgd"):
        arguments = ("content=cost_$100_$200^{.png", "epochs=3", f"optimizer={optimizer}")
        assert command(tmp_path, *arguments)[0] == 0
    code, _, errors = command(tmp_path, "report")
    assert code == 0 and (tmp_path / "results" / "report" / "index.html").is_file(), errors


def test_m5_a_stop_does_not_wait_for_a_long_epoch(tmp_path):
    arguments = ("experiment=tf_tutorial", "size=192", "steps_per_epoch=2000", "checkpoint_s=1")
    process = start(tmp_path, "-m", *arguments, light=False)
    # A checkpoint in the middle of the first epoch, which takes minutes.
    wait_until(lambda: list(tmp_path.glob("results/runs/*/checkpoint.npz")), 200)
    process.send_signal(signal.SIGINT)
    assert process.wait(100) == 130  # a worker that does not end by itself is killed after 30 s
    assert read_record(only_run(tmp_path)).status == Status.INTERRUPTED
    assert rows_of(tmp_path) == 0 and (only_run(tmp_path) / "checkpoint.npz").exists()


def test_m6_a_method_that_cannot_be_made_is_one_line(tmp_path):
    code, _, errors = command(tmp_path, *REAL, "optimizer=lbfgs", "optimizer.memory=0", light=False)
    one_line(code, errors, "optimizer.memory=0")


def test_m7_m8_names_as_a_shell_gives_them(tmp_path):
    for number, name in enumerate(
        ("photo(1).jpg", "a#b.png", "a&b.png", "it's.png", "end\\'q.png")
    ):
        Image.new("RGB", (40, 40), color=(number, 0, 0)).save(tmp_path / name)
        code, _, errors = command(tmp_path, f"content={name}", "epochs=1")
        assert code == 0, errors
    assert len(runs(tmp_path)) == 5


def test_m10_a_thousand_runs_are_planned_at_once():
    began = time.monotonic()
    rates = ",".join(f"{rate / 1000}" for rate in range(1, 251))
    made = plan.make(["optimizer=adam,sgd,adagrad,rmsprop", f"lr={rates}"])
    assert len(made.runs) == 1000 and time.monotonic() - began < 15


# ---- L ------------------------------------------------------------------------------------------


def test_l1_decoders_are_heard_by_nobody(tmp_path):
    """A TIFF with a private tag and a wrong length of its strips: libtiff and Pillow complain."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[65000] = "x"
    Image.effect_noise((64, 64), 90).save(
        tmp_path / "odd.tif", tiffinfo=tags, compression="tiff_lzw"
    )
    data = bytearray((tmp_path / "odd.tif").read_bytes())
    data[200:260] = bytes(60)
    (tmp_path / "odd.tif").write_bytes(data)
    code, _, errors = command(tmp_path, *REAL, "content=odd.tif", light=False)
    assert "Traceback" not in errors and "site-packages" not in errors
    assert len(lines(errors)) == (code != 0) and "TIFF" not in errors.replace("odd.tif", "")


@pytest.mark.parametrize("arguments", [("epochs=60",), LONG])
def test_l6_a_folder_that_is_deleted_is_called_so(tmp_path, arguments):
    process = start(tmp_path, *arguments, epoch_s=0.1)
    wait_until(lambda: rows_of(tmp_path) > 2)
    shutil.rmtree(tmp_path / "results")
    assert process.wait(120) == 1
    output = (tmp_path / "out.txt").read_text()
    assert "Traceback" not in output and "taken over" not in output
    assert "deleted or moved" in output or "1 failed" in output, output
    if arguments is LONG:
        assert "1 completed, 1 failed" in output or "1 failed, 1 completed" in output, output


def test_l6_a_table_that_is_deleted_is_no_completed_run(tmp_path):
    process = start(tmp_path, "epochs=40", epoch_s=0.1)
    wait_until(lambda: rows_of(tmp_path) > 2)
    (only_run(tmp_path) / "epochs.csv").unlink()
    assert process.wait(60) == 1
    assert "epochs.csv was deleted" in (tmp_path / "out.txt").read_text()
    assert read_record(only_run(tmp_path)).status == Status.FAILED
    assert sweep(tmp_path, "epochs=40")[0] == 0
    assert len(read_rows(only_run(tmp_path) / "epochs.csv", EPOCH_COLUMNS)) == 40


def test_l7_one_garbled_record_holds_up_no_other(tmp_path):
    assert command(tmp_path, "-m", "optimizer=adam,sgd", "epochs=2")[0] == 0
    (runs(tmp_path)[0] / "run.json").write_text("{")
    code, output, errors = command(tmp_path, "-m", "optimizer=adam,sgd,adagrad", "epochs=2")
    assert code == 1 and "2 completed, 1 failed" in output and "Traceback" not in errors


@pytest.mark.parametrize("damage", ["bomb", "header", "text", "deep"])
def test_l9_files_that_are_no_weights(tmp_path, damage):
    path = tmp_path / "w.npz"
    if damage == "bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("facts", "block1_conv1/kernel"):
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    for _ in range(64):
                        file.write(bytes(1 << 22))
    elif damage == "header":
        np.savez(path, facts=np.zeros(3))
        data = bytearray(path.read_bytes())
        data[4:10] = b"\xff" * 6
        path.write_bytes(data)
    else:
        path.write_bytes({"text": b"weights", "deep": b"PK\x03\x04" + bytes(99)}[damage])
    code, _, errors = command(tmp_path, *REAL[:1], "epochs=1", f"weights={path}", light=False)
    one_line(code, errors, "w.npz")


@pytest.mark.parametrize(("gigabytes", "size"), [(1.2, 512), (2.0, 512), (3.0, 512), (9.0, 16384)])
def test_m6_l10_little_memory_is_said(tmp_path, gigabytes, size):
    limit = int(gigabytes * 1e9)
    process = subprocess.run(
        [sys.executable, "-m", "nstbench", *REAL, f"size={size}"], cwd=tmp_path,
        env=environment(False), capture_output=True, text=True, timeout=240,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    assert process.returncode != 0 and process.stderr.strip(), process.stderr
    assert len(process.stderr.splitlines()) < 40, process.stderr


def test_a_folder_of_results_is_whole_after_all_of_this(tmp_path):
    """The report of a folder with damage takes what is sound and names the rest."""
    assert command(tmp_path, "-m", "optimizer=adam,sgd", "epochs=2")[0] == 0
    (runs(tmp_path)[0] / "run.json").write_text("[" * 200_000)
    Path(tmp_path, "results", "runs", "empty").mkdir()
    code, output, errors = command(tmp_path, "report")
    assert code == 0 and "Traceback" not in errors and output.count("skipped") == 2
