"""Sweeps through the command line: fresh processes, kills, hangs, rivals, launchers.

Nearly all of it runs with the toy of `light/` in the network's place (everything else is real:
see `light/sitecustomize.py`); the last test kills and resumes the real network.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from nstbench.errors import RecordError
from nstbench.run.lock import live_owner
from nstbench.run.record import RunDirectory, read_record, read_rows
from nstbench.run.schema import EPOCH_COLUMNS, TRACE_COLUMNS, Status
from nstbench.sweep import plan, supervise

HERE = Path(__file__).resolve().parent
SMALL = ("size=64", "weights=random")
SECONDS = ("optimise_s", "wall_s")


def environment(light=True, epoch_s=0.0):
    path = [str(HERE / "light")] * light + [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path), "TOY_EPOCH_S": str(epoch_s)}


def start(folder, *arguments, light=True, epoch_s=0.0):
    """The command line in a session of its own, its output in `out.txt`."""
    with open(folder / "out.txt", "w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "nstbench", *SMALL, *arguments],
            cwd=folder, env=environment(light, epoch_s), stdout=output, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=heed_signals,
        )  # fmt: skip


def heed_signals():
    """A child obeys what its tests' own process, in the background or under nohup, ignores."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def behaving(folder):
    """Pictures after whose names the toy behaves; they are looked at before anything starts."""
    for number, name in enumerate(("raises", "killed", "hangs")):
        Image.new("RGB", (40, 40), color=(number, 0, 0)).save(folder / name, format="PNG")


def sweep(folder, *arguments, **options):
    """Exit code and output of a command line."""
    process = start(folder, *arguments, **options)
    code = process.wait(600)
    return code, (folder / "out.txt").read_text()


def runs(folder):
    return sorted((folder / "results" / "runs").iterdir())


def contents(directory):
    """What must not depend on how often a run was disturbed: all but its seconds and dates."""
    record = read_record(directory)
    rows = read_rows(directory / "epochs.csv", EPOCH_COLUMNS)
    return {
        "status": record.status,
        "error": record.error,
        "settings": {k: v for k, v in record.settings.items() if k != "out"},
        "problem": record.problem,
        "final": record.final,
        "quality": record.quality,
        "epochs": [{k: v for k, v in row.items() if k not in SECONDS} for row in rows],
        "trace": (directory / "trace.csv").read_bytes(),
        "image": (directory / "image.png").read_bytes(),
        "files": sorted(path.name for path in directory.iterdir()),
    }


def rows_of(folder):
    """Rows on record so far, of all runs."""
    tables = folder.glob("results/runs/*/epochs.csv")
    return sum(len(read_rows(table, EPOCH_COLUMNS)) for table in tables)


