"""Packs as data: what goes in, what a hostile one cannot do, what is seen without repeating a run.

No network is loaded: runs are written as `synthetic` writes them, those of a benchmark with the
pictures' digests that its targets were frozen with.
"""

import csv
import json
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from synthetic import SyntheticRun, write_run

from nstbench.benchmark import (
    consistency,
    instances,
    leaderboard,
    pack,
    packs,
    recorded,
    scored,
    targets,
)
from nstbench.benchmark.packs import PackError
from nstbench.report.data import reader
from nstbench.run.quality import quality
from nstbench.settings import compose, identity

ROOT = Path(__file__).parents[1]


def written(results, run):
    """A synthetic run whose record says of its picture what is so."""
    path = write_run(results, run)
    pictures = [np.asarray(Image.open(path / f"{n}.png"), np.float32) / 255 for n in WHAT]
    document = json.loads((path / "run.json").read_text())
    document["quality"] = quality(*pictures).model_dump()
    (path / "run.json").write_text(json.dumps(document))
    return path


WHAT = ("image", "content")


@pytest.fixture
def packed(tmp_path):
    directory = written(tmp_path, SyntheticRun(frames=(5,)))
    return pack.make([directory], tmp_path / "one.zip"), directory, tmp_path / "one.zip"


def remade(path, change, *, manifest=True):
    """The pack after `change(folder)`, with a new manifest (or the old one)."""
    with packs.opened(path) as opened:
        change(opened.folder)
        files = {
            str(file.relative_to(opened.folder)): file
            for file in sorted(opened.folder.rglob("*"))
            if file.is_file()
        }
        listed = {
            name: packs.Entry(sha256=packs.digest(file), size=file.stat().st_size)
            for name, file in files.items()
        }
        whole = opened.manifest
        if manifest:
            whole = whole.model_copy(update={"files": listed})
        other = path.with_name(f"other-{path.name}")
        packs.write(other, files, whole)
    return other


def test_a_pack_holds_all_of_a_run_and_is_opened_as_it_was(packed):
    _, directory, path = packed
    with packs.opened(path) as opened:
        for name in ("run.json", "epochs.csv", "trace.csv", "image.png", "frames/epoch_00005.png"):
            own = opened.folder / "runs" / directory.name / name
            assert own.read_bytes() == (directory / name).read_bytes()
        assert opened.manifest.commands == [["optimizer=adam", "lr=0.02", "epochs=10"]]
        assert opened.manifest.versions["numpy"] == np.__version__
        (run,) = reader.read(opened.folder).runs
        assert list(consistency.faults(run)) == []
        folder = opened.folder
    assert not folder.exists()


def test_a_file_that_is_not_the_listed_one_is_found(packed):
    path = packed[-1]

    def change(folder):
        (file,) = folder.rglob("trace.csv")
        file.write_text(file.read_text().replace("1", "2", 1))

    with pytest.raises(PackError, match="trace.csv is not the file that the manifest lists"):
        packs.opened(remade(path, change, manifest=False)).__enter__()


