"""`python -m nstbench.animate`: snapshots of known runs as GIF and MP4."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from synthetic import SyntheticRun, write_run

from nstbench import animate
from nstbench.errors import SettingsError
from nstbench.run.schema import TRACE_COLUMNS

ADAM = SyntheticRun("adam", epochs=4, steps_per_epoch=5, step_s=0.1, size=48, frames=(0, 1, 2, 3))
SLOW = replace(ADAM, optimizer="lbfgs", lr=1.0, step_s=0.4, frames=(0, 2), evaluations_per_step=2)


@pytest.fixture
def runs(tmp_path):
    return [write_run(tmp_path, run) for run in (ADAM, SLOW)]


def options(*runs, **chosen):
    return animate.Options(tuple(runs), **({"length": 2.0, "fps": 10, "side": 48} | chosen))


def test_a_film_has_the_snapshots_and_the_result(runs):
    film = animate.read(runs[0], "seconds")
    assert film.label == "Adam 0.02"
    assert [path.name for path in film.paths] == [
        *(f"epoch_{epoch:05d}.png" for epoch in range(4)),
        "image.png",
    ]
    np.testing.assert_allclose(film.times, [0, 0.5, 1.0, 1.5, 2.0])
    assert list(film.losses) == sorted(film.losses, reverse=True)
    first = (runs[0] / "trace.csv").read_text().splitlines()[1].split(",")
    assert film.losses[0] == float(first[TRACE_COLUMNS.index("loss")])


@pytest.mark.parametrize(("clock", "times"), [("epochs", (0, 2, 4)), ("evaluations", (0, 20, 40))])
def test_the_clock_can_count(runs, clock, times):
    assert animate.read(runs[1], clock).times == times


def test_each_run_shows_its_newest_snapshot_on_a_common_clock(runs):
    films = [animate.read(run, "seconds") for run in runs]  # ends: 2 s and 8 s
    newest = [[animate._newest(film, moment) for film in films] for moment in (0, 0.9, 3.9, 4, 8)]
    assert newest == [[0, 0], [1, 0], [4, 0], [4, 1], [4, 2]]


def test_frames_last_as_long_as_their_snapshots(runs):
    """20 ticks for 2 s, and the last frame holds for 1.5 s more."""
    films = [animate.read(runs[0], "seconds")]
    made = list(animate.frames(films, options(runs[0])))
    assert [frame.ticks for frame in made] == [5, 5, 5, 4, 1 + 15]
    assert len({frame.pixels.tobytes() for frame in made}) == 5


def test_side_by_side_is_wider_and_shows_the_pictures(runs):
    films = [animate.read(run, "seconds") for run in runs]
    last = list(animate.frames(films, options(*runs)))[-1].pixels
    height, width, _ = last.shape
    assert (width % 2, height % 2) == (0, 0) and width > 2 * 48
    for place, run in enumerate(runs):
        left = animate.MARGIN + place * (48 + animate.MARGIN)
        tile = last[animate.MARGIN : animate.MARGIN + 48, left : left + 48]
        assert np.array_equal(tile, np.asarray(Image.open(run / "image.png")))


def test_one_command_writes_both_formats(runs, tmp_path, capsys):
    pytest.importorskip("imageio_ffmpeg")
    arguments = [*map(str, runs), f"out={tmp_path}/film", "length=1", "fps=10", "side=48"]
    assert animate.main(arguments) == 0
    assert capsys.readouterr().out.split() == [f"{tmp_path}/film.gif", f"{tmp_path}/film.mp4"]
    with Image.open(tmp_path / "film.gif") as gif:
        assert gif.n_frames > 3 and gif.info["loop"] == 0
        total = 0
        for index in range(gif.n_frames):
            gif.seek(index)
            total += gif.info["duration"]
        size = gif.size
    assert total == 2500  # 1 s, and 1.5 s for the result
    from imageio_ffmpeg import count_frames_and_secs, read_frames

    assert count_frames_and_secs(str(tmp_path / "film.mp4"))[0] == 25
    facts = next(read_frames(str(tmp_path / "film.mp4")))
    assert facts["size"] == size and facts["codec"].startswith("h264")


def test_without_ffmpeg_the_extra_is_named(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert animate.main([str(runs[0]), f"out={tmp_path}/film"]) == 2
    error = capsys.readouterr().err
    assert "nstbench[video]" in error and "formats=gif" in error and error.count("\n") == 1
    assert animate.main([str(runs[0]), f"out={tmp_path}/film", "formats=gif", "side=48"]) == 0
    assert (tmp_path / "film.gif").stat().st_size > 1000


def test_an_unfair_race_is_said(tmp_path):
    other = replace(SLOW, host="another", timing_valid=False)
    runs = [write_run(tmp_path, run) for run in (ADAM, other)]
    films = [animate.read(run, "seconds") for run in runs]
    notes = animate.doubts(films, "seconds")
    assert len(notes) == 2 and "L-BFGS 1" in notes[1]
    assert animate.doubts(films, "evaluations") == []
    assert animate.doubts(films[1:], "seconds") == []
    elsewhere = animate.read(write_run(tmp_path, replace(ADAM, content="cat")), "epochs")
    (note,) = animate.doubts([films[0], elsewhere], "epochs")
    assert "different problems" in note


def test_a_run_without_snapshots_is_one_line(tmp_path, capsys):
    run = write_run(tmp_path, replace(ADAM, frames=()))
    assert animate.main([str(run), "formats=gif"]) == 2
    assert "snapshots=1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the directory of a run"),
        (["nowhere"], "nowhere holds no run"),
        (["run", "lenght=3"], "did you mean length"),
        (["run", "fps=fast"], "fps=fast is not a number"),
        (["run", "fps=0"], "fps=0 must be from 1 to 50"),
        (["run", "clock=second"], "did you mean seconds"),
        (["run", "formats=gfi"], "did you mean gif"),
    ],
)
def test_a_mistake_is_one_line(arguments, message):
    with pytest.raises(SettingsError, match=message):
        animate._animate(animate.parse([*arguments, "length=1"]))


def test_help_needs_no_run(capsys):
    assert animate.main(["--help"]) == 0
    assert "clock=seconds" in capsys.readouterr().out
