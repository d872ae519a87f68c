"""Packs of real runs (AlexNet, random weights) and of forged ones, repeated in this process.

Every forged pack has a new manifest and agrees with itself, so only a repetition can find it.
"""

import json
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_pack import remade

from nstbench.benchmark import pack, packs, repeat, verify
from nstbench.run import loop
from nstbench.run.listener import Silent
from nstbench.run.quality import quality
from nstbench.run.schema import Status
from nstbench.settings import compose, identity
from nstbench.settings.model import Settings

SIZE = ("extractor=alexnet", "size=64", "weights=random", "init=noise", "epochs=3")
OWN = """
import keras

class Mine(keras.optimizers.SGD):
    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, 1e-9 * learning_rate * gradient)
"""


class Killed(Exception):
    """Ends a run as `kill -9` would, between its checkpoint and its last rows."""


class Until(Silent):
    def __init__(self, last_epoch=None):
        self.last_epoch = last_epoch

    def epoch(self, row):
        if row["epoch"] == self.last_epoch:
            raise Killed


@pytest.fixture(scope="module")
def kept():
    return repeat.Nudging()


@pytest.fixture(autouse=True)
def one_network(kept, monkeypatch):
    """All that is verified here is of one problem and short: its network is loaded once."""
    monkeypatch.setattr(repeat, "Nudging", lambda: kept)
    monkeypatch.setattr(repeat, "EVALUATIONS", 6)


def made(folder, kept, *arguments, killed_after=None):
    """The pack of one run."""
    settings = compose.resolve([*SIZE, *arguments, f"out={folder}"])
    with suppress(Killed):
        loop.run(settings, Until(killed_after), kept)
    path = folder / "made.zip"
    pack.make([identity.run_directory(settings)], path)
    return path


@pytest.fixture(scope="module")
def adam(tmp_path_factory, kept):
    return made(tmp_path_factory.mktemp("adam"), kept, "optimizer=adam", "steps_per_epoch=2")


@pytest.fixture(scope="module")
def own(tmp_path_factory, kept):
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.py").write_text(OWN)
    return made(folder, kept, f"optimizer={folder / 'mine.py'}:Mine", "lr=1.0", "steps_per_epoch=2")


@pytest.fixture(scope="module")
def killed(tmp_path_factory, kept):
    """Rows after the checkpoint that the start's comparison, 6 evaluations, does not reach."""
    return made(tmp_path_factory.mktemp("killed"), kept, "optimizer=adam", "steps_per_epoch=4",
                "checkpoint_s=0", killed_after=3)  # fmt: skip


def verified(path, capsys, *arguments):
    code = verify.main([str(path), "seed=0", *arguments])
    return code, capsys.readouterr().out


def forged(path, change):
    """The pack after `change(run.json's document, folder)`, its run renamed after its settings."""

    def changed(folder):
        (file,) = folder.glob("runs/*/run.json")
        document = json.loads(file.read_text())
        change(document, file.parent)
        document["id"] = identity.run_id(Settings.model_validate(document["settings"]))
        file.write_text(json.dumps(document))
        file.parent.rename(file.parent.with_name(document["id"]))

    return remade(path, changed)


def scale(folder, evaluation, factor):
    """A loss and its terms, and the row of its epoch, as if that had been measured."""
    trace = pd.read_csv(folder / "trace.csv")
    epochs = pd.read_csv(folder / "epochs.csv")
    terms = [name for name in trace if name.startswith("term_")]
    at = trace["evaluation"] == evaluation
    trace.loc[at, ["loss", *terms]] *= factor
    for row, epoch in enumerate(epochs["epoch"]):
        own = trace[trace["epoch"] == epoch]
        epochs.loc[row, "loss"] = own["loss"].mean()
        epochs.loc[row, ["loss_last", *terms]] = own.iloc[-1][["loss", *terms]].to_numpy()
        epochs.loc[row, "loss_best"] = trace[trace["epoch"] <= epoch]["loss"].min()
    trace.to_csv(folder / "trace.csv", index=False)
    epochs.to_csv(folder / "epochs.csv", index=False)


