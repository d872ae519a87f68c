"""Sweeps on a real Ray cluster of this machine: `make test-ray`.

The network is the toy of `tests/light`; Ray is started by the launcher itself, and in the second
test beforehand, as one that several machines would share.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from test_sweep import environment, runs, sweep, wait_until  # noqa: E402

from nstbench.run.record import read_record  # noqa: E402

RAY = Path(sys.executable).with_name("ray")


def check(folder, *launcher):
    arguments = ("-m", "content=cat,raises,killed,coffee", "epochs=8", "hydra/launcher=ray")
    code, output = sweep(folder, *arguments, *launcher)
    print(output)
    assert code == 1 and "2 completed, 2 failed" in output
    records = {r.settings["content"]: r for r in map(read_record, runs(folder))}
    assert {name: str(r.status) for name, r in records.items()} == {
        "cat": "completed", "raises": "failed", "killed": "failed", "coffee": "completed",
    }  # fmt: skip
    assert any("ray launcher" in note for note in records["cat"].timing_notes)
    assert not records["cat"].timing_valid


def test_a_cluster_that_the_launcher_starts(tmp_path):
    check(tmp_path)


def test_a_cluster_that_is_there_already(tmp_path):
    with open(tmp_path / "ray.txt", "w") as log:
        command = [RAY, "start", "--head", "--block", "--num-cpus=2", "--port=0"]
        head = subprocess.Popen(
            command, env=environment(), stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until(lambda: "Ray runtime started" in (tmp_path / "ray.txt").read_text())
        check(tmp_path, "hydra.launcher.ray.init.address=auto")
    finally:
        head.terminate()  # it ends what it started; `ray stop` would end other people's, too
        head.wait(60)
