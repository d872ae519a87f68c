"""The tables hold what was measured, and say under them what to doubt."""

import io
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from synthetic import TABLE1, SyntheticRun, suite, table1, write_run, write_runs

from nstbench.report.data import compare, reader, settings
from nstbench.report.judge import targets
from nstbench.report.tables import table as table_module
from nstbench.report.tables.ranking import ranking
from nstbench.report.tables.timing import timing_table
from nstbench.run.schema import Status

SETTINGS = settings.load()
ROWS = [
    SyntheticRun("adam", epochs=60, speed=0.5),
    SyntheticRun("adagrad", epochs=60, speed=0.02),
    SyntheticRun("rmsprop", epochs=60, speed=0.2),
]


def read(results, runs):
    write_runs(results, [replace(run, images=run.images and run.repeat == 0) for run in runs])
    found = reader.read(results)
    assert found.damaged == []
    return found.runs


def timing(results, runs):
    runs = read(results, runs)
    return timing_table(compare.timing_groups(runs)[0], SETTINGS, runs)


def ranked(results, runs):
    return ranking(compare.groups(read(results, runs))[0], SETTINGS)


def quick(repeats, **how):
    """The report's table without traces."""
    return [replace(run, trace=False) for run in table1(repeats, **how)]


def said(table, words):
    return [note for note in table.notes if words in note]


