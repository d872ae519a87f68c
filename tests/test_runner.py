"""One run in this process, with a small valley in the network's place, compiled by nobody.

All else is real.
"""

import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from keras import ops
from PIL import Image

from nstbench import engine as engines
from nstbench.errors import LockedError, RecordError, SettingsError
from nstbench.optimizers import minimise
from nstbench.pictures import images
from nstbench.run import loop as runner
from nstbench.run import result
from nstbench.run.record import RunDirectory, read_rows
from nstbench.run.schema import EPOCH_COLUMNS, TRACE_COLUMNS, Status
from nstbench.settings import compose, identity
from nstbench.transfer import problem
from nstbench.transfer.objective import Objective

NOT_SECONDS = [name for name in EPOCH_COLUMNS if name not in ("optimise_s", "wall_s")]


def valley(images_, parameters):
    """Curved, with its minimum inside the box; with log=1 not finite where a pixel is 0."""
    flat = ops.reshape(images_, (images_.shape[0], -1))
    log = parameters["log"]
    pull = ops.sum(ops.square(flat - 0.3), axis=1)
    bend = ops.sum(ops.square(flat[:, 1:] - ops.square(flat[:, :-1])), axis=1)
    return {
        "content": pull, "style": bend,
        "variation": -log * ops.sum(ops.log(flat + 1.0 - log), axis=1),
    }  # fmt: skip


@pytest.fixture(autouse=True)
def small_problem(monkeypatch, eager):
    def load(settings, engine, progress=None, begun=None):
        log = 0.0 if settings.content == "astronaut" else 1.0
        pixels = np.random.default_rng(1).random((8, 8, 3), np.float32)
        picture = images.Picture(settings.content, 0.1 + 0.8 * pixels)
        extractor = SimpleNamespace(weights=SimpleNamespace(source="none", sha256="none"))
        objective = Objective(valley, {"log": ops.convert_to_tensor(log, dtype=engine.dtype)})
        return problem.Problem(picture, [picture], extractor, objective, {"content": ("deep",)})

    monkeypatch.setattr(problem, "load", load)
    load_engine = engines.load
    monkeypatch.setattr(
        engines, "load", lambda device, *rest: eager if device == "auto" else load_engine(device)
    )


class Watch:
    """Calls `act(epoch)` after every epoch."""

    def __init__(self, act=lambda epoch: None):
        self.act, self.epochs, self.stages, self.notes = act, 0, [], []

    def stage(self, what):
        self.stages.append(what)

    def download(self, name, done, total):
        raise AssertionError("nothing to fetch")

    def note(self, text):
        self.notes.append(text)

    def epoch(self, row):
        self.epochs += 1
        self.act(row["epoch"])


@pytest.fixture
def settle(tmp_path):
    """Settings of a run below `tmp_path / folder`."""

    def make(*overrides, folder="results"):
        shared = [f"out={tmp_path / folder}", "epochs=6", "steps_per_epoch=2", "checkpoint_s=0"]
        return compose.resolve([*shared, *overrides])

    return make


def table(settings, name="epochs", columns=EPOCH_COLUMNS):
    return read_rows(identity.run_directory(settings) / f"{name}.csv", columns)


def losses(settings):
    return [[row[name] for name in NOT_SECONDS] for row in table(settings)]


def trace(settings):
    return (identity.run_directory(settings) / "trace.csv").read_bytes()


def picture(settings):
    return (identity.run_directory(settings) / "image.png").read_bytes()


