"""The tables hold what was measured, and say under them what to doubt."""

import io
import json
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from synthetic import TABLE1, SyntheticRun, cost_session, suite, table1, write_run, write_runs

from nstbench.notation import number
from nstbench.report.data import compare, reader, settings
from nstbench.report.judge import targets
from nstbench.report.judge.answer import answer
from nstbench.report.judge.ranking import rank
from nstbench.report.tables import table as table_module
from nstbench.report.tables.ranking import ranking_tables
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
    ranking = rank(compare.groups(read(results, runs))[0], SETTINGS.claims.margin)
    return ranking_tables(ranking, SETTINGS)[0]


def quick(repeats, **how):
    """The report's table without traces."""
    return [replace(run, trace=False) for run in table1(repeats, **how)]


def row_of(run):
    return (run.optimizer, run.lr, run.epochs)


def said(table, words):
    return [note for note in table.notes if words in note]


class TestTiming:
    def test_rows_stand_in_the_reports_order_with_its_numbers(self, tmp_path):
        frame = timing(tmp_path, quick(3)).frame
        assert list(frame["row"]) == list(range(1, 11))
        assert list(frame["reported_s"]) == [seconds for *_, seconds in TABLE1]
        assert frame["reported_step_s"][[0, 3, 6]].round(3).tolist() == [0.122, 0.116, 0.061]
        assert frame["reported_ratio"][[0, 3, 6]].tolist() == [1, 1, 1]  # of as many steps
        assert frame["reported_ratio"][8] == pytest.approx(149.6 / 151.6)

    def test_measured_seconds_are_the_median_with_the_range_which_is_called_one(self, tmp_path):
        runs = quick(5)
        frame = timing(tmp_path, runs).frame
        adam = [run for run in runs if (run.optimizer, run.epochs) == ("adam", 50)]
        expected = np.median([250 * 0.01 * r.slowness + 0.65 * r.slowness for r in adam])
        first = frame.iloc[0]
        assert first["total_s"] == pytest.approx(expected)
        totals = [250 * 0.01 * r.slowness + 0.65 * r.slowness for r in adam]
        assert first["total_lowest_s"] == pytest.approx(min(totals))
        assert first["total_highest_s"] == pytest.approx(max(totals))
        assert "range over repeats" in timing(tmp_path, runs).caption
        assert first["step_s"] == pytest.approx(np.median([0.01 * run.slowness for run in adam]))

    def test_ratios_are_to_the_first_row_of_as_many_steps_and_paired(self, tmp_path):
        frame = timing(tmp_path, quick(3, effects={"adagrad": 1.5}, spread=0.0, drift=0.5)).frame
        assert frame["ratio"][0] == 1
        assert frame["ratio"][1] == pytest.approx(1.5)  # in spite of a drift of 50 %
        assert frame["ratio_low"][1] == pytest.approx(1.5)

    def test_each_row_has_its_picture(self, tmp_path):
        for picture in timing(tmp_path, quick(2)).frame["picture"]:
            assert (tmp_path / picture).is_file()

    def test_a_quiet_suite_leaves_no_warning(self, tmp_path):
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
            "not run",
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
        foreign = [replace(run, **change) for run in runs if row_of(run) == ("adagrad", 0.02, 50)]
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

    def test_altered_rows_stand_as_what_they_were_without_the_reports_numbers(self, tmp_path):
        rows = quick(1)
        altered = [replace(rows[0], lr=0.5), replace(rows[1], epochs=5), *rows[2:]]
        table = timing(tmp_path, altered)
        first = table.frame.iloc[0]
        assert first["status"] == "not run" and first["reported_s"] == 30.6
        below = table.shown.tail(2).set_index("Rate")
        assert below.loc["0.5", ["Row", "Reported s", "Epochs"]].tolist() == ["—", "—", "50"]
        assert below.loc["0.02", ["Row", "Reported s", "Epochs"]].tolist() == ["—", "—", "5"]

    def test_a_scaled_suite_has_no_reported_column_at_all(self, tmp_path):
        runs = [replace(run, epochs=run.epochs // 50) for run in quick(1)]
        table = timing(tmp_path, runs)
        assert not [name for name in table.shown if "Reported" in name or name == "Row"]
        assert set(table.shown["Epochs"]) == {"1", "2", "10"}

    def test_altered_hyperparameters_make_another_row(self, tmp_path):
        rows = quick(1)
        table = timing(tmp_path, [replace(rows[0], options={"beta_1": 0.5}), *rows[1:]])
        assert table.shown["Altered"].tolist()[-1] == "beta_1=0.5"
        assert table.shown["Reported s"].tolist()[-1] == "—"

    def test_an_early_end_is_said_and_has_no_total(self, tmp_path):
        rows = quick(1)
        rows[0] = replace(rows[0], finished_early="no further decrease")
        table = timing(tmp_path, rows)
        assert said(table, "stopped by itself") and said(table, "no further decrease")
        assert math.isnan(table.frame["total_s"][0])

    def test_the_short_table_holds_the_ten_rows_to_be_quoted(self, tmp_path):
        extra = suite([SyntheticRun("adagrad", 0.5, 500)], 3)
        table = timing(tmp_path, [*quick(3, effects={"adagrad": 1.5}), *extra])
        written = table_module.write(table, tmp_path)
        lines = written[-1].read_text().splitlines()
        assert written[-1].name == "timing_short.md" and len(lines) == 12
        assert lines[0] == (
            "| Optimizer | Rate | Epochs | Reported s | Measured s | s per step | Ratio to Adam "
            "| Final loss |"
        )
        cells = [cell.strip() for cell in lines[3].split("|")[1:-1]]
        assert cells[:4] == ["Adagrad", "0.02", "50", "30.4"]
        assert re.fullmatch(r"1\.\d+ \(1\.4\d* to 1\.5\d*\)", cells[6])
        assert float(cells[4]) == pytest.approx(float(cells[5]) * 250 + 0.975, rel=0.05)

    def test_where_no_run_was_undisturbed_the_cost_of_a_step_is_shown(self, tmp_path):
        runs = [replace(run, timing_valid=run.optimizer != "rmsprop", size=16) for run in quick(2)]
        runs = read(tmp_path, runs)
        group = compare.timing_groups(runs)[0]
        table = timing_table(group, SETTINGS, runs, [cost_session(size=256), cost_session(size=16)])
        assert table.shown["Measured s/step"][[5, 8, 9]].tolist() == ["0.125 (cost)"] * 3
        assert "cost" not in "".join(table.shown["Measured s/step"][:5])
        assert table.short["s per step"][9] == "0.125 (cost)" and said(table, "undisturbed")
        table = timing_table(group, SETTINGS, runs, [cost_session(size=256)])
        assert table.shown["Measured s/step"][9] == "—"

    def test_repeats_in_blocks_are_said(self, tmp_path):
        paths = write_runs(tmp_path, quick(2))
        for path in paths:
            if "rmsprop" in path.name:  # all of RMSprop's repeats after everybody else's
                text = (path / "run.json").read_text()
                (path / "run.json").write_text(text.replace("2026-01-0", "2026-02-0"))
        runs = reader.read(tmp_path).runs
        assert said(timing_table(compare.timing_groups(runs)[0], SETTINGS), "not run in turn")

    def test_runs_that_are_not_the_reports_have_rows_without_its_numbers(self, tmp_path):
        table = timing(tmp_path, suite(ROWS, 2, effects={"adam": 0.5}))
        assert len(table.frame) == 3
        assert "reported_s" not in table.frame and "Row" not in table.shown
        assert not said(table, "without a run")
        assert "the fastest" in table.caption
        assert table.frame.set_index("optimizer").loc["Adam", "ratio"] == 1


class TestRanking:
    def test_the_lowest_loss_within_the_common_budget_ranks_first(self, tmp_path):
        table = ranked(tmp_path, suite(ROWS, 3))
        assert table.frame["competitor"].tolist() == ["Adam 0.02", "RMSprop 0.02", "Adagrad 0.02"]
        assert table.frame["rank"].tolist() == [1, 2, 3]
        assert "Loss within 300 evaluations" in table.shown

    def test_a_cheap_first_target_does_not_outrank_a_lower_loss(self, tmp_path):
        """As the geometric mean over targets let it (ux.md, A4)."""
        slow_start = SyntheticRun("lbfgs", 1.0, epochs=60, floor=0.0, speed=0.5)
        quick_start = SyntheticRun("rmsprop", 0.01, epochs=60, floor=0.1, speed=5.0)
        frame = ranked(tmp_path, [slow_start, quick_start]).frame
        assert frame["competitor"].tolist() == ["L-BFGS 1", "RMSprop 0.01"]
        assert frame["evaluations_50"][0] > frame["evaluations_50"][1]

    def test_rates_are_compared_at_equal_evaluations(self, tmp_path):
        """A longer run of a worse rate ends lower, and is not the better rate for it."""
        short = SyntheticRun("adam", 0.1, epochs=20, speed=0.5)
        long = SyntheticRun("adam", 0.02, epochs=500, speed=0.1)
        runs = [short, long, SyntheticRun("sgd", 1.0, epochs=20, speed=0.01)]
        ranking = rank(compare.groups(read(tmp_path, runs))[0], 0.02)
        assert ranking.budget == 100
        assert [e.competitor.label for e in ranking.best_rates] == ["Adam 0.1", "SGD 1"]
        assert ranking.entries[0].rates == (0.02, 0.1) and ranking.entries[0].at_edge

    def test_a_rate_that_did_not_make_the_budget_was_not_tried(self, tmp_path):
        short = SyntheticRun("adagrad", 0.1, epochs=2)
        ranking = rank(compare.groups(read(tmp_path, [*ROWS, short]))[0], 0.02)
        rates = {entry.competitor.label: entry.rates for entry in ranking.best_rates}
        assert rates["Adagrad 0.02"] == (0.02,)
        assert "best rate" not in answer(ranking, 0.02)

    def test_more_evaluations_a_step_are_no_advantage(self, tmp_path):
        search = SyntheticRun("lbfgs", 1.0, epochs=20, evaluations_per_step=3, speed=0.2)
        ranking = rank(compare.groups(read(tmp_path, [search, ROWS[0]]))[0], 0.02)
        assert ranking.budget == 300
        made = {e.competitor.label: e.loss for e in ranking.entries}
        assert made["L-BFGS 1"] == pytest.approx(4e6 * (0.02 + 0.98 / (1 + 0.2 * 99)))

    def test_one_short_run_does_not_shrink_the_budget_and_has_no_rank(self, tmp_path):
        table = ranked(tmp_path, [*ROWS, SyntheticRun("sgd", 1.0, epochs=60), SyntheticRun("lion")])
        assert table.frame["budget"][0] == 300
        assert table.shown["Rank"].tolist()[-1] == "—"
        assert "Lion 0.02 (50)" in said(table, "Without a rank")[0]

    def test_who_stopped_by_itself_is_ranked(self, tmp_path):
        early = SyntheticRun("lbfgs", 1.0, epochs=5, speed=9.0, finished_early="converged")
        table = ranked(tmp_path, [*ROWS, early])
        assert table.frame["competitor"][0] == "L-BFGS 1" and table.frame["rank"][0] == 1
        assert said(table, "stopped by itself after 5 of 5 epochs")

    def test_the_leading_group_stands_out(self, tmp_path):
        near = SyntheticRun("nadam", epochs=60, speed=0.499)
        table = ranked(tmp_path, [*ROWS, near])
        assert table.strong == (0, 1)
        assert table.frame["is_leading"].tolist() == [True, True, False, False]

    def test_every_setting_has_a_table_of_its_own_where_rates_were_varied(self, tmp_path):
        runs = read(tmp_path, [SyntheticRun("adam", lr) for lr in (0.01, 0.02, 0.04)])
        ranking = rank(compare.groups(runs)[0], 0.02)
        best, every = ranking_tables(ranking, SETTINGS)
        assert len(best.frame) == 1 and len(every.frame) == 3
        assert every.name == "ranking_all"

    def test_the_answer_is_in_words(self, tmp_path):
        runs = [
            SyntheticRun("adam", lr, speed=s) for lr, s in ((0.01, 0.1), (0.02, 0.4), (0.04, 0.2))
        ]
        ranking = rank(compare.groups(read(tmp_path, [*runs, SyntheticRun("sgd", 1.0)]))[0], 0.02)
        said_ = answer(ranking, 0.02)
        assert said_.startswith("Of 2 optimizers on portrait in the style of waves")
        assert "Adam 0.02 reaches the lowest loss within 50 evaluations" in said_
        assert "Adam's best rate is 0.02 of 3 tried." in said_

    def test_targets_are_one_number_for_all(self, tmp_path):
        runs = read(tmp_path, suite(ROWS, 1))
        own = targets.targets_of(runs, SETTINGS.targets)
        start = runs[0].trace["loss"][0]
        best = min(run.trace["loss"].min() for run in runs)
        losses = [target.loss for target in own.targets]
        assert losses == pytest.approx([best + s * (start - best) for s in (0.5, 0.1, 0.02)])

    def test_evaluations_and_seconds_to_a_target(self, tmp_path):
        run = SyntheticRun(epochs=4, step_s=0.1, floor=0.0, speed=1.0, evaluations_per_step=2)
        (run,) = read(tmp_path, [run])
        # loss = start / step: at most start / 7 from step 7, its evaluation 13, in epoch 2
        assert targets.evaluations_to(run, 4e6 / 7) == 13
        assert targets.seconds_to(run, 4e6 / 7) == pytest.approx(0.1 * 13 / 2)
        assert targets.evaluations_to(run, 1.0) == math.inf
        assert targets.seconds_to(run, 1.0) == math.inf

    def test_failures_are_penalised_not_dropped(self, tmp_path):
        table = ranked(tmp_path, suite(ROWS, 3))
        adagrad = table.frame.set_index("competitor").loc["Adagrad 0.02"]
        assert adagrad["reached_98"] == 0
        assert adagrad["evaluations_98"] == 2 * 300
        shown = table.shown.set_index("Competitor").loc["Adagrad 0.02"]
        assert shown["Evaluations to 98 %"] == "missed"
        assert "2 times the largest budget" in table.caption

    def test_divergence_is_shown_as_such_and_its_failures_are_penalised(self, tmp_path):
        wild = SyntheticRun("sgd", lr=5.0, epochs=60, speed=0.0, diverged_at=2)
        table = ranked(tmp_path, suite([*ROWS, wild], 3))
        last = table.shown.iloc[-1]
        assert (last["Competitor"], last["Final loss"]) == ("SGD 5", "diverged")
        assert last["Status"] == "diverged"
        assert table.frame["evaluations_50"].iloc[-1] == 2 * 300
        assert said(table, "diverged")

    def test_a_run_that_ends_above_its_start_is_marked_and_explained(self, tmp_path):
        rising = SyntheticRun("sgd", lr=5.0, epochs=60, speed=-0.001)
        runs = suite([*ROWS, rising], 3)
        runs[1] = replace(runs[1], speed=-0.001)  # one repeat of Adagrad
        table = ranked(tmp_path, runs)
        shown = table.shown.set_index("Competitor")["Final loss"]
        assert shown["SGD 5"].endswith(" (rose)") and shown["Adagrad 0.02"].endswith(" (rose in 1)")
        assert "rose" not in shown["Adam 0.02"]
        assert table.frame["ended_above_start"].tolist() == [0, 0, 1, 3]
        (note,) = said(table, "above its start")
        assert "Adagrad 0.02 and 1 more" in note
        seconds = timing(tmp_path, runs).shown.set_index("Optimizer")["Final loss"]
        assert seconds["SGD"] == shown["SGD 5"]

    def test_what_the_preset_says_of_an_optimizer_stands_below(self, tmp_path):
        muon = SyntheticRun("muon", epochs=60)
        assert said(ranked(tmp_path, [*ROWS, muon]), "Muon: Keras's class orthogonalises matrices")
        other = {"name": "muon", "target": "torch.optim.Muon", "options": {}}
        runs = [*ROWS, replace(muon, extra_settings={"optimizer": other})]
        assert not said(ranked(tmp_path / "other", runs), "orthogonalises")

    def test_the_longest_run_of_a_repeat_counts(self, tmp_path):
        short = [replace(row, epochs=5) for row in ROWS]
        frame = ranked(tmp_path, suite([*ROWS, *short], 2)).frame
        assert frame["steps"].tolist() == [300] * 3
        assert frame["repeats"].tolist() == [2] * 3

    def test_seconds_of_disturbed_or_batched_runs_are_never_shown(self, tmp_path):
        rows = [
            replace(row, timing_valid=False, timing_notes=("one of a batch of 8",)) for row in ROWS
        ]
        table = ranked(tmp_path, suite(rows, 2))
        assert not [name for name in table.shown if "Seconds" in name]
        assert said(table, "one of a batch of 8")

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
        rows.append(SyntheticRun("lbfgs", lr=1.0, epochs=21, options={"memory": 20}))
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
        assert text.startswith("% Needs \\usepackage{booktabs,graphicx,siunitx}.\n")
        assert r"\caption{Odd | names}" in text and r"\toprule" in text

    def test_latex_fits_a_page_and_holds_no_paths(self, tmp_path):
        text = table_module.latex(timing(tmp_path, quick(2)))
        assert "image.png" not in text and r"\resizebox{\textwidth}" in text
        assert r"\num{" not in text or "e" in text

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (None, "—"),
            (math.nan, "—"),
            (math.inf, "infinite"),
            (30.0, "30"),
            (0.12345, "0.1235"),
            (371432.0, "371400"),
            (1.5e7, "1.5e7"),
            (142212345.0, "1.422e8"),
            (2e-6, "2e-6"),
            (0.0, "0"),
            (-0.25, "-0.25"),
        ],
    )
    def test_numbers_are_readable(self, value, text):
        assert number(value) == text


def test_a_run_name_with_markup_stays_text_in_every_file(tmp_path):
    write_run(tmp_path, SyntheticRun(optimizer="<script>", experiment="a|b"))
    runs = reader.read(tmp_path).runs
    table = ranking_tables(rank(compare.groups(runs)[0], 0.02), SETTINGS)[0]
    assert "<script>" in table.shown["Competitor"][0]
    assert "<script>" not in table_module.markdown(table)