def test_an_honest_pack_is_verified(adam, capsys):
    code, said = verified(adam, capsys)
    assert code == 0, said
    assert "verified to epoch 3 within the tolerance for another machine" in said
    assert "6 evaluations, bit for bit" in said and "picture has the loss on record" in said


def test_a_loss_altered_in_the_last_digit_that_matters_is_found(adam, capsys):
    """At the first evaluation another machine may differ by some 1e-5."""
    path = forged(adam, lambda document, folder: scale(folder, 1, 1 - 2e-4))
    code, said = verified(path, capsys)
    assert code == 1 and "differs at epoch 1: the loss of evaluation 1 is" in said
    path = forged(adam, lambda document, folder: scale(folder, 1, 1 - 1e-6))
    assert verified(path, capsys)[0] == 0


def test_another_picture_is_found(adam, capsys):
    def other(document, folder):
        """The result of a friend, a little better, with numbers of its own."""
        image = Image.open(folder / "image.png")
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "image.png")
        names = ("image.png", "content.png")
        pixels = [np.asarray(Image.open(folder / name), np.float32) / 255 for name in names]
        document["quality"] = quality(*pixels).model_dump()

    code, said = verified(forged(adam, other), capsys)
    assert code == 1 and "differs at the end: the loss of image.png is" in said


def test_edited_source_is_found_and_never_run_unasked(own, capsys):
    code, said = verified(own, capsys)
    assert code == 1 and "cannot be checked because that would execute mine.py" in said
    code, said = verified(own, capsys, "run_source=true")
    assert code == 0 and "verified to epoch 3" in said

    def edit(document, folder):
        file = folder / "mine.py"
        file.write_text(file.read_text().replace("1e-9", "2e-9"))

    code, said = verified(forged(own, edit), capsys, "run_source=true")
    assert code == 1 and "mine.py is not the source that it was made with" in said

    def edit_well(document, folder):
        edit(document, folder)
        source = document["settings"]["optimizer"]["source"]
        source["sha256"] = packs.digest(folder / "mine.py")

    code, said = verified(forged(own, edit_well), capsys, "run_source=true")
    assert code == 1 and "differs at epoch 1: the loss of evaluation 2" in said


def test_source_that_raises_cannot_be_checked(own, capsys):
    def broken(document, folder):
        (folder / "mine.py").write_text("raise RuntimeError('\\x1b[2J no')")
        source = document["settings"]["optimizer"]["source"]
        source["sha256"] = packs.digest(folder / "mine.py")

    code, said = verified(forged(own, broken), capsys, "run_source=true")
    assert code == 1 and "cannot be checked because" in said and "\x1b" not in said


def test_a_pack_of_another_backend_is_told_so(adam, capsys):
    here = compose.resolve([]).backend
    other = "torch" if here != "torch" else "tensorflow"
    path = forged(adam, lambda document, folder: document["settings"].update(backend=other))
    code, said = verified(path, capsys)
    assert code == 1
    assert f"cannot be checked because it was made on {other}, and this is {here}" in said
    assert "differs" not in said


def test_other_settings_than_those_it_is_named_after_are_found(adam, capsys):
    def faster(folder):
        (file,) = folder.glob("runs/*/run.json")
        document = json.loads(file.read_text())
        document["settings"]["lr"] = 0.01
        file.write_text(json.dumps(document))

    code, said = verified(remade(adam, faster), capsys)
    assert code == 1 and "its settings are not those that it is named after" in said


def test_a_segment_after_a_checkpoint_is_repeated(killed, capsys):
    code, said = verified(killed, capsys)
    assert code == 0 and "verified to epoch 1 within" in said, said
    assert "4 more after its checkpoint" in said
    path = forged(killed, lambda document, folder: scale(folder, 10, 0.99))
    code, said = verified(path, capsys)
    assert (
        code == 1 and "differs after its checkpoint, at epoch 3: the loss of evaluation 10" in said
    )