@pytest.mark.parametrize(
    "name",
    [
        "../evil", "/etc/evil", "runs/../../evil", "runs/a/../../../evil", "C:/evil", "runs\\evil",
        "runs/a/.bashrc", "runs//evil", "evil", "runs/a\nb", "runs/a/b/c/d/e",
        "runs/${oc.env:HOME}",
    ],
)  # fmt: skip
def test_no_name_leads_out_of_a_pack(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(packs.MANIFEST, "{}")
        archive.writestr(name, "evil")
    with pytest.raises(PackError, match="must not be called"):
        packs.opened(tmp_path / "bad.zip").__enter__()
    assert [path.name for path in tmp_path.rglob("*")] == ["bad.zip"]


def test_links_doubles_and_absurd_sizes_are_refused(tmp_path, monkeypatch):
    bad = tmp_path / "bad.zip"
    link = zipfile.ZipInfo("runs/a/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(PackError, match="no plain file"):
        packs.opened(bad).__enter__()
    with zipfile.ZipFile(bad, "w") as archive, pytest.warns(UserWarning):
        archive.writestr("runs/a/b", "1")
        archive.writestr("runs/a/b", "2")
    with pytest.raises(PackError, match="must not be called"):
        packs.opened(bad).__enter__()
    monkeypatch.setattr(packs, "LARGEST", 1000)
    with zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("runs/a/b", "0" * 1001)
    with pytest.raises(PackError, match="too large"):
        packs.opened(bad).__enter__()


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all", None])
def test_what_is_no_pack_is_one_line(tmp_path, content, capsys):
    path = tmp_path / "none.zip"
    if content is not None:
        path.write_bytes(content)
    from nstbench.benchmark import verify

    assert verify.main([str(path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_strangers_text_cannot_talk_to_the_terminal():
    assert packs.plain("a\x1b[2Jb\nc") == "a?[2Jb?c" and len(packs.plain("x" * 999)) == 300


def change_json(change):
    def changed(folder):
        (file,) = folder.rglob("run.json")
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document))

    return changed


def change_table(name, change):
    def changed(folder):
        (file,) = folder.rglob(name)
        frame = pd.read_csv(file)
        change(frame)
        frame.to_csv(file, index=False)

    return changed


def other_picture(folder):
    (image,) = folder.glob("runs/*/image.png")
    (style,) = folder.glob("runs/*/style.png")
    image.write_bytes(style.read_bytes())


def scale(frame, row, column, factor):
    frame.loc[row, column] *= factor


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # in the last digit that such a sum can show
        (change_table("trace.csv", lambda t: scale(t, 17, "loss", 1 + 1e-10)), "is not the mean"),
        (change_table("trace.csv", lambda t: scale(t, 17, "loss", 1.001)), "is not the mean"),
        (change_table("epochs.csv", lambda t: scale(t, 4, "loss_last", 0.9)), "none of its eval"),
        (change_table("epochs.csv", lambda t: scale(t, 4, "loss_best", 0.9)), "not the lowest"),
        (change_table("epochs.csv", lambda t: scale(t, 4, "term_style", 0.9)), "do not add up"),
        (change_table("trace.csv", lambda t: scale(t, 3, "term_style", 1.001)), "do not add up"),
        (change_json(lambda d: d["final"].update(loss_best=1.0)), "the best loss is not"),
        (change_json(lambda d: d["final"].update(evaluations=7)), "counts other"),
        (change_json(lambda d: d["final"]["terms"].update(style=7.0)), "do not add up"),
        (change_json(lambda d: d.update(id="adam-other")), "run.json is that of adam-other"),
        (
            change_json(lambda d: d["settings"]["optimizer"].update(source=3)),
            "as their schema says",
        ),
        (other_picture, "image.png is not the picture on record"),
    ],
)
def test_what_does_not_agree_is_found_in_a_remade_pack(packed, change, message):
    with packs.opened(remade(packed[-1], change)) as opened:
        (run,) = reader.read(opened.folder).runs
        assert any(message in fault for fault in consistency.faults(run))


def test_own_pictures_travel_with_the_pack_and_others_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 40), "red").save("me.png")
    directory = benchmark_run(tmp_path, "adam", ("size=32", "content=me.png"))
    pack.make([directory], tmp_path / "mine.zip")
    with packs.opened(tmp_path / "mine.zip") as opened:
        (run,) = reader.read(opened.folder).runs
        settings = recorded.settings_of(run, opened)
        assert Path(settings.content).read_bytes() == Path("me.png").read_bytes()
        assert identity.is_of(settings, run.id)
    for name in ("${oc.env:HOME}.png", "/etc/passwd", "me.png"):
        path = remade(
            tmp_path / "mine.zip", change_json(lambda d, n=name: d["settings"].update(style=[n]))
        )
        with packs.opened(path) as opened:
            (run,) = reader.read(opened.folder).runs
            if name == "me.png":
                recorded.settings_of(run, opened)
                continue
            with pytest.raises(recorded.Unchecked, match="is not in the pack") as refused:
                recorded.settings_of(run, opened)
            assert name in str(refused.value)  # as it stands
    os.remove("me.png")
    with pytest.raises(PackError, match=r"me\.png is not \(or no longer\)"):
        pack.make([directory], tmp_path / "mine.zip")


