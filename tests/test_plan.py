"""From a command line to the list of runs."""

import re
import time
from pathlib import Path

import pytest
from PIL import Image

from nstbench.arguments import SWEEP_OPTIONS, names_folder
from nstbench.errors import SettingsError
from nstbench.files import conf_dir
from nstbench.settings import compose, identity
from nstbench.sweep import plan, suites

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
    return [(s.optimizer.name, s.lr, s.epochs, s.reported_seconds) for s in made]


def overrides(*arguments):
    return [" ".join(run.overrides) for run in plan.make(arguments).runs]


def test_the_suite_table1_is_the_table_of_the_report():
    assert rows(["suite=table1"]) == TABLE1


def test_the_suite_figures_adds_the_curve_that_the_table_lacks():
    assert rows(["suite=figures"]) == [*TABLE1, ("adam", 0.1, 50, None)]


def test_the_suite_quickstart_runs_five_optimizers_at_a_small_size():
    made = plan.make(["suite=quickstart"]).runs
    assert [r.settings.optimizer.name for r in made] == [
        "adam", "adagrad", "rmsprop", "sgd", "lbfgs",
    ]  # fmt: skip
    assert {r.settings.size for r in made} == {128}


def test_lr_sensitivity_is_a_log_grid_around_each_default():
    rates = {}
    for run in plan.make(["suite=lr_sensitivity", "optimizer=adam,sgd"]).runs:
        rates.setdefault(run.settings.optimizer.name, []).append(run.settings.lr)
    assert rates["adam"] == [0.0006, 0.002, 0.006, 0.02, 0.06, 0.2, 0.6]
    assert rates["sgd"] == [3e-11, 1e-10, 3e-10, 1e-9, 3e-9, 1e-8, 3e-8]


def test_lr_sensitivity_has_every_optimizer_that_has_a_rate():
    (block,) = suites.load("lr_sensitivity").blocks
    # SciPy's line search has none.
    assert set(block["optimizer"]) == set(compose.choices("optimizer")) - {"lbfgsb"}


def test_every_suite_can_be_planned():
    for suite in compose.choices("suite"):
        assert plan.make([f"suite={suite}"]).runs


def test_the_command_line_wins_over_a_suite():
    made = plan.make(["suite=table1", "size=64", "epochs_scale=0.02", "lr=0.5"]).runs
    assert {run.settings.size for run in made} == {64}
    assert {run.settings.lr for run in made} == {0.5}
    assert [run.settings.epochs for run in made] == [1, 1, 2, 2, 2, 10, 10, 10]  # equals once


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
    assert overrides("style=[dots,brushwork]") == ["style=[dots,brushwork]"]
    assert overrides("style=[dots,wave],glass") == ["style=[dots,wave]", "style=glass"]
    assert overrides("experiment=glob([noise_*,several*])") == [
        "experiment=noise_adam", "experiment=noise_lbfgs", "experiment=several_styles",
    ]  # fmt: skip


def test_repeats_are_interleaved_and_every_competitor_of_a_repeat_has_its_seed():
    made = plan.make(["optimizer=adam,sgd", "repeats=3", "init=noise"]).runs
    assert [(r.settings.optimizer.name, r.settings.repeat) for r in made] == [
        ("adam", 0), ("sgd", 0), ("adam", 1), ("sgd", 1), ("adam", 2), ("sgd", 2),
    ]  # fmt: skip
    assert len({run.directory for run in made}) == 6
    assert all(compose.resolve(r.overrides).repeat == r.settings.repeat for r in made)


def test_a_runs_directory_is_the_one_that_its_own_command_writes():
    for run in plan.make(["optimizer=adam,lbfgs", "lr=0.5", "repeats=2", "size=64"]).runs:
        assert identity.run_directory(compose.resolve(run.overrides)).absolute() == run.directory


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
        ("suite=table1 optimizer=sgd", "unknown optimizer of the suite's rows 'sgd'"),
        ("lr_times=2 optimizer=lbfgsb", "scipy.L-BFGS-B has no rate"),
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
        ("sweep: {}", "a suite's sweep has no values"),
        ("sweep: {lr: []}", "no values"),
        ("sweep: []", "empty"),
        ("rows: []", "a suite's rows"),
        ("rows: [adam]", "a suite's rows"),
        ("suites: [mine]", "part of itself"),
        ("suites: [tabel1]", "did you mean table1"),
        ("rows: {", "mine.yaml: while parsing"),
        ("experiment: [a]\nsweep: {lr: 1}", "unknown key of suite mine 'experiment'"),
    ],
)
def test_a_suite_that_would_run_nothing_is_an_error(tmp_path, text, message):
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "mine.yaml").write_text(text)
    with pytest.raises(SettingsError, match=re.escape(message)) as error:
        plan.make([f"--config-dir={tmp_path}", "suite=mine"])
    assert "\n" not in str(error.value)