class TestTiming:
    def test_rows_stand_in_the_reports_order_with_its_numbers(self, tmp_path):
        frame = timing(tmp_path, quick(3)).frame
        assert list(frame["row"]) == list(range(1, 11))
        assert list(frame["reported_s"]) == [seconds for *_, seconds in TABLE1]
        assert frame["reported_step_s"][[0, 3, 6]].round(3).tolist() == [0.122, 0.116, 0.061]
        assert frame["reported_ratio"][6] == pytest.approx(151.6 / 30.6)

    def test_measured_seconds_are_the_median_with_an_interval_around_it(self, tmp_path):
        runs = quick(5)
        frame = timing(tmp_path, runs).frame
        adam = [run for run in runs if run.experiment == "table1_01_adam"]
        expected = np.median([250 * 0.01 * r.slowness + 0.65 * r.slowness for r in adam])
        first = frame.iloc[0]
        assert first["total_s"] == pytest.approx(expected)
        assert first["total_low_s"] <= first["total_s"] <= first["total_high_s"]
        assert first["step_s"] == pytest.approx(np.median([0.01 * run.slowness for run in adam]))

    def test_ratios_are_to_the_first_row_and_paired(self, tmp_path):
        frame = timing(tmp_path, quick(3, effects={"adagrad": 1.5}, spread=0.0, drift=0.5)).frame
        assert frame["ratio"][0] == 1
        assert frame["ratio"][1] == pytest.approx(1.5)  # in spite of a drift of 50 %
        assert frame["ratio_low"][1] == pytest.approx(1.5)

    def test_each_row_has_its_picture(self, tmp_path):
        for picture in timing(tmp_path, quick(2)).frame["picture"]:
            assert (tmp_path / picture).is_file()

    def test_a_quiet_suite_leaves_no_doubt(self, tmp_path):
        assert timing(tmp_path, quick(3, drift=0.01)).notes == []

    def test_few_repeats_and_a_wide_spread_are_said(self, tmp_path):
        table = timing(tmp_path, quick(2, spread=0.2))
        assert "row 1 (2)" in said(table, "Too few repeats")[0]
        assert said(table, "differ by more than 10%")

    def test_missing_rows_are_shown_and_said(self, tmp_path):
        runs = [run for run in quick(1) if run.optimizer != "rmsprop"]
        table = timing(tmp_path, runs)
        assert said(table, "without a run: 6, 9, 10")
        assert table.shown.loc[5, ["Optimizer", "Status", "Measured s"]].tolist() == [
            "RMSprop",
            "missing",
            "—",
        ]

    def test_disturbed_runs_are_counted_and_not_used(self, tmp_path):
        runs = [
            replace(run, timing_valid=run.repeat != 0, timing_notes=("load 3.1 on 2 cores",))
            for run in quick(3)
        ]
        table = timing(tmp_path, runs)
        (note,) = said(table, "disturbed")
        assert "10 of 30 runs" in note and "load 3.1 on 2 cores" in note
        assert table.frame["timed"].tolist() == [2] * 10
        assert table.shown["Repeats"][0] == "3, 2 timed"

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"host": "elsewhere"}, "machine"),
            ({"weights_sha256": "v" * 64}, "weights"),
            ({"content": "someone else"}, "pictures"),
            ({"size": 24}, "size of their pictures"),
            ({"objective": "gatys"}, "objective"),
        ],
    )
    def test_runs_that_cannot_be_compared_are_apart_and_said(self, tmp_path, change, reason):
        runs = quick(2)
        foreign = [replace(run, **change) for run in runs if run.experiment == "table1_02_adagrad"]
        table = timing(tmp_path, runs + foreign)
        assert table.frame["repeats"].tolist() == [2] * 10
        (note,) = said(table, "left out here")
        assert note.startswith("2 runs") and reason in note

    @pytest.mark.parametrize(
        ("status", "words"),
        [
            (Status.FAILED, "failed"),
            (Status.INTERRUPTED, "interrupted"),
            (Status.RUNNING, "not finished"),
        ],
    )
    def test_runs_that_did_not_end_are_said_and_not_timed(self, tmp_path, status, words):
        runs = quick(1)
        table = timing(tmp_path, [replace(runs[0], status=status), *runs[1:]])
        assert said(table, words)
        assert math.isnan(table.frame["total_s"][0])

    def test_another_schedule_than_the_reports_is_said(self, tmp_path):
        runs = [replace(run, epochs=run.epochs // 10) for run in quick(1)]
        assert said(timing(tmp_path, runs), "row 1 (25 steps, the report 250)")

    def test_repeats_in_blocks_are_said(self, tmp_path):
        paths = write_runs(tmp_path, quick(2))
        for path in paths:
            if "rmsprop" in path.name:  # all of RMSprop's repeats after everybody else's
                text = (path / "run.json").read_text()
                (path / "run.json").write_text(text.replace("2026-01-0", "2026-02-0"))
        runs = reader.read(tmp_path).runs
        assert said(timing_table(compare.timing_groups(runs)[0], SETTINGS), "not run in turn")

    def test_runs_that_are_not_the_reports_have_rows_without_its_numbers(self, tmp_path):
        table = timing(tmp_path, suite(ROWS, 2))
        assert len(table.frame) == 3
        assert table.frame["reported_s"].isna().all()
        assert not said(table, "without a run")


class TestRanking:
    def test_the_faster_convergence_ranks_first(self, tmp_path):
        frame = ranked(tmp_path, suite(ROWS, 3)).frame
        assert frame["competitor"].tolist() == ["Adam 0.02", "RMSprop 0.02", "Adagrad 0.02"]
        assert frame["rank"].tolist() == [1, 2, 3]

    def test_targets_are_one_number_for_all(self, tmp_path):
        runs = read(tmp_path, suite(ROWS, 1))
        reach = targets.goals(runs, SETTINGS.targets)
        start = runs[0].trace["loss"][0]
        best = min(run.trace["loss"].min() for run in runs)
        losses = [target.loss for target in reach.targets]
        assert losses == pytest.approx([best + s * (start - best) for s in (0.5, 0.1, 0.02)])

    def test_evaluations_and_seconds_to_a_target(self, tmp_path):
        run = SyntheticRun(epochs=4, step_s=0.1, floor=0.0, speed=1.0, evaluations_per_step=2)
        (run,) = read(tmp_path, [run])
        # loss = start / step: at most start / 7 from step 7, its evaluation 13, in epoch 2
        assert targets.evaluations_to(run, 4e6 / 7) == 13
        assert targets.seconds_to(run, 4e6 / 7) == pytest.approx(0.1 * 13 / 2)
        assert targets.evaluations_to(run, 1.0) == math.inf
        assert targets.seconds_to(run, 1.0) == math.inf

    def test_failures_are_priced_not_dropped(self, tmp_path):
        table = ranked(tmp_path, suite(ROWS, 3))
        adagrad = table.frame.set_index("competitor").loc["Adagrad 0.02"]
        assert adagrad["reached_98"] == 0
        assert adagrad["evaluations_98"] == 2 * 300
        shown = table.shown.set_index("Competitor").loc["Adagrad 0.02"]
        assert shown["Evaluations to 98 %"] == "600 (0 of 3 reached)"
        assert "600 evaluations" in table.caption

    def test_divergence_is_shown_as_such_and_its_failures_are_priced(self, tmp_path):
        wild = replace(ROWS[0], lr=5.0, speed=0.0, diverged_at=2)
        table = ranked(tmp_path, suite([*ROWS, wild], 3))
        last = table.shown.iloc[-1]
        assert (last["Competitor"], last["Final loss"]) == ("Adam 5", "diverged")
        assert last["Status"] == "diverged"
        assert table.frame["evaluations_50"].iloc[-1] == 2 * 300
        assert said(table, "diverged")

    def test_the_longest_run_of_a_repeat_counts(self, tmp_path):
        short = [replace(row, epochs=5) for row in ROWS]
        frame = ranked(tmp_path, suite([*ROWS, *short], 2)).frame
        assert frame["steps"].tolist() == [300] * 3
        assert frame["repeats"].tolist() == [2] * 3

    def test_a_smaller_budget_is_said(self, tmp_path):
        rows = [ROWS[0], replace(ROWS[1], epochs=5)]
        assert said(ranked(tmp_path, suite(rows, 1)), "Stopped before the 300 steps")

    def test_a_completed_run_whose_last_loss_is_not_finite_counts_as_diverged(self, tmp_path):
        path = write_run(tmp_path, ROWS[0])
        record = json.loads((path / "run.json").read_text())
        record["final"]["loss"] = None
        (path / "run.json").write_text(json.dumps(record))
        table = ranked(tmp_path, ROWS[1:])
        shown = table.shown.set_index("Competitor")
        assert shown.loc["Adam 0.02", "Final loss"] == "diverged"
        assert table.frame["loss_best"].notna().all()

    def test_without_a_trace_epochs_do(self, tmp_path):
        rows = [replace(row, trace=False) for row in ROWS]
        frame = ranked(tmp_path, suite(rows, 1)).frame
        assert frame["competitor"][0] == "Adam 0.02"
        assert (frame["evaluations_50"] % 5 == 0).all()  # known at the ends of epochs only

    def test_only_unfinished_runs_have_no_target(self, tmp_path):
        table = ranked(tmp_path, [replace(ROWS[0], status=Status.FAILED)])
        assert table.frame.empty and "no target" in table.caption
        assert said(table, "failed")


class TestCompetitors:
    def test_what_optimizer_and_rate_do_not_tell_apart_has_its_own_label(self, tmp_path):
        rows = [SyntheticRun("lbfgs", lr=1.0), SyntheticRun("lbfgs", lr=1.0, epochs=20)]
        memory = {"optimizer": {"name": "lbfgs", "memory": 20, "lr": 1.0}}
        rows.append(SyntheticRun("lbfgs", lr=1.0, epochs=21, extra_settings=memory))
        labels = [each.label for each in compare.competitors(read(tmp_path, rows))]
        assert len(set(labels)) == 3
        assert "L-BFGS 1, 10 epochs of 5" in labels
        by_rate = compare.competitors(reader.read(tmp_path).runs, by_schedule=False)
        assert {each.label for each in by_rate} == {"L-BFGS 1", "L-BFGS 1, memory=20"}

    def test_the_newest_of_two_equal_repeats_counts(self, tmp_path):
        runs = read(tmp_path, [SyntheticRun(repeat=0), SyntheticRun(repeat=0, epochs=11)])
        older = replace(runs[0], record=runs[0].record.model_copy(update={"created": "2020"}))
        newer = replace(runs[1], record=runs[1].record.model_copy(update={"created": "2030"}))
        kept = compare.Competitor("", (newer, older)).by_repeat()
        assert kept == {0: newer}


class TestWriting:
    @pytest.fixture
    def table(self):
        frame = pd.DataFrame({"name": ["a|b_<i>&%$#{}~^\\"], "value": [1.25]})
        return table_module.Table("odd", "Odd | names", "Read it", frame, frame, ["50% of_it <b>"])

    def test_csv_keeps_the_numbers(self, table, tmp_path):
        paths = {path.suffix: path for path in table_module.write(table, tmp_path / "deep")}
        assert set(paths) == {".csv", ".md", ".tex"}
        back = pd.read_csv(io.StringIO(paths[".csv"].read_text()))
        pd.testing.assert_frame_equal(back, table.frame)

    def test_markdown_cells_cannot_break_the_table_or_hold_markup(self, table):
        lines = table_module.markdown(table).splitlines()
        row = next(line for line in lines if line.startswith("| a"))
        assert row.replace("\\|", "").count("|") == 3
        assert "<" not in table_module.markdown(table)
        assert lines[-1].startswith("- 50% of_it")

    def test_latex_is_escaped(self, table):
        text = table_module.latex(table)
        assert r"a|b\_<i>\&\%\$\#\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}" in text
        assert text.startswith("% Odd | names\n")
        assert r"\toprule" in text

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (None, "—"),
            (math.nan, "—"),
            (math.inf, "infinite"),
            (30.0, "30"),
            (0.12345, "0.1235"),
            (371432.0, "371400"),
            (1.5e7, "1.500e+07"),
            (2e-6, "2.000e-06"),
        ],
    )
    def test_numbers_are_readable(self, value, text):
        assert table_module.number(value) == text


def test_a_run_name_with_markup_stays_text_in_every_file(tmp_path):
    write_run(tmp_path, SyntheticRun(optimizer="<script>", experiment="a|b"))
    runs = reader.read(tmp_path).runs
    table = ranking(compare.groups(runs)[0], SETTINGS)
    assert "<script>" in table.shown["Competitor"][0]
    assert "<script>" not in table_module.markdown(table)
