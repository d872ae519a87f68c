"""From a command line to the list of runs."""

import re
from pathlib import Path

import pytest
from PIL import Image

from nstbench.errors import SettingsError
from nstbench.settings import config
from nstbench.sweep import plan

TABLE1 = [  # optimizer, rate, epochs, the seconds of the report
    ("adam", 0.02, 50, 30.6),
    ("adagrad", 0.02, 50, 30.4),
    ("adagrad", 0.1, 50, 30.2),
    ("adam", 0.02, 100, 58.0),
    ("adagrad", 0.02, 100, 58.1),
    ("rmsprop", 0.02, 100, 57.2),
    ("adam", 0.02, 500, 151.6),
    ("adagrad", 0.02, 500, 151.8),
    ("rmsprop", 0.02, 500, 149.6),
    ("rmsprop", 0.001, 500, 152.9),
]


def rows(arguments):
    made = [run.settings for run in plan.make(arguments).runs]
    return [(s["optimizer"]["name"], s["lr"], s["epochs"], s["reported_seconds"]) for s in made]


def overrides(*arguments):
    return [" ".join(run.overrides) for run in plan.make(arguments).runs]


def test_the_suite_table1_is_the_table_of_the_report():
    assert rows(["suite=table1"]) == TABLE1


def test_the_suite_figures_adds_the_curve_that_the_table_lacks():
    assert rows(["suite=figures"]) == [*TABLE1, ("adam", 0.1, 50, None)]


def test_the_suite_quickstart_runs_five_optimizers_at_a_small_size():
    made = plan.make(["suite=quickstart"]).runs
    assert [r.settings["optimizer"]["name"] for r in made] == [
        "adam", "adagrad", "rmsprop", "sgd", "lbfgs",
    ]  # fmt: skip
    assert {r.settings["size"] for r in made} == {128}


def test_lr_sensitivity_is_a_log_grid_around_each_default():
    rates = {}
    for run in plan.make(["suite=lr_sensitivity", "optimizer=adam,sgd"]).runs:
        rates.setdefault(run.settings["optimizer"]["name"], []).append(run.settings["lr"])
    assert rates["adam"] == [0.0006, 0.002, 0.006, 0.02, 0.06, 0.2, 0.6]
    assert rates["sgd"] == [3e-11, 1e-10, 3e-10, 1e-9, 3e-9, 1e-8, 3e-8]


def test_lr_sensitivity_has_every_optimizer_that_has_a_rate():
    suite = (config.conf_dir() / "suite" / "lr_sensitivity.yaml").read_text()
    listed = re.search(r"optimizer: \[(.*)\]", suite)[1].split(", ")
    # L-BFGS-B has no rate, and a falling one would be searched along with its fall.
    assert set(listed) == set(config.choices("optimizer")) - {"lbfgsb", "adam_decay"}


def test_every_suite_can_be_planned():
    for suite in config.choices("suite"):
        text = (config.conf_dir() / "suite" / f"{suite}.yaml").read_text()
        if "lr_times" not in text:  # the one above takes a while
            assert plan.make([f"suite={suite}"]).runs


def test_the_command_line_wins_over_a_suite():
    made = plan.make(["suite=table1", "size=64", "epochs_scale=0.02", "lr=0.5"]).runs
    assert {run.settings["size"] for run in made} == {64}
    assert {run.settings["lr"] for run in made} == {0.5}
    assert [run.settings["epochs"] for run in made] == [1, 1, 2, 2, 2, 10, 10, 10]  # equals once


def test_combinations_are_taken_in_the_order_of_the_command_line():
    assert overrides("optimizer=adam,adagrad", "lr=0.02,0.1") == [
        "optimizer=adam lr=0.02",
        "optimizer=adam lr=0.1",
        "optimizer=adagrad lr=0.02",
        "optimizer=adagrad lr=0.1",
    ]


def test_hydras_ways_to_write_a_list_are_understood():
    assert overrides("epochs=range(1,4)") == ["epochs=1", "epochs=2", "epochs=3"]
    assert overrides("lr=choice(1,2)") == ["lr=1", "lr=2"]
    assert overrides("style='[mosaic,brushwork]'") == ["style='[mosaic,brushwork]'"]
    assert overrides("experiment=glob([table1_01*,table1_02*])") == [
        "experiment=table1_01_adam",
        "experiment=table1_02_adagrad",
    ]


def test_repeats_are_interleaved_and_every_competitor_of_a_repeat_has_its_seed():
    made = plan.make(["optimizer=adam,sgd", "repeats=3", "init=noise"]).runs
    assert [(r.settings["optimizer"]["name"], r.settings["repeat"]) for r in made] == [
        ("adam", 0), ("sgd", 0), ("adam", 1), ("sgd", 1), ("adam", 2), ("sgd", 2),
    ]  # fmt: skip
    assert len({run.directory for run in made}) == 6
    assert all(config.resolve(r.overrides).repeat == r.settings["repeat"] for r in made)