@pytest.mark.parametrize(
    ("update", "code"),
    [
        ({"target": "keras.optimizers.Adam"}, None),
        ({"target": "optax.adabelief"}, None),
        ({"target": "os.system"}, "os.system"),
        ({"target": "keras.optimizers.os.system"}, "keras.optimizers.os.system"),
        ({"target": "./my.py:My", "source": {"file": "my.py", "sha256": "0"}}, "my.py"),
    ],
)
def test_only_libraries_are_run_unasked(update, code):
    settings = compose.resolve(["optimizer=adam"])
    optimizer = settings.optimizer.model_copy(update={"source": {}} | update)
    assert recorded.own_code(settings.model_copy(update={"optimizer": optimizer})) == code


def test_code_in_the_problem_is_seen():
    plain = compose.resolve(["schedule=cosine", "objective=sliced_wasserstein"])
    assert recorded.foreign(plain) == []
    terms = plain.objective.terms | {"edges": {"target": "os.system", "weight": 1.0}}
    objective = plain.objective.model_copy(update={"terms": terms})
    assert recorded.foreign(plain.model_copy(update={"objective": objective})) == ["os.system"]
    assert recorded.foreign(plain.model_copy(update={"weights": "/tmp/w.npz"})) == ["/tmp/w.npz"]


# ---- packs of a benchmark ---------------------------------------------------------------------


def benchmark_run(results, optimizer, problem, speed=None, digests=None, lr=0.05):
    """A synthetic run directory with the settings that a run of such a problem has."""
    settings = compose.resolve([f"optimizer={optimizer}", f"lr={lr}", *problem])
    kind = {"epochs": settings.epochs, "steps_per_epoch": settings.steps_per_epoch}
    made = SyntheticRun(optimizer, lr, **kind, size=settings.size, speed=speed,
                        content=settings.content.replace(".", ""), repeat=settings.repeat,
                        start_loss=2e7)  # fmt: skip
    path = written(results, made)
    document = json.loads((path / "run.json").read_text())
    document["settings"] = settings.model_dump(mode="json", exclude={"command"})
    document["id"] = identity.run_id(settings)
    if digests:
        document["content"]["sha256"] = digests["content"]
        document["style"][0]["sha256"] = digests["style"]
        document["weights"]["sha256"] = digests["weights"]
    (path / "run.json").write_text(json.dumps(document))
    return path.rename(path.with_name(document["id"]))


@pytest.fixture
def benchmark_pack(tmp_path):
    """`make(name, **speeds)`: the pack of a benchmark's folder with optimizers of such speeds."""
    tiny = instances.load("tiny")
    frozen = targets.load(targets.location(instances.find("tiny")), tiny)

    def make(name, **speeds):
        folder = tmp_path / name
        optimizers = {}
        for optimizer, speed in speeds.items():
            ids = [
                benchmark_run(folder, optimizer, problem, speed, frozen.of(instance).digests).name
                for instance, problem in tiny.runs(tiny.score)
            ]
            optimizers[optimizer] = {"runs": ids, "label": optimizer.title(), "target": optimizer}
        document = {"benchmark": tiny.model_dump(mode="json"), "optimizers": optimizers}
        (folder / "scores.json").write_text(json.dumps(document))
        pack.make([folder], tmp_path / f"{name}.zip")
        with packs.opened(tmp_path / f"{name}.zip") as opened:  # the scores that the runs give
            for entry in scored.entries(opened, reader.read(opened.folder).runs):
                optimizers[entry.name]["score"] = entry.standing.score.value
        (folder / "scores.json").write_text(json.dumps(document))
        pack.make([folder], tmp_path / f"{name}.zip")
        return tmp_path / f"{name}.zip"

    return make


def test_scores_are_made_anew_from_the_runs(benchmark_pack):
    path = benchmark_pack("two", adam=8.0, rmsprop=0.5)
    with packs.opened(path) as opened:
        found = reader.read(opened.folder).runs
        adam, rmsprop = scored.entries(opened, found)
        assert adam.standing.score.value > rmsprop.standing.score.value > 0
        assert list(scored.faults(opened, found)) == []
        assert opened.manifest.commands == [
            ["benchmark", "benchmark=tiny", "optimizer=adam,rmsprop"]
        ]

    def better(folder):
        file = folder / "benchmark/scores.json"
        document = json.loads(file.read_text())
        document["optimizers"]["rmsprop"]["score"] += 0.01
        file.write_text(json.dumps(document))

    with packs.opened(remade(path, better)) as opened:
        (fault,) = scored.faults(opened, reader.read(opened.folder).runs)
        assert "Rmsprop has 0." in fault and "its runs give" in fault