def pixels_of(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_a_record_says_which_layers_each_term_read(settle):
    assert runner.run(settle("epochs=1"), Watch()).layers == {"content": ["deep"]}


def test_a_run_that_completes(settle):
    settings, watch = settle("snapshots=3"), Watch()
    record = runner.run(settings, watch)
    directory = identity.run_directory(settings)
    assert record.status == Status.COMPLETED and record.error is None
    assert watch.stages == ["loading the network", "compiling", "optimising", "measuring"]
    assert [int(row["epoch"]) for row in table(settings)] == list(range(1, 7))
    assert [int(row["step"]) for row in table(settings)] == list(range(2, 13, 2))
    assert len(table(settings, "trace", TRACE_COLUMNS)) == 12
    assert (record.final.epochs, record.final.steps, record.final.evaluations) == (6, 12, 12)
    assert record.final.loss < float(table(settings)[0]["loss"])
    assert record.final.loss_best <= float(table(settings)[-1]["loss_best"])
    assert record.quality.ssim < 1 and record.reference.loss == pytest.approx(record.final.loss)
    frames = sorted(path.name for path in (directory / "frames").iterdir())
    assert frames == ["epoch_00000.png", "epoch_00003.png", "epoch_00006.png"]
    assert np.array_equal(
        pixels_of(directory / "frames" / "epoch_00006.png"), pixels_of(directory / "image.png")
    )
    assert not (directory / "checkpoint.npz").exists()
    clocks = record.clocks
    parts = clocks.compile_s + clocks.optimise_s + clocks.measure_s + clocks.io_s
    assert clocks.import_s > 0
    assert 0 < parts <= clocks.total_s
    assert record.machine["devices"] == ["CPU"] and record.machine["precision"] == "float32"


def test_mean_and_last_loss_of_an_epoch(settle):
    settings = settle()
    runner.run(settings, Watch())
    steps = [float(row["loss"]) for row in table(settings, "trace", TRACE_COLUMNS)]
    for index, row in enumerate(table(settings)):
        pair = steps[2 * index : 2 * index + 2]
        assert float(row["loss"]) == pytest.approx(sum(pair) / 2)
        assert float(row["loss_last"]) == pair[-1]
        assert float(row["loss_best"]) == min(steps[: 2 * index + 2])


@pytest.mark.parametrize("optimizer", ["rmsprop", "lbfgs", "lbfgsb"])
def test_the_same_settings_give_the_same_bytes(settle, optimizer):
    first = settle(f"optimizer={optimizer}", folder="first")
    second = settle(f"optimizer={optimizer}", folder="second")
    for settings in (first, second):
        runner.run(settings, Watch())
    assert trace(first) == trace(second)
    assert picture(first) == picture(second)


def test_a_complete_run_is_not_computed_again_unless_forced(settle):
    settings, again = settle(), Watch()
    first = runner.run(settings, Watch())
    assert runner.run(settings, again) == first
    assert again.stages == []
    forced = settle("force=true")
    assert identity.run_directory(forced) == identity.run_directory(settings)
    before = trace(settings)
    assert runner.run(forced, again).status == Status.COMPLETED
    assert again.epochs == 6 and trace(forced) == before


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lbfgs", "lbfgsb"])
@pytest.mark.parametrize("by", ["SIGTERM", "kill"])
def test_a_stopped_run_continues_unnoticed(settle, optimizer, by):
    """`kill` ends it after an epoch's rows are written and before its checkpoint is."""
    whole = settle(f"optimizer={optimizer}", folder="whole")
    runner.run(whole, Watch())

    def stop(epoch):
        if epoch == 3 and by == "kill":
            raise KeyboardInterrupt
        if epoch == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    settings = settle(f"optimizer={optimizer}", folder="stopped")
    if by == "kill":
        with pytest.raises(KeyboardInterrupt):
            runner.run(settings, Watch(stop))
    else:
        record = runner.run(settings, Watch(stop))
        assert (record.status, record.error) == (Status.INTERRUPTED, "stopped by SIGTERM")
    assert 0 < len(table(settings)) < 6
    watch = Watch()
    record = runner.run(settings, watch)
    assert record.status == Status.COMPLETED
    if optimizer != "lbfgsb":  # SciPy's state cannot be kept: it starts again
        assert watch.epochs == (3 if by == "SIGTERM" else 4)
        assert any("continued from a checkpoint" in note for note in record.timing_notes)
    assert losses(settings) == losses(whole)
    assert trace(settings) == trace(whole)
    assert picture(settings) == picture(whole)


def test_divergence_is_a_result(settle):
    settings = settle("optimizer=sgd", "lr=10", "content=coffee")
    record = runner.run(settings, Watch())
    assert record.status == Status.DIVERGED and record.error is None
    assert record.final.epochs == len(table(settings))
    assert 1 <= len(table(settings)) < 6
    assert table(settings)[-1]["loss"] == "nan"
    assert runner.run(settings, Watch()).finished == record.finished


def test_a_failure_is_on_record_and_passed_on(settle, monkeypatch):
    settings = settle()

    def broken(self, steps):
        raise RuntimeError("out of pixels")

    with monkeypatch.context() as patch:
        patch.setattr(minimise._Fused, "advance", broken)
        with pytest.raises(RuntimeError):
            runner.run(settings, Watch())
    with RunDirectory(identity.run_directory(settings)) as directory:
        record = directory.read_record()
    assert (record.status, record.error) == (Status.FAILED, "RuntimeError: out of pixels")
    assert not record.timing_valid
    assert runner.run(settings, Watch()).status == Status.COMPLETED


@pytest.mark.parametrize("device", ["gpu:7", "gpux"])
def test_a_device_that_is_not_there_is_told_and_not_recorded(settle, device):
    settings = settle(f"device={device}")
    with pytest.raises(SettingsError, match="device"):
        runner.run(settings, Watch())
    assert not (identity.run_directory(settings) / "run.json").exists()


def test_two_processes_never_write_one_directory(settle):
    settings = settle()

    def rival(epoch):
        if epoch == 2:
            with pytest.raises(LockedError):
                runner.run(settings, Watch())

    assert runner.run(settings, Watch(rival)).status == Status.COMPLETED


# ---- parts of epochs -----------------------------------------------------------------------------


def test_a_stop_does_not_wait_for_the_end_of_a_long_epoch(settle, monkeypatch):
    """One epoch of 60 steps, stopped inside; its steps so far are in the checkpoint."""
    monkeypatch.setattr(runner, "PART_S", 1e-9)  # a part is one step
    long = ("epochs=1", "steps_per_epoch=60")
    whole = settle(*long, folder="whole")
    runner.run(whole, Watch())
    settings, advance = settle(*long, folder="stopped"), minimise._Fused.advance
    taken = []

    def stopping(self, steps):
        taken.append(steps)
        if len(taken) == 20:
            os.kill(os.getpid(), signal.SIGTERM)
        return advance(self, steps)

    with monkeypatch.context() as patch:
        patch.setattr(minimise._Fused, "advance", stopping)
        record = runner.run(settings, Watch())
    assert record.status == Status.INTERRUPTED and len(taken) == 20
    assert table(settings) == []
    assert runner.run(settings, Watch()).status == Status.COMPLETED
    assert losses(settings) == losses(whole) and trace(settings) == trace(whole)
    assert picture(settings) == picture(whole)


# ---- checkpoints that do not fit -----------------------------------------------------------------


def spoil_meta(arrays):
    arrays["meta"] = np.array("no JSON")


def shorten_meta(arrays):
    arrays["meta"] = np.array('{"counters": {}}')


def drop_array(arrays):
    arrays.pop("state_v1")


def reshape_array(arrays):
    arrays["state_v0"] = np.zeros((2, 2, 3), np.float32)


def not_a_number(arrays):
    arrays["state_v0"] = np.full_like(arrays["state_v0"], np.nan)


@pytest.mark.parametrize(
    "damage", [spoil_meta, shorten_meta, drop_array, reshape_array, not_a_number]
)
def test_a_checkpoint_that_does_not_fit_is_none(settle, damage):
    whole, settings = settle(folder="whole"), settle(folder="stopped")
    runner.run(whole, Watch())

    def stop(epoch):
        if epoch == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    runner.run(settings, Watch(stop))
    path = identity.run_directory(settings) / "checkpoint.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    damage(arrays)
    np.savez(path, **arrays)
    watch = Watch()
    assert runner.run(settings, watch).status == Status.COMPLETED
    assert any("does not fit" in note for note in watch.notes)
    assert losses(settings) == losses(whole) and trace(settings) == trace(whole)


def test_a_trace_that_was_cut_makes_the_run_start_anew(settle):
    whole, settings = settle(folder="whole"), settle(folder="stopped")
    runner.run(whole, Watch())

    def stop(epoch):
        if epoch == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    runner.run(settings, Watch(stop))
    path = identity.run_directory(settings) / "trace.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3] + lines[4:]))
    runner.run(settings, Watch())
    assert trace(settings) == trace(whole)


def test_an_error_while_publishing_is_on_record(settle, monkeypatch):
    settings = settle()
    save = images.save

    def full(path, pixels, text=None):
        if path.name == "image.png":
            raise OSError(28, "No space left on device")
        save(path, pixels, text)

    with monkeypatch.context() as patch:
        patch.setattr(images, "save", full)
        with pytest.raises(RecordError, match="cannot write .*image.png: the disk is full"):
            runner.run(settings, Watch())
    with RunDirectory(identity.run_directory(settings)) as directory:
        record = directory.read_record()
    assert record.status == Status.FAILED and "the disk is full" in record.error
    assert runner.run(settings, Watch()).status == Status.COMPLETED


@pytest.mark.parametrize("how", [["keep_colours=true"], ["lr=0.5", "optimizer.box=false"]])
def test_the_result_its_frames_and_its_quality_are_of_one_picture(settle, monkeypatch, how):
    """With the content's colours, and where values outside the box are cut off."""
    settings = settle("epochs=1", "snapshots=1", *how)
    pixels = np.random.default_rng(3).random((8, 8, 3), np.float32)
    monkeypatch.setattr(images, "load", lambda *_: images.Picture("astronaut", pixels))
    measured = []
    monkeypatch.setattr(result, "quality", lambda *each: measured.append(each))
    runner.run(settings, Watch())
    directory = identity.run_directory(settings)
    frame = directory / "frames" / "epoch_00001.png"
    assert np.array_equal(pixels_of(frame), pixels_of(directory / "image.png"))
    ((shown, content),) = measured
    assert shown.min() >= 0 and shown.max() <= 1 and content.shape == shown.shape
    assert "lr=0.5" not in how or shown.min() == 0  # it did leave the box
    saved = np.asarray(Image.open(frame), np.float32) / 255
    np.testing.assert_allclose(shown, saved, atol=0.51 / 255)


@pytest.mark.parametrize(
    "method",
    [("optimizer=adam", "lr=0.02"), ("optimizer=lbfgs",), ("optimizer=lbfgsb",),
     ("optimizer=scipy.CG",)],
)  # fmt: skip
@pytest.mark.parametrize("budget", [1, 7])
def test_a_budget_of_evaluations_ends_a_run_inside_a_step_too(settle, method, budget):
    """Its evaluations are those of the run without a budget; the image is that of whole steps."""
    whole = settle(*method, "epochs=9", folder="whole")
    runner.run(whole, Watch())
    settings = settle(*method, f"evaluations={budget}", "epochs=9", folder="short")
    record = runner.run(settings, Watch())
    assert record.status == Status.COMPLETED and record.finished_early == minimise.SPENT
    assert record.final.evaluations == budget
    long, short = (table(each, "trace", TRACE_COLUMNS) for each in (whole, settings))
    assert short == long[:budget]
    assert record.final.loss in {float(row["loss"]) for row in long[: budget + 4]}


def test_a_budget_stands_in_place_of_epochs_and_changes_no_other_name():
    plain = compose.resolve(["optimizer=adam"])
    assert "evaluations" not in identity.identity(plain)
    spent = compose.resolve(["optimizer=adam", "evaluations=33", "steps_per_epoch=5"])
    assert (spent.epochs, spent.evaluations) == (7, 33)
    assert identity.identity(spent)["evaluations"] == 33
    both = compose.resolve(["optimizer=adam", "evaluations=33", "epochs=3"])
    assert both.epochs == 3
    with pytest.raises(SettingsError, match="evaluations=0 must be at least 1"):
        compose.resolve(["evaluations=0"])