def test_a_runs_directory_is_the_one_that_its_own_command_writes():
    for run in plan.make(["optimizer=adam,lbfgs", "lr=0.5", "repeats=2", "size=64"]).runs:
        assert config.run_directory(config.resolve(run.overrides)).absolute() == run.directory


def test_runs_of_one_problem_advance_together_and_others_do_not():
    made = plan.make(["optimizer=adam,sgd,lbfgs", "size=64,128", "vectorize=8"])
    batches = plan.batches(made.runs, made.vectorize)
    named = [[(r.settings["optimizer"]["name"], r.settings["size"]) for r in b] for b in batches]
    assert named == [
        [("adam", 64), ("sgd", 64)],
        [("adam", 128), ("sgd", 128)],
        [("lbfgs", 64)],
        [("lbfgs", 128)],
    ]
    assert [len(batch) for batch in plan.batches(made.runs, 1)] == [1] * 6


@pytest.mark.parametrize(
    ("arguments", "sizes"),
    [
        (["init=noise", "seed=1,2", "lr=0.1,0.2"], [4]),
        (["init=noise,content,grey", "repeat=0,1"], [6]),
        (["weights=random", "seed=1,2", "lr=0.1,0.2"], [2, 2]),  # two networks
        (["epochs=5,9", "lr=0.1,0.2"], [2, 2]),
        (["precision=float32,bfloat16"], [1, 1]),
        (["lr=1,2,3,4,5,6,7,8,9,10"], [8, 2]),
    ],
)
def test_lanes_differ_in_start_rate_and_optimizer_alone(arguments, sizes):
    made = plan.make([*arguments, "vectorize=8"])
    assert [len(batch) for batch in plan.batches(made.runs, made.vectorize)] == sizes


def test_settings_of_hydra_go_to_the_launcher():
    made = plan.make(["lr=0.1,0.2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"])
    assert made.launcher == ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert overrides("lr=0.1", "hydra/launcher=joblib") == ["lr=0.1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("suite=tabel1", "unknown suite 'tabel1'; did you mean table1"),
        ("experiment=glob(nothing*)", "matches nothing in conf/experiment"),
        ("repeats=0", "repeats=0 must be a whole number of at least 1"),
        ("repeats=1.5", "must be a whole number"),
        ("repeats=2,3", "one value is needed"),
        ("repeats=2 repeat=1", "leave repeat=... away"),
        ("lr=interval(0,1)", "no list of values"),
        ("time_limit=-1", "time_limit=-1 must be a positive number"),
        ("vectorize=0", "vectorize=0"),
        ("lr=((", "cannot read 'lr=(('"),
        ("optimizer=adam,adm", "unknown optimizer 'adm'; did you mean adam"),
        ("sise=64,128", "unknown setting 'sise'; did you mean size"),
    ],
)
def test_mistakes_are_told_before_anything_runs(arguments, message):
    with pytest.raises(SettingsError, match=re.escape(message)) as error:
        plan.make(arguments.split())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("repeats: 3", "is empty"),
        ("experiments: []", "empty list"),
        ("experiments: [nothing_*]", "unknown experiment 'nothing_*'"),
        ("sweep: {}", "the suite is empty"),
        ("sweep: {lr: []}", "no values"),
        ("sweep: []", "empty"),
        ("experiment: [a]\nsweep: {lr: 1}", "unknown key of suite mine 'experiment'"),
    ],
)
def test_a_suite_that_would_run_nothing_is_an_error(tmp_path, monkeypatch, text, message):
    conf = tmp_path / "copy"
    conf.mkdir()
    for entry in config.conf_dir().iterdir():
        if entry.name != "suite":
            (conf / entry.name).symlink_to(entry)
    (conf / "suite").mkdir()
    (conf / "suite" / "mine.yaml").write_text(text)
    monkeypatch.setattr(config, "conf_dir", lambda: Path(conf))
    with pytest.raises(SettingsError, match=re.escape(message)):
        plan.make(["suite=mine"])


def test_folders_of_contents_and_styles_give_every_pair(tmp_path):
    for name in ("contents/a.png", "contents/it's b, c.jpg", "styles/x=1.PNG", "styles/y.webp"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 40), color=(len(name), 0, 0)).save(path)
    (tmp_path / "contents" / "notes.txt").write_text("no picture")
    (tmp_path / "contents" / "deeper").mkdir()
    given = [f"content={tmp_path}/contents", f"style={tmp_path}/styles", "size=64"]
    assert all(map(plan.names_folder, given[:2]))
    runs = plan.make(given).runs
    pairs = {(Path(r.settings["content"]).name, Path(r.settings["style"]).name) for r in runs}
    assert pairs == {(c, s) for c in ("a.png", "it's b, c.jpg") for s in ("x=1.PNG", "y.webp")}
    assert len({run.directory for run in runs}) == 4


def test_a_folder_without_pictures_is_an_error_and_a_builtin_name_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "astronaut").mkdir()
    assert not plan.names_folder("content=astronaut")
    with pytest.raises(SettingsError, match="folder './astronaut' has no pictures"):
        plan.make(["content=./astronaut"])
