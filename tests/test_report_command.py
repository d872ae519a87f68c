"""`python -m nstbench.report`, as a user runs it."""

import re
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import SyntheticRun, suite, table1, write_run, write_runs

ROOT = Path(__file__).parents[1]
HEAVY = ("tensorflow", "keras", "jax", "torch", "nstbench.run.loop", "nstbench.settings", "hydra")
OWN = """claims:
  - claim: L-BFGS reaches the target in fewer evaluations than Adam
    metric: evaluations_to_target
    expect: less
    a: {optimizer: lbfgs}
    b: {optimizer: adam, lr: 0.02}
"""


def report(*arguments, cwd=ROOT):
    command = [sys.executable, "-m", "nstbench.report", *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


@pytest.fixture(scope="module")
def hundred(tmp_path_factory):
    """A hundred runs: the report's table ten times, as long as the report's, and its report."""
    results = tmp_path_factory.mktemp("hundred")
    runs = [replace(run, size=32) for run in table1(10, effects={"rmsprop": 1.05})]
    write_runs(results, [replace(run, images=run.repeat == 0) for run in runs])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = report(results)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return results, done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_a_hundred_runs_take_less_than_twenty_seconds(hundred):
    """Of processor time, which on a quiet machine is the wall's: a busy one must not fail this."""
    _, done, seconds = hundred
    assert done.returncode == 0, done.stderr
    assert seconds < 20


def test_everything_is_written(hundred):
    folder = hundred[0] / "report"
    assert (folder / "index.html").stat().st_size > 100_000
    for name in ("verdicts", "tables/timing", "tables/ranking"):
        for suffix in (".csv", ".md", ".tex"):
            assert (folder / name).with_suffix(suffix).stat().st_size > 100
    for figure in ("figure07", "figure09", "figure10", "figure11"):
        for axis in ("epochs", "evaluations", "seconds"):
            for kind in ("png", "svg", "pdf"):
                assert (folder / "figures" / f"{figure}_{axis}.{kind}").is_file()


def test_the_summary_gives_verdicts_and_the_pages_place(hundred):
    results, done, _ = hundred
    assert "RMSprop mostly takes slightly longer" in done.stdout
    assert re.search(r"supported +contradicts", done.stdout)
    assert "10 of its 10 rows were run with 10 repeats" in done.stdout
    assert str(results / "report" / "index.html") in done.stdout


def test_neither_tensorflow_nor_the_runner_is_imported(tmp_path):
    write_run(tmp_path, SyntheticRun())
    code = (
        "import sys; from nstbench.report.__main__ import main; main(sys.argv[1:]);"
        "print('IMPORTED', *sorted(m for m in sys.modules if '.' not in m or 'nstbench' in m))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    imported = done.stdout.split("IMPORTED")[1].split()
    assert "nstbench.report.judge.verdicts" in imported
    assert not set(imported) & set(HEAVY)


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv=['x', '--help']; from nstbench.report.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print('pandas' in sys.modules, 'pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.endswith("False False\n")


def test_no_runs_are_one_line_and_exit_code_two(tmp_path):
    done = report(tmp_path)
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert "no runs in" in done.stderr
    assert not (tmp_path / "report").exists()


def test_only_damaged_runs_are_one_line_that_names_the_first(tmp_path):
    path = write_run(tmp_path, SyntheticRun())
    (path / "epochs.csv").write_text("epoch\n1\n")
    done = report(tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "epochs.csv, row 1, column step" in done.stderr


def test_the_default_folder_is_results(tmp_path):
    write_run(tmp_path / "results", SyntheticRun())
    assert report(cwd=tmp_path).returncode == 0
    assert (tmp_path / "results" / "report" / "index.html").is_file()


def test_damaged_unfinished_diverged_and_mixed_runs_are_reported_not_fatal(tmp_path):
    rows = [
        SyntheticRun("adam", frames=(1, 5, 10)),
        SyntheticRun("adagrad", diverged_at=3),
        SyntheticRun("rmsprop", lr=5, diverged_at=1),
        SyntheticRun("sgd", status="failed", error="[red]out of memory[/] <script>"),
        SyntheticRun("lbfgs", lr=1.0, evaluations_per_step=3, status="running"),
        SyntheticRun("adam", host="elsewhere", size=24),
        SyntheticRun("muon", content="someone else", trace=False, images=False),
        SyntheticRun("adam", lr=0.3, extra_settings={"lr": None}),
        SyntheticRun("no$uch$thing", finished_early="no further decrease"),
    ]
    paths = write_runs(tmp_path, suite(rows, 2))
    (paths[0] / "run.json").write_text("{")
    (paths[1] / "image.png").write_text("not a picture")
    (paths[3] / "epochs.csv").unlink()
    done = report(tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"skipped {paths[0].name}: run.json, row 1" in done.stdout
    assert "[red]" not in done.stdout
    ranking = (tmp_path / "report" / "tables" / "ranking.md").read_text()
    assert "diverged" in ranking


def test_an_earlier_reports_files_do_not_stay(tmp_path):
    write_run(tmp_path, SyntheticRun())
    stale = tmp_path / "report" / "figures" / "old.png"
    stale.parent.mkdir(parents=True)
    stale.write_text("old")
    own = stale.with_name("notes.txt")
    own.write_text("mine")
    assert report(tmp_path).returncode == 0
    assert not stale.exists() and own.exists()


def test_the_same_runs_give_the_same_tables(tmp_path):
    short = [replace(r, images=False) for r in table1(3) if r.epochs == 50]
    write_runs(tmp_path, short)
    made = []
    for _ in range(2):
        assert report(tmp_path, "--over", "epochs").returncode == 0
        files = sorted((tmp_path / "report").rglob("*.csv"))
        made.append({path.name: path.read_text() for path in files})
    assert made[0] == made[1]
    assert not list((tmp_path / "report" / "figures").glob("figure*_seconds*"))


def test_a_mistyped_option_is_refused(tmp_path):
    done = report(tmp_path, "--over", "hours")
    assert done.returncode == 2
    assert "hours" in done.stderr


def test_a_persons_own_claims_are_five_lines_of_yaml(tmp_path):
    write_runs(tmp_path, [SyntheticRun("adam"), SyntheticRun("lbfgs", 1.0)])
    (tmp_path / "mine.yaml").write_text(OWN)
    done = report(tmp_path, "--claims", tmp_path / "mine.yaml")
    assert done.returncode == 0, done.stderr
    assert "L-BFGS reaches the target" in done.stdout
    assert "supported on this pair of pictures" in done.stdout
    html = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Claims about optimizers, judged" in html and "Adagrad takes slightly" not in html


FIGURE = """figures:
  - name: two_of_mine
    curves:
      - {optimizer: adam}
      - {optimizer: lbfgs}
  - name: not_run
    curves: [{optimizer: adam}, {optimizer: muon}]
"""


def test_a_persons_own_figure_is_a_few_lines_of_yaml(tmp_path):
    write_runs(tmp_path, [SyntheticRun("adam"), SyntheticRun("lbfgs", 1.0), SyntheticRun("sgd")])
    (tmp_path / "mine.yaml").write_text(FIGURE)
    done = report(tmp_path, "--figures", tmp_path / "mine.yaml")
    assert done.returncode == 0, done.stderr
    assert "not_run is not drawn: no problem has runs of all its curves" in done.stdout
    assert "two_of_mine is not drawn" not in done.stdout
    assert list((tmp_path / "report" / "figures").glob("two_of_mine*.png"))
    html = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Adam and L-BFGS, different rates" in html


def test_own_claims_that_were_not_run_say_what_would_run_them(tmp_path):
    write_runs(tmp_path, [SyntheticRun("adam")])
    (tmp_path / "mine.yaml").write_text(OWN)
    done = report(tmp_path, "--claims", tmp_path / "mine.yaml")
    assert "python -m nstbench optimizer=lbfgs" in done.stdout
    assert "repeats needed" not in done.stdout


@pytest.mark.parametrize(
    ("option", "text", "old", "new", "said"),
    [
        ("--claims", OWN, "metric: evaluations_to_target", "metric: evaluation_to_target",
         "evaluations_to_target"),
        ("--claims", OWN, "optimizer: lbfgs", "optimiser: lbfgs", "optimizer"),
        ("--claims", OWN, "expect: less", "expect: fewer", "claims.0.expect"),
        ("--claims", OWN, "claims:", "claims: [", "is no YAML"),
        ("--figures", FIGURE, "name: two_of_mine", "name: ../mine", "figures.0.name"),
        ("--figures", FIGURE, "optimizer: lbfgs", "optimiser: lbfgs", "optimizer"),
        ("--figures", FIGURE, "curves:\n", "lines:\n", "figures.0"),
    ],
)  # fmt: skip
def test_a_mistake_in_ones_own_file_is_one_line(tmp_path, option, text, old, new, said):
    write_runs(tmp_path, [SyntheticRun("adam")])
    (tmp_path / "mine.yaml").write_text(text.replace(old, new, 1))
    done = report(tmp_path, option, tmp_path / "mine.yaml")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert said in done.stderr


def test_a_claims_file_that_is_not_there_is_one_line(tmp_path):
    done = report(tmp_path, "--claims", tmp_path / "none.yaml")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "none.yaml" in done.stderr


def test_without_rows_of_the_reports_table_nothing_is_said_of_its_claims(tmp_path):
    write_runs(tmp_path, suite([SyntheticRun("adam"), SyntheticRun("lbfgs", 1.0)], 2))
    done = report(tmp_path)
    assert "not run" not in done.stdout and "needed" not in done.stdout
    assert "L-BFGS 1 reaches the lowest loss within 50 evaluations" in done.stdout
    assert not (tmp_path / "report" / "verdicts.csv").exists()


def test_a_scaled_suite_is_said_not_to_be_the_reports_table(tmp_path):
    write_runs(tmp_path, [replace(r, epochs=max(1, r.epochs // 50)) for r in table1(2)])
    done = report(tmp_path)
    assert "rows of the report's table with other settings" in done.stdout
    assert "500 epochs" not in done.stdout and "supported" not in done.stdout
