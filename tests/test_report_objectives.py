"""Objectives side by side: which runs are compared, and only by what can be compared."""

import json

from synthetic import SyntheticRun, write_run

from nstbench.report.data.reader import read
from nstbench.report.tables.objectives import objectives_sheet, objectives_table, sets_of_objectives


def write(results, run, reference=None):
    path = write_run(results, run) / "run.json"
    record = json.loads(path.read_text(encoding="utf-8")) | {"reference": reference}
    path.write_text(json.dumps(record), encoding="utf-8")


def reference(content, style):
    return {"loss": content + style, "terms": {"content": content, "style": style}}


def test_runs_of_one_pair_and_budget_are_compared_by_the_reference_metric(tmp_path):
    write(tmp_path, SyntheticRun("lbfgs", 1.0), reference(3.0, 40.0))
    write(tmp_path, SyntheticRun("lbfgs", 1.0, objective="adain"), reference(2.0, 50.0))
    write(tmp_path, SyntheticRun("lbfgs", 1.0, objective="gatys_notebook"))
    write(tmp_path, SyntheticRun("lbfgs", 1.0, objective="adain", content="boat"))
    write(tmp_path, SyntheticRun("adam", 1.0, objective="adain"))
    [members] = sets_of_objectives(read(tmp_path).runs)
    table = objectives_table(members)
    assert list(table.shown["Objective"]) == ["adain", "gatys_notebook", "report"]
    assert list(table.shown["Content term"]) == ["2", "—", "3"]
    assert list(table.shown["Style term"]) == ["50", "—", "40"]
    assert table.notes == ["Without the reference metric: gatys_notebook."]
    captions = [cell.caption for cell in objectives_sheet(members).cells]
    assert captions[:2] == ["content", "style"]
    assert captions[2] == "adain\ncontent 2, style 50\nSSIM 0.500, PSNR 15.0 dB"


def test_repeats_of_one_objective_are_no_comparison(tmp_path):
    for repeat in range(3):
        write(tmp_path, SyntheticRun("adam", repeat=repeat))
    assert sets_of_objectives(read(tmp_path).runs) == []


def test_one_objective_with_two_settings_is_told_apart(tmp_path):
    for weight in (1, 2):
        objective = {"objective": {"name": "report", "terms": {"style": {"weight": weight}}}}
        run = SyntheticRun("adam", seed=weight, extra_settings=objective)
        write(tmp_path, run, reference(1.0, 2.0))
    [members] = sets_of_objectives(read(tmp_path).runs)
    assert list(objectives_table(members).shown["Objective"]) == ["report", "report, variant 2"]
