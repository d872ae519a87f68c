"""What is seen of a command line: whether it is a sweep, and whether its process computes."""

import pytest

from nstbench.arguments import computes, is_sweep, joined


@pytest.mark.parametrize(
    ("arguments", "sweep"),
    [
        ([], False),
        (["optimizer=adam", "lr=0.1"], False),
        (["-m", "lr=0.1,0.2"], True),
        (["--multirun"], True),
        (["suite=table1"], True),
        (["repeats=3"], True),
        (["time_limit=60"], True),
        (["hydra/launcher=joblib"], True),
        (["--dry-run"], True),
        (["content=astronaut"], False),
        (["content=pictures"], True),
        (["content=./astronaut"], True),
        (["style=pictures/one.png"], False),
        (["init=pictures"], False),
    ],
)
def test_whether_a_command_line_is_a_sweep_is_decided_in_one_place(
    tmp_path, monkeypatch, arguments, sweep
):
    for name in ("pictures", "astronaut"):
        (tmp_path / name).mkdir()
    (tmp_path / "pictures" / "one.png").touch()
    assert is_sweep(arguments, str(tmp_path)) == sweep
    monkeypatch.chdir(tmp_path)
    assert is_sweep(arguments) == sweep


def test_a_waiting_sweep_over_a_folder_does_not_compute(tmp_path):
    (tmp_path / "mine").mkdir()
    command = ["python", "-m", "nstbench", "content=mine"]
    assert not computes(command, str(tmp_path)) and computes(command, "/")


def test_a_folder_of_yaml_files_is_one_argument():
    assert joined(["--config-dir", "my conf", "lr=1"]) == ["--config-dir=my conf", "lr=1"]
    assert joined(["lr=1", "--config-dir"]) == ["lr=1", "--config-dir"]


@pytest.mark.parametrize(
    ("command", "counts"),
    [
        ("python -m nstbench optimizer=adam epochs=3", True),
        ("python -m nstbench.sweep.worker optimizer=adam", True),
        ("python -m nstbench.benchmark.worker", True),
        ("python -m nstbench benchmark benchmark=tiny", False),
        ("python -u -m nstbench", True),
        ("python /opt/env/bin/nstbench lr=0.1", True),
        ("python -m nstbench -m lr=0.1,0.2", False),
        ("python -m nstbench suite=table1", False),
        ("python /opt/env/bin/nstbench repeats=3 lr=0.1", False),
        ("python -m nstbench hydra/launcher=slurm", False),
        ("python -m nstbench --dry-run lr=0.1", False),
        ("python -m nstbench time_limit=5 lr=0.1", False),
        ("python -m nstbench --help", False),
        ("python -m nstbench --config-dir mine optimizer=mine", True),
        ("python -m nstbench --config-dir mine suite=mine", False),
        ("python -m nstbench.report results", False),
        ("python -m nstbench report results", False),
        ("python -m nstbench check optimizer=adam", True),
        ("python -m nstbench.speed sizes=[64]", True),
        ("vim nstbench", False),
        ("python /opt/env/bin/nstbench speed", True),
        ("python -m pytest tests", False),
        ("vim nstbench/machine.py", False),
        ("python", False),
    ],
)
def test_runs_are_told_from_what_waits_for_them(command, counts):
    assert computes(command.split()) == counts
