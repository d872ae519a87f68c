"""A process that stays: many runs of one problem, with the losses of a process of their own."""

import subprocess
import sys

import pytest

from nstbench.benchmark import competitors, instances, runs, tuning, worker
from nstbench.pictures import images
from nstbench.run import kept as staying_process
from nstbench.run import loop
from nstbench.run.kept import Kept
from nstbench.run.listener import Silent
from nstbench.settings import compose, identity

TINY = (
    "extractor=alexnet",
    "size=64",
    "weights=random",
    "init=noise",
    "epochs=2",
    "steps_per_epoch=3",
)
BAKED = """
import keras

class Baked(keras.optimizers.SGD):
    # A rate that is a constant of the program, which nobody may mistake for a variable.
    def __init__(self, learning_rate=0.1, **options):
        super().__init__(learning_rate, **options)
        self.step_length = float(learning_rate)

    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, 1e-9 * self.step_length * gradient)
"""


def carry(out, arguments, given=None):
    settings = compose.resolve([*TINY, *arguments, f"out={out}"])
    record = loop.run(settings, Silent(), given)
    return record, (identity.run_directory(settings) / "trace.csv").read_bytes()


CHOICES = (
    ("optimizer=adam", "lr=0.02"),
    ("optimizer=adam", "lr=0.2", "optimizer.beta_1=0.5", "schedule=exponential"),
    ("optimizer=sgd", "lr=1e30"),  # diverges
    ("optimizer=lbfgs",),
    ("optimizer=schedule_free_adamw", "lr=0.1"),
    ("optimizer=adam", "lr=0.02"),  # again, after all of these
    ("optimizer=adam", "lr=0.03", "content=cat", "repeat=1"),
)


@pytest.fixture(scope="module")
def kept():
    return Kept()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_losses_are_those_of_a_process_of_ones_own(tmp_path, kept):
    own = {choice: carry(tmp_path / f"own{n}", choice) for n, choice in enumerate(set(CHOICES))}
    for number, arguments in enumerate(CHOICES):
        staying, losses = carry(tmp_path / f"kept{number}", arguments, kept)
        alone, expected = own[arguments]
        assert losses == expected, arguments
        assert staying.final == alone.final and staying.reference == alone.reference
        assert staying.problem == alone.problem and staying.status == alone.status


def test_losses_are_those_of_a_fresh_process(tmp_path, kept):
    carry(tmp_path / "before", ("optimizer=adam", "lr=0.5"), kept)
    _, losses = carry(tmp_path / "kept", ("optimizer=adam", "lr=0.02"), kept)
    command = [sys.executable, "-m", "nstbench", *TINY, "optimizer=adam", "lr=0.02"]
    subprocess.run([*command, f"out={tmp_path / 'fresh'}"], check=True, capture_output=True)
    (trace,) = (tmp_path / "fresh").rglob("trace.csv")
    assert losses == trace.read_bytes()


def test_a_rate_that_is_a_constant_is_compiled_anew(tmp_path, kept):
    file = tmp_path / "baked.py"
    file.write_text(BAKED)
    for rate in (1.0, 900.0):
        arguments = (f"optimizer={file}:Baked", f"lr={rate}")
        _, losses = carry(tmp_path / "kept", arguments, kept)
        assert losses == carry(tmp_path / "alone", arguments)[1]


def test_one_program_serves_all_rates_of_a_method(tmp_path, kept, monkeypatch):
    carry(tmp_path, ("optimizer=adagrad", "lr=0.1"), kept)
    compiled = []
    monkeypatch.setattr(
        type(kept.engine(compose.resolve(list(TINY)))), "compile",
        lambda self, function: compiled.append(function) or function,
    )  # fmt: skip
    carry(tmp_path, ("optimizer=adagrad", "lr=0.2"), kept)
    assert compiled == []


def test_its_seconds_are_marked_as_no_timings(tmp_path, kept):
    record, _ = carry(tmp_path, ("optimizer=adam",), kept)
    assert not record.timing_valid and staying_process.NOTE in record.timing_notes
    assert record.clocks.import_s == 0


@pytest.mark.slow
def test_no_picture_of_the_score_is_opened_while_tuning(tmp_path, kept, monkeypatch):
    """A spy on whatever opens a picture or a record, under a real tuning in this process."""
    few = {"trials": 2, "widenings": 0, "settings": list(TINY[:3])}
    benchmark = instances.load("tiny").model_copy(update=few)
    opened, read = [], []
    monkeypatch.setattr(images, "_open", spy(images._open, opened))
    monkeypatch.setattr(runs, "read", spy(runs.read, read))
    found = competitors.read(["optimizer=adam"], benchmark.arguments)

    def carry(wanted):
        ended = [worker.carry_out(run.arguments, kept) for run in wanted]
        assert {status for status, _ in ended} == {"completed"}
        return {}

    (adam,) = tuning.tune(benchmark, found, [f"out={tmp_path}"], carry)
    assert adam.best.value < 0
    assert set(opened) == benchmark.tuning.pictures
    pictures = {name for run in read for name in (run.settings.content, *run.settings.style)}
    assert pictures == benchmark.tuning.pictures


def spy(function, seen):
    def watched(first, *rest):
        seen.append(first)
        return function(first, *rest)

    return watched