def test_what_another_machine_may_differ_by_grows_as_rounding_does_here(monkeypatch):
    monkeypatch.setattr(repeat, "EVALUATIONS", 30)
    count = 40
    epochs = np.arange(count) // 10 + 1
    here = 100 * np.exp(-np.arange(count) / 10)

    def compare(recorded, nudged):
        trace = pd.DataFrame({"loss": recorded, "epoch": epochs[: len(recorded)]})
        return repeat.compare(SimpleNamespace(trace=trace), here, [nudged])

    growth = 1e-7 * 2.0 ** np.arange(count)  # of rounding: 3e-3 at the sixteenth evaluation
    nudged = here * (1 + growth)
    honest = compare(here * (1 - 5 * growth), nudged)
    assert honest.differs is None and honest.epochs == 1
    assert honest.evaluations == np.count_nonzero(growth < repeat.LOST) - repeat.AHEAD
    forged = here.copy()
    forged[3] *= 1 + 2e-4
    assert "at epoch 1: the loss of evaluation 4" in compare(forged, nudged).differs
    stable = compare(here, here)
    assert (stable.epochs, stable.evaluations, stable.largest) == (3, repeat.EVALUATIONS, 0.0)
    assert "evaluation 21" in compare(np.where(np.arange(count) == 20, 0, here), here).differs
    longer = pd.DataFrame({"loss": here, "epoch": epochs})
    short = repeat.compare(SimpleNamespace(trace=longer), here[:12], [here[:12]])
    assert short.differs == "at epoch 2: it ends before that here"
    lost = np.where(np.arange(count) > 4, np.nan, here)
    assert repeat.compare(
        SimpleNamespace(trace=longer.assign(loss=lost)), lost, [lost]
    ).differs is None  # fmt: skip


def test_a_stop_ends_a_verification(adam, capsys, monkeypatch):
    """Once it went on with the next repetition, and the one that was cut short counted."""
    stopped = SimpleNamespace(status=Status.INTERRUPTED)
    monkeypatch.setattr(loop, "run", lambda *arguments: stopped)
    code, said = verified(adam, capsys)
    assert code == 130 and "verified to" not in said


def test_a_run_that_comes_to_a_fork_is_repeated_until_one_takes_the_other_way(monkeypatch):
    """Once 1 of 24 honest runs was said to differ: the one nudged repetition missed the fork."""
    monkeypatch.setattr(repeat, "EVALUATIONS", 30)
    here = 100 * np.exp(-np.arange(30) / 10)
    other = here * np.where(np.arange(30) < 14, 1, 1 + 4e-5 * 2.0 ** np.arange(-14, 16))
    repeated = []

    def of_a_record(losses, at_fork):
        def again(number):
            repeated.append(number)
            return other if number in at_fork else here

        trace = pd.DataFrame({"loss": losses, "epoch": np.arange(30) // 10 + 1})
        repeated.clear()
        return repeat.compared(SimpleNamespace(trace=trace), again, here)

    honest = of_a_record(other, at_fork=(4,))
    assert honest.differs is None and repeated == [1, 2, 3, 4] and honest.evaluations > 14
    forged = other.copy()
    forged[5] *= 1 + 2e-4
    assert "evaluation 6" in of_a_record(forged, at_fork=(4,)).differs
    assert repeated == list(range(1, repeat.NUDGES[1] + 1))
    assert of_a_record(here, at_fork=()).evaluations == 30 and repeated == [1, 2]


def test_a_nudge_moves_every_pixel_by_its_last_bit_and_none_out_of_the_box():
    image = np.linspace(0, 1, 300, dtype=np.float32).reshape(10, 10, 3)
    assert repeat.nudge(image, 0) is image
    for number in (1, 2, 3):
        nudged = repeat.nudge(image, number)
        assert nudged.dtype == np.float32 and nudged.min() >= 0 and nudged.max() <= 1
        assert 0 < np.abs(nudged - image).max() < 1e-7
    assert not np.array_equal(repeat.nudge(image, 2), repeat.nudge(image, 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "verify NAME.zip"),
        (["a.zip", "b.zip"], "takes one pack"),
        (["a.zip", "epochs=3"], "unknown setting of verify"),
        (["a.zip", "runs=x"], "runs must be a whole number"),
        (["a.zip", "run_source=1"], "run_source must be true or false"),
    ],
)
def test_what_cannot_be_asked_is_one_line(arguments, message, capsys):
    assert verify.main(arguments) == (2 if arguments else 0)
    told = capsys.readouterr()
    assert message in told.err + told.out
