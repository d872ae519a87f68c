"""Sweeps on a real SLURM cluster: `make test-slurm`, on a Debian machine as root.

The cluster is started here (`cluster.py`), the network is the toy of `tests/light`. What only a
cluster can show: arrays, accounting, preemption with a requeue, a task that somebody cancels.
"""

import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import cluster as clusters  # noqa: E402
from test_sweep import environment, rows_of, runs, wait_until  # noqa: E402

from nstbench.run.record import read_record  # noqa: E402

LAUNCHER = ("hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1")


@pytest.fixture(scope="module")
def cluster():
    reason = clusters.missing()
    assert reason is None, reason
    # Not pytest's folder: munge and mariadb run as users of their own, who may not enter it.
    with (
        tempfile.TemporaryDirectory(prefix="slurm-") as folder,
        clusters.cluster(Path(folder)) as variables,
    ):
        yield variables


@pytest.fixture
def begin(cluster, tmp_path):
    """Starts a sweep on the cluster; its output goes to `out.txt`."""

    def start(*arguments, epoch_s=0.0):
        variables = cluster | {
            name: environment(epoch_s=epoch_s)[name] for name in ("PYTHONPATH", "TOY_EPOCH_S")
        }
        command = [sys.executable, "-m", "nstbench", "-m", "size=64", "weights=random"]
        with open(tmp_path / "out.txt", "w") as output:
            return subprocess.Popen(
                [*command, *arguments, *LAUNCHER],
                cwd=tmp_path, env=variables, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    return start


def accounting(cluster, since=0):
    """What sacct says of the tasks of arrays: {"12_0": "FAILED"}."""
    command = ["sacct", "-a", "-X", "-n", "-P", "-S", "now-1hour", "-o", "jobid,state"]
    text = subprocess.run(command, env=cluster, capture_output=True, text=True, check=True).stdout
    states = dict(line.split("|") for line in text.splitlines())
    return {job: state for job, state in states.items() if int(job.split("_")[0]) > since}


def last_job(cluster):
    """The highest number given out so far; accounting may not have heard of it yet."""
    command = ["scontrol", "show", "config"]
    text = subprocess.run(command, env=cluster, capture_output=True, text=True, check=True).stdout
    return int(re.search(r"NEXT_JOB_ID\s*=\s*(\d+)", text)[1]) - 1


def new_job(cluster, since):
    """The number of the job after `since`, once accounting has heard of it."""
    wait_until(lambda: accounting(cluster, since))
    return min(accounting(cluster, since), key=len).split("_")[0]


def settled(cluster, since, tasks):
    """The states once accounting has heard of so many tasks after `since` and none is under way."""
    busy = ("RUNNING", "PENDING", "COMPLETING", "REQUEUED")

    def is_settled():
        states = accounting(cluster, since).values()
        return len(states) == tasks and not any(state in busy for state in states)

    wait_until(is_settled, 60)
    return accounting(cluster, since)


def statuses(folder):
    records = map(read_record, runs(folder))
    return {record.settings["content"]: str(record.status) for record in records}


def test_an_array_whose_failed_runs_are_failed_in_sacct_too(cluster, begin, tmp_path):
    before = last_job(cluster)
    process = begin("content=cat,raises,killed,coffee", "epochs=8")
    assert process.wait(240) == 1
    assert statuses(tmp_path) == {
        "cat": "completed", "raises": "failed", "killed": "failed", "coffee": "completed",
    }  # fmt: skip
    tasks = settled(cluster, before, tasks=4)
    print("\n", tasks, (tmp_path / "out.txt").read_text(), sep="\n")
    assert sorted(tasks.values()) == ["COMPLETED", "COMPLETED", "FAILED", "FAILED"]
    assert len({job.split("_")[0] for job in tasks}) == 1, "one array"
    for directory in runs(tmp_path):
        notes = read_record(directory).timing_notes
        assert not notes or any("slurm launcher" in note for note in notes)


def test_a_preempted_task_is_queued_again_and_continues_from_its_checkpoint(
    cluster, begin, tmp_path
):
    before = last_job(cluster)
    process = begin("epochs=120", "checkpoint_s=0", epoch_s=0.05)
    wait_until(lambda: rows_of(tmp_path) > 3, 60)
    job = new_job(cluster, before)
    # What SLURM sends `signal_delay_s` before a time limit or a preemption takes the machine away.
    subprocess.run(["scancel", "--signal=USR2", job], env=cluster, check=True)
    assert process.wait(240) == 0
    record = read_record(runs(tmp_path)[0])
    print("\n", settled(cluster, before, tasks=1), record.timing_notes)
    assert record.status == "completed"
    assert any("continued from a checkpoint" in note for note in record.timing_notes)
    assert settled(cluster, before, tasks=1) == {job: "COMPLETED"}


def test_a_requeue_by_the_cluster_itself_continues_too(cluster, begin, tmp_path):
    before = last_job(cluster)
    process = begin("epochs=120", "checkpoint_s=0", epoch_s=0.05)
    wait_until(lambda: rows_of(tmp_path) > 3, 60)
    job = new_job(cluster, before)
    subprocess.run(["scontrol", "requeue", job], env=cluster, check=True)
    assert process.wait(240) == 0
    record = read_record(runs(tmp_path)[0])
    assert record.status == "completed"
    assert any("continued from a checkpoint" in note for note in record.timing_notes)


def test_a_cancelled_task_is_waited_out_and_the_others_complete(cluster, begin, tmp_path):
    before = last_job(cluster)
    process = begin("lr=0.1,0.2,0.3", "epochs=60", epoch_s=0.1)
    wait_until(lambda: rows_of(tmp_path) > 3, 60)
    first = new_job(cluster, before) + "_0"
    subprocess.run(["scancel", first], env=cluster, check=True)
    code = process.wait(300)
    tasks = settled(cluster, before, tasks=3)
    print("\n", tasks, (tmp_path / "out.txt").read_text(), sep="\n")
    assert tasks[first].startswith("CANCELLED")
    ended = [str(read_record(directory).status) for directory in runs(tmp_path)]
    assert code == 1 and sorted(ended) == ["completed", "completed", "interrupted"]
    # Whatever was cancelled, the same command completes it.
    assert begin("lr=0.1,0.2,0.3", "epochs=60").wait(240) == 0


def test_a_task_killed_with_everything_in_it_is_failed_in_both_books(cluster, begin, tmp_path):
    """As by the out-of-memory killer: neither submitit nor the run can say a word any more."""
    before = last_job(cluster)
    process = begin("lr=0.1,0.2", "epochs=60", epoch_s=0.1)
    wait_until(lambda: rows_of(tmp_path) > 3, 60)
    job = new_job(cluster, before)
    for victim in processes_of(job, task="0"):
        victim.kill()
    code = process.wait(300)
    tasks = settled(cluster, before, tasks=2)
    print("\n", tasks, (tmp_path / "out.txt").read_text(), sep="\n")
    ended = [str(read_record(directory).status) for directory in runs(tmp_path)]
    assert code == 1 and sorted(ended) == ["completed", "failed"]
    assert tasks == {f"{job}_0": "FAILED", f"{job}_1": "COMPLETED"}


def processes_of(job, task):
    """The processes of one task of an array that this package has to do with."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            variables = process.environ()
            mine = variables.get("SLURM_ARRAY_JOB_ID") == job and "SLURM_PROCID" in variables
            if mine and variables.get("SLURM_ARRAY_TASK_ID") == task:
                found.append(process)
    return [process for process in found if "python" in process.name()]