def test_a_run_that_is_left_out_has_reached_nothing(benchmark_pack):
    path = benchmark_pack("one", adam=8.0)

    def without(folder):
        for file in sorted(folder.glob("runs/*"))[0].glob("**/*"):
            file.unlink()

    with packs.opened(remade(path, without)) as opened:
        (fault,) = scored.faults(opened, reader.read(opened.folder).runs)
        assert "its runs give" in fault


def test_runs_of_something_else_are_none_of_a_benchmark(benchmark_pack):
    path = benchmark_pack("one", adam=8.0)

    def easier(folder):
        file = sorted(folder.glob("runs/*/run.json"))[0]
        document = json.loads(file.read_text())
        document["settings"]["objective"]["terms"]["style"]["weight"] = 0.0
        file.write_text(json.dumps(document))

    with packs.opened(remade(path, easier)) as opened:
        (fault,) = scored.faults(opened, reader.read(opened.folder).runs)
        assert "is no run of benchmark=tiny" in fault


def test_the_leaderboard_is_built_from_packs(benchmark_pack, tmp_path, capsys):
    mine = benchmark_pack("mine", adam=8.0)
    theirs = benchmark_pack("theirs", adam=2.0, rmsprop=0.5)
    out = tmp_path / "board"
    assert leaderboard.main([str(mine), str(theirs), "-o", str(out)]) == 0
    with open(out / "leaderboard.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["place"], row["optimizer"], row["pack"]) for row in rows] == [
        ("1", "Adam", "mine.zip"), ("2", "Adam", "theirs.zip"), ("3", "Rmsprop", "theirs.zip"),
    ]  # fmt: skip
    assert rows[0]["settings"] == "Adam 0.05" and rows[0]["runs"] == "4"
    page = (out / "leaderboard.md").read_text()
    assert "| 1 " in page and "ecdf-tiny.png" in page and (out / "ecdf-tiny.png").is_file()
    alone = rows[0]
    assert leaderboard.main([str(mine), "-o", str(out)]) == 0
    with open(out / "leaderboard.csv") as file:
        assert next(csv.DictReader(file))["score"] == alone["score"]  # nobody is moved
    assert leaderboard.main([str(tmp_path / "mine"), str(theirs), "-o", str(out)]) == 0
    with open(out / "leaderboard.csv") as file:  # a folder stands for its pack
        of_folder = list(csv.DictReader(file))
    assert [row | {"pack": ""} for row in of_folder] == [row | {"pack": ""} for row in rows]
    assert [row["pack"] for row in of_folder] == ["mine", "theirs.zip", "theirs.zip"]
    capsys.readouterr()
    single = pack.make([written(tmp_path, SyntheticRun())], tmp_path / "single.zip")
    assert single is None and leaderboard.main([str(tmp_path / "single.zip")]) == 1
    assert "hold no benchmark" in capsys.readouterr().err


def test_an_older_scores_file_is_told_how_to_become_a_pack(tmp_path):
    (tmp_path / "scores.json").write_text('{"benchmark": {"name": "x"}, "optimizers": '
                                          '{"adam": {"target": "adam"}}}')  # fmt: skip
    with pytest.raises(PackError, match="the command that made it writes it anew"):
        pack.make([tmp_path], tmp_path / "x.zip")


@pytest.mark.slow
def test_the_report_shows_packs_beside_a_folder(tmp_path, packed):
    path = packed[-1]
    here = tmp_path / "here"
    written(here, SyntheticRun("adagrad"))
    command = [sys.executable, "-m", "nstbench.report", str(here), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {
        "PYTHONPATH": str(ROOT)})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{path}: 1 run, 0 more are here already" in done.stdout
    page = (here / "report/index.html").read_text()
    assert "Adagrad" in page and "Adam" in page
