"""The facts about the machine, and the verdict whether a run was alone on it."""

import json
import platform
import subprocess
import sys
import time

import psutil
import pytest

from nstbench.run import machine

QUIET = {
    "monotonic_s": 0.0,
    "load_average": [0.0, 0.0, 0.0],
    "threads": 8,
    "other_runs": 0,
    "other_gpu_processes": 0,
    "launcher": None,
    "cpu_own_s": 0.0,
    "cpu_all_s": 0.0,
    "steal_s": 0.0,
    "quota_throttled_s": 0.0,
    "thermal_throttle_count": 0,
}
ALONE = QUIET | {"monotonic_s": 100.0, "cpu_own_s": 190.0, "cpu_all_s": 192.0}


def test_a_run_alone_on_its_machine_has_a_valid_timing():
    assert machine.timing_notes(QUIET, ALONE) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"other_runs": 1}, "1 other nstbench run on the machine"),
        ({"cpu_all_s": 210.0}, "other processes used 20.0 s of CPU beside the run's 190.0 s"),
        ({"steal_s": 3.0}, "the hypervisor gave 3.0 s to other machines"),
        ({"quota_throttled_s": 5.0}, "a CPU quota held the run back for 5.0 s"),
        ({"thermal_throttle_count": 4}, "hot cores were slowed 4 times"),
        ({"launcher": "joblib"}, "the joblib launcher may run several at once on one machine"),
        ({"other_gpu_processes": 2}, "2 other processes on the GPU"),
    ],
)
def test_each_disturbance_is_named(change, reason):
    assert machine.timing_notes(QUIET, ALONE | change) == [reason]


def test_what_is_not_readable_disturbs_nobody():
    blind = {"quota_throttled_s": None, "thermal_throttle_count": None}
    assert machine.timing_notes(QUIET | blind, ALONE | blind) == []


def test_a_busy_neighbour_is_noticed_on_the_real_machine():
    before = machine.load()
    spin = "import time\nwhile time.process_time() < 1: pass"
    neighbour = [sys.executable, "-c", spin]
    # A grandchild whose parent never waits for it is not of this run's family.
    start = f"import subprocess; subprocess.Popen({neighbour!r})"
    subprocess.run([sys.executable, "-c", start], check=True)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        after = machine.load()
        notes = machine.timing_notes(before, after)
        if any("other processes used" in note for note in notes):
            return
        time.sleep(0.2)
    pytest.fail("a process that used a second of CPU was not noticed")


def test_another_run_on_the_machine_is_seen(tmp_path):
    (tmp_path / "nstbench").write_text("import time; time.sleep(60)")
    command = [sys.executable, "nstbench"]
    orphan = f"import subprocess as s; print(s.Popen({command!r}, stdout=-3, stderr=-3).pid)"
    before = machine.other_runs()
    done = subprocess.run(
        [sys.executable, "-c", orphan], cwd=tmp_path, capture_output=True, check=True
    )
    try:
        assert machine.other_runs() >= before + 1
    finally:
        psutil.Process(int(done.stdout)).kill()


def test_the_facts_are_plain_data_and_name_no_host():
    text = json.dumps([machine.describe(), machine.load(), machine.versions()])
    assert platform.node() not in text
    assert machine.versions()["numpy"]
    assert machine.describe()["usable_cores"] >= 1


def test_the_age_of_the_process_counts_from_its_start():
    act = "time.sleep(0.3); from nstbench.run import machine; print(machine.process_age())"
    code = f"import time; {act}"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.28 <= float(done.stdout) <= time.monotonic() - began + 0.02