def workers_of(process):
    """The runs' own processes under a sweep."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if "nstbench.sweep.worker" in child.cmdline()]
    except psutil.Error:
        return []


def wait_until(condition, timeout=60):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


# ---- fates of single runs -----------------------------------------------------------------------


def test_one_raises_one_is_killed_one_hangs_and_the_others_complete(tmp_path):
    behaving(tmp_path)
    arguments = ("-m", "content=cat,raises,killed,hangs,coffee", "time_limit=8", "epochs=8")
    code, output = sweep(tmp_path, *arguments)
    assert code == 1
    records = {r.settings["content"]: r for r in map(read_record, runs(tmp_path))}
    assert {name: str(record.status) for name, record in records.items()} == {
        "cat": "completed",
        "raises": "failed",
        "killed": "failed",
        "hangs": "failed",
        "coffee": "completed",
    }
    assert records["raises"].error == "RuntimeError: the toy broke"
    assert any("the toy broke" in line for line in records["raises"].log_tail)
    assert "SIGKILL" in records["killed"].error
    assert records["hangs"].error == "ran past its time limit of 8 s"
    assert "2 completed, 3 failed" in output
    again = re.search(r"To run again .*\n\s*python -m nstbench (.*)", output)[1]
    assert set(arguments) <= set(again.split())
    # The same command runs just the failed ones again.
    stamps = {d: (d / "log.txt").stat().st_mtime_ns for d in runs(tmp_path)}
    code, output = sweep(tmp_path, *arguments, "time_limit=4")
    assert code == 1
    for directory, stamp in stamps.items():
        rerun = (directory / "log.txt").stat().st_mtime_ns != stamp
        assert rerun == (read_record(directory).status == Status.FAILED)


def test_a_complete_sweep_starts_no_process_and_force_starts_all(tmp_path):
    arguments = ("-m", "optimizer=adam,sgd", "epochs=2")
    assert sweep(tmp_path, *arguments)[0] == 0
    stamps = [(d / "log.txt").stat().st_mtime_ns for d in runs(tmp_path)]
    began = time.monotonic()
    code, output = sweep(tmp_path, *arguments)
    assert code == 0 and "2 completed" in output and time.monotonic() - began < 20
    assert [(d / "log.txt").stat().st_mtime_ns for d in runs(tmp_path)] == stamps
    assert sweep(tmp_path, *arguments, "force=true")[0] == 0
    assert all((d / "log.txt").stat().st_mtime_ns not in stamps for d in runs(tmp_path))


def test_the_table_at_the_end_begins_with_the_lowest_loss(tmp_path):
    arguments = ("-m", "lr=0.1,0.4,0.2", "epochs=4")
    code, output = sweep(tmp_path, *arguments)
    assert code == 0
    table = output[output.index("run  ") :].splitlines()
    found = [re.search(r"lr([0-9.]+)-e4x5", line)[1] for line in table[1:4]]
    assert found == ["0.4", "0.2", "0.1"]
    assert [line.rstrip().endswith("lowest loss") for line in table[1:4]] == [True, False, False]
    assert f"python -m nstbench report {tmp_path}/results" in output
    assert "To run again" not in output


def test_a_hang_that_heeds_no_signal_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(supervise, "GRACE_S", 0.5)
    monkeypatch.chdir(tmp_path)
    stubborn = "import signal, time; signal.pthread_sigmask(signal.SIG_BLOCK, [15]); time.sleep(99)"
    (tmp_path / "nstbench").mkdir()
    (tmp_path / "nstbench" / "sweep").mkdir()
    (tmp_path / "nstbench" / "sweep" / "worker.py").write_text(stubborn)
    (run,) = plan.make([*SMALL, "epochs=2"]).runs
    began = time.monotonic()
    outcome = supervise.carry_out(run, 1, dict(os.environ, PYTHONPATH=""), str(tmp_path))
    assert outcome.error == "ran past its time limit of 1 s" and time.monotonic() - began < 20
    assert read_record(run.directory).status == Status.FAILED


def test_the_frameworks_greetings_are_no_part_of_an_error(tmp_path):
    (tmp_path / "log.txt").write_text(
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
        "loading the network\n"
        "I0000 00:00:1795542397.431117   19137 cudart_stub.cc:31] Could not find cuda drivers\n"
    )
    assert supervise.log_tail(tmp_path) == ["loading the network"]


def test_a_run_that_another_process_owns_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (run,) = plan.make([*SMALL, "epochs=2"]).runs
    with RunDirectory(run.directory):
        outcome = supervise.carry_out(run, 60, dict(os.environ), str(tmp_path))
        assert outcome.status == supervise.ELSEWHERE and f"process {os.getpid()}" in outcome.error
    assert read_record(run.directory) is None


def test_a_run_directory_that_cannot_be_made_is_that_runs_failure(tmp_path):
    (tmp_path / "file").write_text("in the way")
    (run,) = plan.make([*SMALL, "epochs=2", f"out={tmp_path / 'file'}"]).runs
    outcome = supervise.carry_out(run, 60, dict(os.environ), str(tmp_path))
    assert outcome.status == Status.FAILED and "Not a directory" in outcome.error


@pytest.mark.parametrize(
    "text",
    ['{"schema": 99, "status": "done"}', "garbage", "", "[]", '{"schema": 2}', "[" * 100_000],
)
def test_one_record_that_cannot_be_read_stops_no_other_run(tmp_path, text):
    first, _ = plan.make([*SMALL, "optimizer=adam,sgd", "epochs=2"]).runs
    bad = tmp_path / "results" / "runs" / first.id
    bad.mkdir(parents=True)
    (bad / "run.json").write_text(text)
    code, output = sweep(tmp_path, "-m", "optimizer=adam,sgd", "epochs=2")
    assert code == 1 and "1 completed, 1 failed" in output and "Traceback" not in output
    assert "move it away" in " ".join(output.split())
    assert (bad / "run.json").read_text() == text
    with pytest.raises(RecordError):
        read_record(bad)


# ---- several sweeps of one folder ---------------------------------------------------------------


@pytest.mark.timeout(300)
def test_three_identical_sweeps_complete_every_run_once_and_all_end_with_0(tmp_path):
    arguments = ("-m", "optimizer=adam,sgd", "lr=0.1,0.2", "epochs=6")
    sweeps = []
    for number in range(3):
        with open(tmp_path / f"out{number}.txt", "w") as output:
            sweeps.append(
                subprocess.Popen(
                    [sys.executable, "-m", "nstbench", *SMALL, *arguments],
                    cwd=tmp_path,
                    env=environment(epoch_s=0.1),
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )  # fmt: skip
            )
    codes = [process.wait(240) for process in sweeps]
    outputs = [(tmp_path / f"out{number}.txt").read_text() for number in range(3)]
    assert codes == [0, 0, 0], outputs
    assert all("4 completed" in output for output in outputs)
    for directory in runs(tmp_path):
        record = read_record(directory)
        assert record.status == Status.COMPLETED and record.error is None
        assert len(read_rows(directory / "epochs.csv", EPOCH_COLUMNS)) == 6
        log = (directory / "log.txt").read_text()
        assert log.count("epoch 6/6") == 1 and "failed" not in log


def test_a_run_that_somebody_completes_before_its_turn_is_complete(tmp_path, monkeypatch):
    """The plan is older than the record: nothing is started and nothing overwritten."""
    monkeypatch.chdir(tmp_path)
    (run,) = plan.make([*SMALL, "epochs=2"]).runs
    assert sweep(tmp_path, "epochs=2")[0] == 0
    before = (run.directory / "run.json").read_bytes()
    outcome = supervise.carry_out(run, 60, {}, str(tmp_path))
    assert outcome.status == Status.COMPLETED
    assert supervise.mark_failed(run, "nothing came back").status == Status.COMPLETED
    assert (run.directory / "run.json").read_bytes() == before


def test_a_final_record_outlives_a_forced_run_that_never_began(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sweep(tmp_path, "epochs=2")[0] == 0
    (run,) = plan.make([*SMALL, "epochs=2", "force=true"]).runs
    before = (run.directory / "run.json").read_bytes()
    broken = dict(os.environ, PYTHONPATH=str(tmp_path))  # a package of that name without a worker
    (tmp_path / "nstbench").mkdir()
    (tmp_path / "nstbench" / "__init__.py").write_text("raise SystemExit(3)")
    assert supervise.carry_out(run, 60, broken, str(tmp_path)).status == Status.FAILED
    assert (run.directory / "run.json").read_bytes() == before


def test_a_sweep_takes_over_the_run_that_another_one_left(tmp_path):
    arguments = ("-m", "epochs=30")
    first = start(tmp_path, *arguments, epoch_s=0.1)
    wait_until(lambda: rows_of(tmp_path) > 2)
    (tmp_path / "second").mkdir()
    second = start(tmp_path / "second", *arguments, f"out={tmp_path}/results", epoch_s=0.02)
    time.sleep(3)
    for victim in workers_of(first):
        victim.kill()
    first.kill()
    first.wait()
    assert second.wait(120) == 0
    (directory,) = runs(tmp_path)
    assert read_record(directory).status == Status.COMPLETED
    assert len(read_rows(directory / "epochs.csv", EPOCH_COLUMNS)) == 30


def test_names_of_pictures_in_a_folder_are_data(tmp_path):
    (tmp_path / "mine").mkdir()
    names = ["${oc.env:SECRET_TOKEN}.png", "end\\'q.png", "IMG (1), b.png"]
    for number, name in enumerate(names):
        Image.new("RGB", (40, 40), color=(number, 0, 0)).save(tmp_path / "mine" / name)
    os.environ["SECRET_TOKEN"] = "hunter2"
    try:
        code, output = sweep(tmp_path, "content=mine", "epochs=2", "out=${oc.env:SECRET_TOKEN}")
    finally:
        del os.environ["SECRET_TOKEN"]
    assert code == 0 and "3 completed" in output, output
    folder = tmp_path / "${oc.env:SECRET_TOKEN}" / "runs"
    records = [read_record(directory) for directory in folder.iterdir()]
    assert {Path(record.settings["content"]).name for record in records} == set(names)
    for path in [tmp_path / "out.txt", *folder.rglob("*.json"), *folder.rglob("*.txt")]:
        assert "hunter2" not in path.read_text()
    assert not (tmp_path / "hunter2").exists()


# ---- stopping and resuming ----------------------------------------------------------------------


def test_a_full_disk_fails_runs_in_one_line_and_room_completes_them(tmp_path, small_disk):
    """The disk fills when one of three runs is complete."""
    arguments = ("-m", "content=cat,coffee,rocket", "epochs=8", f"out={small_disk}")
    assert sweep(tmp_path, "-m", "content=cat", *arguments[2:])[0] == 0
    with suppress(OSError), open(small_disk / "ballast", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    code, output = sweep(tmp_path, *arguments)
    assert code == 1 and "the disk is full" in output and "Traceback" not in output
    assert "1 completed, 2 failed" in output
    (small_disk / "ballast").unlink()
    code, output = sweep(tmp_path, *arguments)
    assert code == 0 and "3 completed" in output
    (undisturbed := tmp_path / "undisturbed").mkdir()
    sweep(undisturbed, *arguments[:-1])
    assert list(map(contents, sorted((small_disk / "runs").iterdir()))) == list(
        map(contents, runs(undisturbed))
    )


def test_a_read_only_results_folder_is_said_and_nothing_is_lost(tmp_path, small_disk):
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    arguments = ("-m", "content=cat,coffee", "epochs=4", f"out={small_disk}")
    assert sweep(tmp_path, arguments[0], "content=cat", *arguments[2:])[0] == 0
    before = list(map(contents, (small_disk / "runs").iterdir()))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    code, output = sweep(tmp_path, *arguments)
    assert code != 0 and "read-only" in output and "Traceback" not in output
    assert list(map(contents, (small_disk / "runs").iterdir())) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_sweep_ends_at_a_checkpoint_and_continues(tmp_path, number):
    arguments = ("-m", "optimizer=adam,sgd", "epochs=30")
    process = start(tmp_path, *arguments, epoch_s=0.05)
    wait_until(lambda: rows_of(tmp_path))
    time.sleep(0.3)
    process.send_signal(number)
    assert process.wait(60) == 130
    (stopped,) = [d for d in runs(tmp_path) if read_record(d)]
    assert read_record(stopped).status == Status.INTERRUPTED and not live_owner(stopped)
    assert (stopped / "checkpoint.npz").exists()
    said = (tmp_path / "out.txt").read_text()
    assert "1 interrupted, 1 not started" in said
    assert len(re.findall(r"^(adam|sgd)-[\w.-]+ .*interrupted", said, re.M)) == 1
    # What never began, perhaps hundreds of runs, has no line.
    assert not re.findall(r"^(adam|sgd)-[\w.-]+ .*not started", said, re.M)
    assert sweep(tmp_path, *arguments)[0] == 0
    assert "continued from a checkpoint" in " ".join(read_record(stopped).timing_notes)


def test_a_run_ends_when_its_parent_is_killed(tmp_path):
    process = start(tmp_path, "-m", "epochs=1000", epoch_s=0.05)
    wait_until(lambda: rows_of(tmp_path))
    (orphan,) = workers_of(process)
    process.kill()
    process.wait()
    wait_until(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE)
    assert read_record(runs(tmp_path)[0]).status == Status.INTERRUPTED


# The toy needs a second to start, and the kills fall on every moment of four such runs.
KILLED = ("-m", "optimizer=adam,sgd", "lr=0.02,0.5", "epochs=60", "checkpoint_s=0.1")


@pytest.mark.timeout(900)
def test_killed_ten_times_the_records_are_those_of_an_undisturbed_sweep(tmp_path):
    """Parent, worker or both, by SIGKILL, at random moments; then rerun until complete."""
    calm = tmp_path / "calm"
    calm.mkdir()
    assert sweep(calm, *KILLED)[0] == 0
    expected = [contents(directory) for directory in runs(calm)]
    seeds, attempt = list(range(10)), 0
    while seeds:
        folder = tmp_path / f"killed{attempt}"
        folder.mkdir()
        attempt += 1
        while seeds and kill_once(folder, np.random.default_rng(seeds[0])):
            seeds.pop(0)
        assert sweep(folder, *KILLED)[0] == 0
        assert [contents(directory) for directory in runs(folder)] == expected


def kill_once(folder, random):
    """Start the sweep and kill it in the middle; False when it was complete before that."""
    process = start(folder, *KILLED, epoch_s=0.03)
    try:
        wait_until(lambda: workers_of(process) or process.poll() is not None)
        time.sleep(random.uniform(0, 2.5))
        victims = workers_of(process)
        whom = random.choice(["parent", "worker", "both"])
        if process.poll() is not None or not (victims or whom == "parent"):
            return False
        if whom in ("parent", "both"):
            process.kill()
        if whom in ("worker", "both"):
            for victim in victims:
                victim.kill()
    except psutil.NoSuchProcess:
        return False
    if whom == "worker":  # the parent records it as failed and goes on with the others
        time.sleep(random.uniform(0, 1))
        process.kill()
    process.wait()
    for path in folder.glob("results/runs/*/epochs.csv"):
        numbers = [int(row["epoch"]) for row in read_rows(path, EPOCH_COLUMNS)]
        assert numbers == list(range(1, len(numbers) + 1))
        read_rows(path.with_name("trace.csv"), TRACE_COLUMNS)
        read_record(path.parent)
    return True


@pytest.mark.timeout(900)  # three starts of TensorFlow; a minute on an idle machine
def test_the_real_network_killed_and_continued_ends_as_if_it_never_was(tmp_path):
    arguments = ("-m", "optimizer=adam", "epochs=8", "checkpoint_s=0")
    for name in ("calm", "killed"):
        (tmp_path / name).mkdir()
    assert sweep(tmp_path / "calm", *arguments, light=False)[0] == 0
    process = start(tmp_path / "killed", *arguments, light=False)
    wait_until(lambda: rows_of(tmp_path / "killed") > 2, 300)
    for victim in workers_of(process):
        victim.kill()
    process.kill()
    process.wait()
    assert sweep(tmp_path / "killed", *arguments, light=False)[0] == 0
    ((calm,), (killed,)) = (runs(tmp_path / name) for name in ("calm", "killed"))
    assert contents(calm) == contents(killed)
    assert "continued from a checkpoint" in " ".join(read_record(killed).timing_notes)


# ---- launchers ----------------------------------------------------------------------------------


def test_the_serial_launcher_is_the_timed_mode_and_the_others_say_that_they_are_not(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    behaving(tmp_path)
    assert sweep(tmp_path, "-m", "epochs=2")[0] == 0
    (serial,) = runs(tmp_path)
    assert not any("launcher" in note for note in read_record(serial).timing_notes)
    arguments = ("-m", "epochs=2", "lr=0.5,0.6,0.7", "content=cat,raises,killed,coffee")
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    code, output = sweep(tmp_path, *arguments, "epochs=8", *launcher)
    assert code == 1 and "6 completed, 6 failed" in output
    for directory in set(runs(tmp_path)) - {serial}:
        record = read_record(directory)
        assert not record.timing_valid
        if record.status == Status.COMPLETED:
            assert any("joblib launcher may run several" in n for n in record.timing_notes)


def test_a_launcher_whose_process_is_killed_loses_nothing(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    arguments = ("lr=0.1,0.2,0.3", "epochs=30", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    process = start(tmp_path, "-m", *arguments, epoch_s=0.05)
    wait_until(lambda: rows_of(tmp_path) > 3)
    psutil.Process(workers_of(process)[0].ppid()).kill()
    assert process.wait(120) == 0
    output = (tmp_path / "out.txt").read_text()
    assert "the launcher broke: TerminatedWorkerError" in output and "3 completed" in output
    assert not list(tmp_path.glob("results/runs/*/lock.*"))


def test_submitits_executor_on_this_machine(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    behaving(tmp_path)
    arguments = ("-m", "epochs=8", "content=cat,killed", "hydra/launcher=submitit_local")
    code, output = sweep(tmp_path, *arguments)
    assert code == 1 and "1 completed, 1 failed" in output
    assert {str(read_record(d).status) for d in runs(tmp_path)} == {"completed", "failed"}


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("hydra/launcher=jobli", "unknown hydra/launcher 'jobli'; did you mean joblib?"),
        ("hydra.launcher.n_jobs=2", "hydra.launcher.n_jobs"),
    ],
)
def test_a_wrong_launcher_is_one_line(tmp_path, argument, message):
    code, output = sweep(tmp_path, "-m", "epochs=2", argument)
    assert code == 2 and message in output and output.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_the_command_line_in_the_record_runs_the_same_run(tmp_path):
    assert sweep(tmp_path, "-m", "optimizer=adam,sgd", "repeats=2", "epochs=2")[0] == 0
    for directory in runs(tmp_path):
        record = json.loads((directory / "run.json").read_text())
        (run,) = plan.make(record["command"]).runs
        assert run.id == record["id"] == directory.name
