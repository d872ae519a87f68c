"""The sheet: rows of runs, columns of moments, and when nothing visible changes any more."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from synthetic import SyntheticRun, write_runs
from test_cli import environment

from nstbench.errors import SettingsError
from nstbench.report.data import reader
from nstbench.run.record import read_record
from nstbench.sheet import commands, draw, rows
from nstbench.sheet.rows import Moment


def moment(evaluations, pixels):
    return Moment(evaluations, 1.0, pixels)


def pixels(seed=0, shift=0):
    noise = np.random.default_rng(seed).integers(0, 200, (32, 32, 3))
    return (noise + shift).astype(np.uint8)


def test_settled_is_the_first_of_the_last_that_look_alike():
    other, end = pixels(1), pixels(0)
    way = [moment(n, p) for n, p in enumerate([end, other, pixels(0, 1), pixels(0, 1), end])]
    assert rows.settled(way, 0.98) is way[2]  # the first one looks alike, too, but not from then on
    assert rows.settled(way[:2] + way[-1:], 0.98) is None
    assert rows.settled([*way[:2], moment(3, end), moment(4, end)], 0.98) is None  # over half
    assert rows.ssim(way[0], way[4]) == 1 and rows.ssim(way[1], way[4]) < 0.9


def test_a_row_shows_the_newest_snapshot_by_then(tmp_path):
    write_runs(tmp_path, [SyntheticRun(epochs=8, frames=(0, 2, 4, 6))])
    (run,) = reader.read(tmp_path).runs
    (row,) = rows.read([run], 0.98)
    assert [m.evaluations for m in row.moments] == [0, 10, 20, 30, 40]
    assert [row.at(n).evaluations for n in (0, 9, 10, 35, 40, 100)] == [0, 0, 10, 30, 40, 40]
    assert row.moments[0].loss == run.trace["loss"].iloc[0]
    assert row.moments[-1].loss == run.record.final.loss
    assert row.moments[1].loss == run.epochs["loss_last"].iloc[1]
    assert "evaluations" in row.says


def test_columns_double_up_to_the_longest_run(tmp_path):
    write_runs(tmp_path, [
        SyntheticRun(epochs=8, frames=(0, 4)),
        SyntheticRun("lbfgs", 1.0, epochs=8, frames=(0, 4), evaluations_per_step=2),
    ])  # fmt: skip
    read = rows.read(reader.read(tmp_path).runs, 0.98)
    assert draw.moments(read, 4) == [0, 20, 40, 80]
    figure = draw.draw(read, 4, "a $ command_{")
    assert sum(bool(axes.images) for axes in figure.axes) == 2 * 4 + 2
    texts = [text.get_text() for text in figure.texts]
    assert any("80 evaluations" in text for text in texts) and "L-BFGS 1" in texts
    draw.save(tmp_path / "sheet.png", read, 4, "a $ command_{")
    assert Image.open(tmp_path / "sheet.png").width > 800


def test_rows_say_what_tells_them_apart(tmp_path):
    made = [
        SyntheticRun(frames=(0,), content=content, style=style)
        for content in ("portrait", "lake")
        for style in ("waves", "ink")
    ]
    write_runs(tmp_path, [*made, SyntheticRun(lr=0.5, frames=(0,))])
    labels = {row.label for row in rows.read(reader.read(tmp_path).runs, 0.98)}
    assert "Adam 0.02, lake, ink" in labels and "Adam 0.5, portrait, waves" in labels
    assert len(labels) == 5


def test_own_options_are_told_from_the_sweeps():
    options, rest = commands.parse(["columns=4", "-m", "lr=0.1,0.2", "same=0.9", "content=a=b.jpg"])
    assert (options.columns, options.same) == (4, 0.9)
    assert rest == ["lr=0.1,0.2", "content=a=b.jpg"]
    for wrong in ("columns=1", "same=2", "columns=x", "--cfgs"):
        with pytest.raises(SettingsError):
            commands.parse([wrong])


def sheet(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "nstbench", "sheet", *arguments],
        cwd=folder, env=environment(True), capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_one_command_runs_what_is_missing_and_draws(tmp_path):
    Image.new("RGB", (60, 40), color="teal").save(tmp_path / "me.jpg")
    arguments = ("content=me.jpg", "optimizer=adam,sgd", "lr=0.1", "epochs=6", "columns=3")
    code, output, errors = sheet(tmp_path, *arguments)
    assert code == 0, errors
    path = tmp_path / "results" / "sheets" / "me-brushwork.png"
    assert output.splitlines()[-1] == str(path.relative_to(tmp_path)) and path.is_file()
    assert "SGD 0.1: " in output
    directories = sorted((tmp_path / "results" / "runs").iterdir())
    assert [d.name.rpartition("-")[0] for d in directories] == [
        "adam-lr0.1-e6x5-me-brushwork", "sgd-lr0.1-e6x5-me-brushwork",
    ]  # fmt: skip
    before = [read_record(directory).created for directory in directories]
    path.unlink()
    assert sheet(tmp_path, *arguments)[0] == 0 and path.is_file()
    assert [read_record(directory).created for directory in directories] == before


def test_a_run_that_kept_no_pictures_is_made_again(tmp_path):
    run = [sys.executable, "-m", "nstbench", "epochs=6"]
    subprocess.run(run, cwd=tmp_path, env=environment(True), check=True, capture_output=True)
    (directory,) = (tmp_path / "results" / "runs").iterdir()
    assert not (directory / "frames").exists()
    code, output, errors = sheet(tmp_path, "epochs=6")
    assert code == 0, errors
    assert len(list((directory / "frames").iterdir())) == 7
    command = json.loads((directory / "run.json").read_text())["command"]
    assert "snapshots=1" in command


def test_a_dry_run_draws_nothing(tmp_path):
    code, output, _ = sheet(tmp_path, "lr=0.1,0.2", "--dry-run")
    assert code == 0 and "2 runs" in output and not list(tmp_path.iterdir())