def test_a_suite_of_ones_own_may_hold_rows_of_others_and_optimizers_from_a_file(tmp_path):
    (tmp_path / "suite").mkdir()
    (tmp_path / "my opt.py").write_text("class Mine:\n    def __init__(self, lr=0.3): pass\n")
    text = f"suites: [table1]\nrows:\n  - {{optimizer: '{tmp_path}/my opt.py:Mine', style: null}}\n"
    (tmp_path / "suite" / "mine.yaml").write_text(text.replace(", style: null", ""))
    runs = plan.make([f"--config-dir={tmp_path}", "suite=mine", "size=64"]).runs
    assert len(runs) == 11 and runs[-1].settings.optimizer.name == "Mine"
    for run in runs:
        again = compose.resolve(run.overrides)
        assert identity.run_directory(again).absolute() == run.directory


def test_optimizer_chooses_among_the_rows_of_a_suite():
    assert rows(["suite=table1", "optimizer=adam"]) == [r for r in TABLE1 if r[0] == "adam"]
    chosen = rows(["suite=table1", "optimizer=adam,rmsprop", "epochs=7"])
    assert {name for name, *_ in chosen} == {"adam", "rmsprop"} and chosen[0][2] == 7


def test_the_options_of_a_sweep_are_those_of_its_yaml():
    text = (conf_dir() / "sweep.yaml").read_text()
    assert tuple(re.findall(r"^(\w+):", text, re.MULTILINE)) == SWEEP_OPTIONS


def test_competitors_of_a_repeat_run_in_a_random_order_that_stays_the_same():
    made = plan.make(["optimizer=adam,sgd,lion,nadam", "repeats=6"]).runs
    order = plan.launch_order(made)
    assert order == plan.launch_order(list(reversed(made)))
    assert {run.directory for run in order} == {run.directory for run in made}
    assert [run.settings.repeat for run in order] == sorted(run.settings.repeat for run in made)
    names = [run.settings.optimizer.name for run in order]
    assert len({tuple(names[start : start + 4]) for start in range(0, 24, 4)}) > 2


def test_a_thousand_runs_are_planned_in_five_seconds():
    began = time.process_time()
    optimizers = ",".join(compose.choices("optimizer")[:10])
    made = plan.make([f"optimizer={optimizers}", "seed=range(0,20)", "size=64,96,128,160,256"]).runs
    assert len(made) == 1000 and time.process_time() - began < 5


def test_names_of_files_are_data_in_a_folder_too(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    names = [
        "${oc.env:SECRET_TOKEN}.png", "end\\'q.png", "it's.png", "a, b.png", "[c].png", "d=1.png",
        "IMG (1).png", "größe.png", "{{7*7}}.png", "'quoted'.png", "-dash.png",
    ]  # fmt: skip
    for number, name in enumerate(names):
        Image.new("RGB", (40, 40), color=(number, 0, 0)).save(tmp_path / name)
    runs = plan.make([f"content={tmp_path}"], multirun=False).runs
    assert {Path(run.settings.content).name for run in runs} == set(names)
    assert not any("hunter2" in " ".join(run.overrides) for run in runs)
    monkeypatch.chdir(tmp_path)
    for run in runs:
        assert compose.resolve(run.overrides).content == run.settings.content
    commas = plan.make(["content=a, b.png,it's.png"]).runs  # no such file: two names, or three
    assert [run.settings.content for run in commas] == ["a", "b.png", "it's.png"]
    (one,) = plan.make(["content=a, b.png"]).runs
    assert one.settings.content == "a, b.png"
    (one,) = plan.make(["content=no, such.png", "repeats=1"], multirun=False).runs
    assert one.settings.content == "no, such.png"


def test_folders_of_contents_and_styles_give_every_pair(tmp_path):
    for name in ("contents/a.png", "contents/it's b, c.jpg", "styles/x=1.PNG", "styles/y.webp"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 40), color=(len(name), 0, 0)).save(path)
    (tmp_path / "contents" / "notes.txt").write_text("no picture")
    (tmp_path / "contents" / "deeper").mkdir()
    given = [f"content={tmp_path}/contents", f"style={tmp_path}/styles", "size=64"]
    assert all(map(names_folder, given[:2]))
    runs = plan.make(given).runs
    pairs = {(Path(r.settings.content).name, Path(r.settings.style[0]).name) for r in runs}
    assert pairs == {(c, s) for c in ("a.png", "it's b, c.jpg") for s in ("x=1.PNG", "y.webp")}
    assert len({run.directory for run in runs}) == 4


def test_a_folder_without_pictures_is_an_error_and_a_builtin_name_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "astronaut").mkdir()
    assert not names_folder("content=astronaut")
    with pytest.raises(SettingsError, match="folder './astronaut' has no pictures"):
        plan.make(["content=./astronaut"])
