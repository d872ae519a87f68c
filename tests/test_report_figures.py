"""The report's figures: which runs stand together, what they look like, and that both renderers
show the same numbers."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import SyntheticRun, suite, table1, write_runs

from nstbench.notation import short
from nstbench.report import build
from nstbench.report.data.presets import Preset
from nstbench.report.data.reader import read
from nstbench.report.data.settings import load
from nstbench.report.figures import (
    boxes,
    curves,
    draw,
    interactive,
    looks,
    picture_sheets,
    plots,
)
from nstbench.report.figures.curves import finished
from nstbench.report.figures.ratios import ratios_of_time
from nstbench.report.judge.ranking import rank
from nstbench.report.judge.verdicts import judge
from nstbench.report.page.section import find, sections

SETTINGS = load()
CONF = Path(__file__).parents[1] / "conf"
FIGURES = SETTINGS.figures


def runs_of(tmp_path, *runs):
    write_runs(tmp_path, runs)
    found = read(tmp_path)
    assert not found.damaged
    return found.runs


def with_figure08(repeats=2):
    extra = SyntheticRun("adam", 0.1, 50, experiment="figure08_adam")
    return [*table1(repeats), *(replace(extra, repeat=repeat) for repeat in range(repeats))]


# Looks


KNOWN = SETTINGS.presets


def test_every_optimizer_of_conf_has_a_look_of_its_own():
    assert len(KNOWN) >= 14
    made = looks.assign(KNOWN)
    assert made.keys() == KNOWN.keys()
    assert len({(look.colour, look.marker) for look in made.values()}) == len(made)
    for a in made.values():
        for b in made.values():
            assert a is b or a.colour != b.colour or a.dash != b.dash or a.marker != b.marker


def test_a_colour_of_ones_own_is_kept_and_unknown_optimizers_take_the_next_free_look():
    mine = {f"mine {n}": Preset(f"mine {n}") for n in range(30)}
    mine["mine 3"] = Preset("mine", colour="#123456")
    made = looks.assign({"adam": KNOWN["adam"], **mine})
    assert made["mine 3"].colour == "#123456"
    assert len({(look.colour, look.marker) for look in made.values()}) == len(made)
    for look in made.values():
        assert look.plotly_marker and look.linestyle and looks.marker_points(look.marker)
    assert looks.assign({"adam": KNOWN["adam"]})["adam"] == made["adam"]


def test_several_rates_are_shades_of_one_colour_on_either_paper():
    look = looks.assign({"adam": KNOWN["adam"]})["adam"]
    shades = [look.shade(n, 4) for n in range(4)]
    assert shades[0] == look
    assert len({each.colour for each in shades}) == len({each.on_dark for each in shades}) == 4
    brightness = [int(each.colour[1:3], 16) for each in shades]
    assert brightness == sorted(brightness)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.02, "0.02"), (1e-5, "1e-5"), (500, "500"), (2500, "2500"), (20000, "20000"), (2e6, "2e6")],
)
def test_numbers_on_axes_are_short(value, text):
    assert short(value) == text


# Curves of repeats


def test_one_run_is_its_own_curve_without_a_band():
    curve = plots.summarise([(np.array([1.0, 2, 3]), np.array([9.0, 4, 1]))])
    assert (curve.x, curve.y, curve.low, curve.high) == ([1, 2, 3], [9, 4, 1], None, None)


def test_repeats_are_compared_at_equal_x_and_only_where_all_are():
    fast = (np.array([1.0, 2, 3]), np.array([30.0, 20, 10]))
    slow = (np.array([2.0, 4, 6]), np.array([30.0, 20, 10]))
    curve = plots.summarise([fast, slow])
    assert curve.x == [2, 3]
    assert curve.low == [20, 10] and curve.high == [30, 25]
    assert curve.y == [25, 17.5]


def test_a_diverged_repeat_ends_its_curve_and_nothing_finite_is_no_curve():
    x = np.array([1.0, 2, 3])
    curve = plots.summarise([(x, np.array([3.0, 2, np.nan])), (x, np.array([3.0, 2, 1]))])
    assert curve.x == [1, 2]
    assert plots.summarise([(x, np.full(3, np.nan))]) is None


def test_long_curves_are_thinned_but_keep_both_ends():
    x = plots.thin(np.arange(1.0, 4001))
    assert len(x) <= plots.MOST_POINTS and x[0] == 1 and x[-1] == 4000
    assert (np.diff(x) > 0).all()


# Which runs stand together


def test_all_five_figures_of_the_report_are_drawn_over_three_axes(tmp_path):
    made = curves.listed_figures(runs_of(tmp_path, *with_figure08()), FIGURES)
    shown = {plot.name: {series.label for series in plot.series} for plot in made}
    assert shown == {
        "figure07": {"Adam 0.02", "Adagrad 0.02"},
        "figure08": {"Adam 0.1", "Adagrad 0.1"},
        "figure09": {"Adam 0.02", "Adagrad 0.02", "RMSprop 0.02"},
        "figure10": {"Adam 0.02", "Adagrad 0.02", "RMSprop 0.02"},
        "figure11": {"Adam 0.02", "Adagrad 0.02", "RMSprop 0.001"},
    }
    for plot in made:
        assert list(plot.x) == ["evaluations", "epochs", "seconds"]
        assert all(series.curves.keys() == plot.x.keys() for series in plot.series)
    lengths = [plot.series[0].curves["epochs"].x[-1] for plot in made]
    assert lengths == [50, 50, 100, 500, 500]


def test_a_figure_that_lacks_a_run_is_skipped(tmp_path):
    made = curves.listed_figures(runs_of(tmp_path, *table1(1)), FIGURES)
    assert [plot.name for plot in made] == ["figure07", "figure09", "figure10", "figure11"]


def test_runs_that_were_altered_make_no_figure_of_the_reports(tmp_path):
    small = [replace(run, epochs=max(run.epochs // 50, 1)) for run in with_figure08(1)]
    assert curves.listed_figures(runs_of(tmp_path, *small), FIGURES) == []


def test_runs_of_different_problems_never_share_a_plot(tmp_path):
    runs = [SyntheticRun("adam"), SyntheticRun("sgd"), SyntheticRun("lbfgs", content="boat")]
    made = curves.all_curves(runs_of(tmp_path, *runs))
    assert [{s.optimizer for s in plot.series} for plot in made] == [{"adam", "sgd"}, {"lbfgs"}]


def test_seconds_of_another_machine_are_left_out_and_said_to_be(tmp_path):
    runs = [
        SyntheticRun("adam"),
        SyntheticRun("sgd"),
        SyntheticRun("lion", host="elsewhere"),
    ]
    [plot] = curves.all_curves(runs_of(tmp_path, *runs))
    over = {s.optimizer: set(s.curves) for s in plot.series}
    assert over["adam"] == over["sgd"] == {"epochs", "evaluations", "seconds"}
    assert over["lion"] == {"epochs", "evaluations"}
    assert "Without seconds of their own" in " ".join(plot.notes)


def test_disturbed_or_batched_seconds_are_never_drawn(tmp_path):
    slow = SyntheticRun("adam", slowness=9, timing_valid=False, repeat=1)
    [plot] = curves.all_curves(runs_of(tmp_path, SyntheticRun("adam"), slow))
    [series] = plot.series
    assert series.curves["seconds"].low is None and series.curves["epochs"].low is not None
    assert not plot.notes
    [plot] = curves.all_curves(runs_of(tmp_path / "other", slow))
    assert "seconds" not in plot.x and not plot.notes


def test_an_early_end_is_shown_beside_the_name(tmp_path):
    [plot] = curves.all_curves(runs_of(tmp_path, SyntheticRun("adam", finished_early="converged")))
    assert plot.series[0].name == "Adam 0.02 (stopped by itself)"


def test_a_second_rate_of_one_optimizer_keeps_its_colour_and_changes_its_variant(tmp_path):
    runs = runs_of(tmp_path, SyntheticRun("adam", 0.02), SyntheticRun("adam", 0.1))
    [plot] = curves.all_curves(runs)
    variants = [(s.optimizer, s.variant, s.variants) for s in plot.series]
    assert variants == [("adam", 0, 2), ("adam", 1, 2)]


def test_sensitivity_shows_divergence_at_a_level_of_its_own(tmp_path):
    rates = [SyntheticRun("sgd", lr, start_loss=1e6 / lr) for lr in (0.1, 1.0)]
    worst = SyntheticRun("sgd", 10.0, diverged_at=3)
    [plot] = curves.sensitivity(runs_of(tmp_path, *rates, worst))
    [series] = plot.series
    curve = series.curves["rate"]
    assert curve.x == [0.1, 1, 10]
    assert curve.y[2] == pytest.approx(plot.levels[0].value) and curve.y[2] > max(curve.y[:2])
    assert plot.levels[0].label == "diverged" and series.ending == "diverged"


def test_rates_are_compared_at_equal_evaluations(tmp_path):
    runs = [SyntheticRun("adam", 0.02, 10), SyntheticRun("adam", 0.1, 50)]
    [plot] = curves.sensitivity(runs_of(tmp_path, *runs))
    first, second = plot.series[0].curves["rate"].y
    assert first == second and plot.y == "lowest loss within 50 evaluations"


def test_without_two_rates_there_is_no_sensitivity(tmp_path):
    assert curves.sensitivity(runs_of(tmp_path, SyntheticRun("adam"))) == []


def test_the_race_takes_each_optimizers_best_rate_and_marks_the_targets(tmp_path):
    runs = [
        SyntheticRun("adam", 0.02, speed=0.01),
        SyntheticRun("adam", 0.1, speed=0.1),
        SyntheticRun("sgd", 1.0),
    ]
    [plot] = curves.races(curves.rankings(runs_of(tmp_path, *runs), 0.02), SETTINGS.targets)
    assert {series.label for series in plot.series} == {"Adam 0.1", "SGD 1"}
    assert len(plot.levels) == len(SETTINGS.targets.shares)


def test_the_same_figure_of_two_problems_says_of_which_it_is(tmp_path):
    runs = runs_of(tmp_path, SyntheticRun("adam"), SyntheticRun("adam", content="boat"))
    problems = [plot.problem for plot in curves.all_curves(runs)]
    assert len(set(problems)) == 2 and any("boat" in problem for problem in problems)


def test_only_the_largest_problems_get_figures(tmp_path):
    runs = runs_of(tmp_path, *(SyntheticRun(content=f"picture {n}") for n in range(14)))
    assert len(curves.all_curves(runs)) == curves.MOST_PROBLEMS


def test_runs_without_a_finite_loss_have_no_curve_and_break_nothing(tmp_path):
    worst = [SyntheticRun("sgd", lr, diverged_at=1) for lr in (1.0, 10.0)]
    write_runs(tmp_path, worst)
    build.build(tmp_path, read(tmp_path), SETTINGS)
    figures = tmp_path / "report" / "figures"
    assert (figures / "contact_group1.png").is_file() and not list(figures.glob("loss_*"))


# Sheets of pictures


def test_the_contact_sheet_follows_the_reports_table(tmp_path):
    runs = runs_of(tmp_path, SyntheticRun("lbfgs", 1.0), *table1(2))
    [gallery] = picture_sheets.galleries(runs, SETTINGS.table)
    captions = [cell.caption.split("\n")[0] for cell in picture_sheets.contact_sheet(gallery).cells]
    assert captions[:4] == ["content", "style", "Row 1: Adam 0.02", "Row 2: Adagrad 0.02"]
    assert captions[-2:] == ["Row 10: RMSprop 0.001", "L-BFGS 1"] and len(captions) == 13


def test_systems_share_one_sheet_whatever_their_pictures(tmp_path):
    systems = [
        SyntheticRun("lbfgs", 1.0, experiment="gatys_paper"),
        SyntheticRun("adam", experiment="tf_tutorial"),
        SyntheticRun("adam", experiment="sketch_colouring", content="sketch", style="glass"),
    ]
    runs = runs_of(tmp_path, *systems, *table1(1))
    [sheet] = picture_sheets.systems_sheet(runs, SETTINGS.table)
    captions = [cell.caption.split("\n")[0] for cell in sheet.cells]
    assert captions[:4] == ["content: portrait", "content: sketch", "style: glass", "style: waves"]
    assert sorted(captions[4:]) == ["gatys_paper", "sketch_colouring", "tf_tutorial"]
    rows = [
        run for run in runs if not (run.experiment or "").endswith(("paper", "tutorial", "ing"))
    ]
    assert picture_sheets.systems_sheet(rows, SETTINGS.table) == []


def test_every_style_of_a_run_is_among_its_inputs(tmp_path):
    [run] = runs_of(tmp_path, SyntheticRun("adam"))
    two = run.record.model_copy(update={"style": [*run.record.style, *run.record.style]})
    cells = picture_sheets.inputs(replace(run, record=two))
    assert [cell.caption for cell in cells] == ["content", "style", "style 2"]
    assert [cell.path.name for cell in cells] == ["content.png", "style.png", "style_2.png"]


def test_side_by_side_shows_what_each_had_after_the_same_seconds(tmp_path):
    fast = SyntheticRun("adam", frames=(2, 4, 6, 8))
    slow = SyntheticRun("sgd", frames=(2, 4, 6, 8), slowness=2)
    [sheet] = picture_sheets.equal_time(runs_of(tmp_path, fast, slow))
    assert sheet.columns == len(picture_sheets.SHARES_OF_TIME)
    epochs = [cell.caption.split("\n")[1] for cell in sheet.cells]
    # One epoch of the fast one takes 0.05 s, of the slow one 0.1 s; they share 0.5 s.
    none = "no snapshot by then"
    assert epochs[:4] == [none, "epoch 2", "epoch 4", "epoch 10"]
    assert epochs[4:] == [none, none, "epoch 2", "epoch 4"]


def test_without_snapshots_no_strip_is_made(tmp_path):
    runs = runs_of(tmp_path, SyntheticRun("adam"))
    assert picture_sheets.filmstrips(runs) == picture_sheets.equal_time(runs) == []


def test_disturbed_runs_are_not_put_side_by_side_at_equal_seconds(tmp_path):
    runs = [SyntheticRun(name, frames=(2, 4), timing_valid=False) for name in ("adam", "sgd")]
    assert picture_sheets.equal_time(runs_of(tmp_path, *runs)) == []


def test_a_filmstrip_has_few_frames_and_ends_with_the_result(tmp_path):
    runs = runs_of(tmp_path, SyntheticRun("adam", epochs=30, frames=tuple(range(1, 30))))
    [strip] = picture_sheets.filmstrips(runs)
    assert len(strip.cells) == picture_sheets.MOST_FRAMES
    assert strip.cells[-1].path.name == "image.png"


def test_a_picture_that_cannot_be_read_leaves_its_place_empty(tmp_path):
    [run] = runs_of(tmp_path, SyntheticRun("adam"))
    (run.path / "image.png").write_bytes(b"no picture")
    [gallery] = picture_sheets.galleries([run], SETTINGS.table)
    with looks.print_style():
        drawn = draw.draw_sheet(picture_sheets.contact_sheet(gallery))
    assert [len(axes.images) for axes in drawn.axes] == [1, 1, 0]


# Drawing


def looks_of(runs):
    return looks.assign({run.method: run.preset for run in runs})


def test_print_and_page_show_the_same_numbers_in_the_same_style(tmp_path):
    runs = runs_of(tmp_path, *table1(2)[:3], SyntheticRun("sgd", 1.0))
    own, [plot] = looks_of(runs), curves.all_curves(runs)
    for axis in plot.x:
        with looks.print_style():
            lines = draw.draw(plot, axis, own).axes[0].lines
        traces = [t for t in interactive.plotly(plot, own)["traces"][axis] if "marker" in t]
        drawn = [series for series in plot.series if axis in series.curves]
        assert len(lines) == len(traces) == len(drawn)
        for line, trace, series in zip(lines, traces, drawn, strict=True):
            look = own[series.optimizer].shade(series.variant, series.variants)
            assert list(line.get_xdata()) == trace["x"] and list(line.get_ydata()) == trace["y"]
            assert line.get_color() == trace["line"]["color"] == look.colour
            assert line.get_marker() == look.marker
            assert trace["marker"]["symbol"].startswith(look.plotly_marker)


def test_plotly_accepts_every_figure(tmp_path):
    from plotly.graph_objects import Figure

    rates = [SyntheticRun("sgd", lr, 50, diverged_at=9 if lr > 1 else None) for lr in (0.1, 9.0)]
    write_runs(tmp_path, [*with_figure08(3), *rates])
    findings = find(tmp_path, read(tmp_path), SETTINGS)
    shown = sections(findings)
    made = [interactive.plotly(plot, findings.looks) for each in shown for plot in each.plots]
    assert len(made) >= 9 and {"ratios", "repeats_group1"} <= {plot["name"] for plot in made}
    for plot in made:
        for axis, traces in plot["traces"].items():
            assert Figure(data=traces).data, axis


def test_figures_are_written_for_print_and_twice_the_same(tmp_path):
    write_runs(tmp_path, [*with_figure08(2)[:2], SyntheticRun("sgd", 1.0, frames=(2, 4))])
    made = []
    for _ in range(2):
        build.build(tmp_path, read(tmp_path), SETTINGS, axes=("seconds",))
        files = sorted((tmp_path / "report" / "figures").iterdir())
        made.append({path.name: path.read_bytes() for path in files})
    assert {"figure07_seconds.png", "figure07_seconds.svg", "figure07_seconds.pdf"} <= set(made[0])
    assert not [name for name in made[0] if "epochs" in name]
    assert made[0] == made[1]


def test_a_dollar_in_a_name_is_no_formula(tmp_path):
    [plot] = curves.all_curves(runs_of(tmp_path, SyntheticRun("a$b$c^d_{"), SyntheticRun("adam")))
    own = looks.assign({"a$b$c^d_{": Preset("x"), "adam": KNOWN["adam"]})
    with looks.print_style():
        draw.save(draw.draw(plot, "epochs", own), tmp_path / "figure")
    assert (tmp_path / "figure.png").is_file()


# Repeats


def test_repeats_show_what_differs_between_them_and_nothing_else(tmp_path):
    runs = runs_of(tmp_path, *suite([SyntheticRun("adam"), SyntheticRun("sgd", 1.0)], 4))
    [drawn] = boxes.repeats(rank(finished(runs)[0], 0.02))
    assert list(drawn.x) == ["seconds"]  # these losses are the same in every repeat
    for line in drawn.lines:
        own = [run for run in runs if run.method == line.optimizer]
        seconds = [run.record.clocks.optimise_s / run.evaluations for run in own]
        assert sorted(line.values["seconds"]) == pytest.approx(sorted(seconds), rel=1e-5)
    with looks.print_style():
        paths = draw.save_plot(drawn, tmp_path, looks_of(runs))
    assert [path.name for path in paths] == [f"repeats_group1.{kind}" for kind in draw.FORMATS]


def test_repeats_that_were_disturbed_have_no_seconds(tmp_path):
    rows = [SyntheticRun(name, timing_valid=False) for name in ("adam", "sgd")]
    ranking = rank(finished(runs_of(tmp_path, *suite(rows, 4)))[0], 0.02)
    assert boxes.repeats(ranking) == []


def test_printed_curves_end_at_the_common_budget(tmp_path):
    rows = [SyntheticRun("adam"), SyntheticRun("sgd"), SyntheticRun("lion")]
    runs = runs_of(tmp_path, *rows, SyntheticRun("lbfgs", 1.0, evaluations_per_step=3))
    [plot] = curves.all_curves(runs)
    with looks.print_style():
        right = {axis: draw.draw(plot, axis, looks_of(runs)).axes[0].get_xlim()[1]
                 for axis in ("evaluations", "seconds")}  # fmt: skip
    assert plot.budget == 50 <= right["evaluations"] < 60
    longest = max(series.curves["seconds"].x[-1] for series in plot.series)
    assert right["seconds"] >= longest


def test_a_long_caption_is_wrapped_within_its_picture(tmp_path):
    cells = tuple(
        picture_sheets.SheetCell(f"mylab.optim.experimental.Mine {n}\n100 epochs, loss 1.234e8")
        for n in range(6)
    )
    drawn = draw.draw_sheet(picture_sheets.Sheet("sheet", "Sheet", cells, 6))
    drawn.canvas.draw()
    boxes_of = [axes.texts[0].get_window_extent() for axes in drawn.axes]
    for left, right in itertools.pairwise(boxes_of):
        assert left.x1 < right.x0


# Ratios


def ratios(runs):
    return ratios_of_time(judge(SETTINGS, runs), SETTINGS)


def test_ratios_are_those_of_the_verdicts_and_the_report(tmp_path):
    made = ratios(runs_of(tmp_path, *table1(6, effects={"rmsprop": 1.05})))
    by_label = {ratio.label: ratio for ratio in made.ratios}
    slower = by_label["RMSprop 0.02 / Adam 0.02, 100 epochs"]
    assert slower.low < 1.05 < slower.high
    assert slower.reported == pytest.approx(57.2 / 58.0)
    assert not [label for label in by_label if "500 epochs / " in label]


def test_one_repeat_has_a_ratio_but_no_interval(tmp_path):
    made = ratios(runs_of(tmp_path, *table1(1)))
    assert all(ratio.measured and ratio.low is None for ratio in made.ratios)
    with looks.print_style():
        assert draw.draw_ratios(made).axes
