"""Several pairs of pictures: the report's answer is about all of them."""

from dataclasses import replace

import browsing
import pytest
from browsing import write_page
from synthetic import SyntheticRun, write_runs

from nstbench.report.data import reader, settings
from nstbench.report.judge.answer import answer_over, headline_over
from nstbench.report.judge.over_pairs import over_pairs
from nstbench.report.tables.over_pairs import over_pairs_tables

SETTINGS = settings.load()
CONTENTS = ("cat", "coffee", "rocket", "retina", "moon")
ROWS = {  # speed by optimizer and rate: L-BFGS and Adam 0.1 take turns, RMSprop always follows
    ("adam", 0.02): (0.1, 0.1),
    ("adam", 0.1): (0.40, 0.50),
    ("lbfgs", 1.0): (0.50, 0.40),
    ("rmsprop", 0.02): (0.05, 0.05),
}


def runs_on(contents):
    return [
        SyntheticRun(name, lr, 20, content=content, speed=speeds[place % 2], start_loss=4e6 + place)
        for place, content in enumerate(contents)
        for (name, lr), speeds in ROWS.items()
    ]


def judged(results, runs):
    write_runs(results, runs)
    return over_pairs(reader.read(results).runs, SETTINGS.claims)


def test_who_comes_lowest_over_the_pairs_leads_with_whom_no_bound_tells_apart(tmp_path):
    pairs = judged(tmp_path, runs_on(CONTENTS))
    assert [entry.competitor.label for entry in pairs.leading] == ["L-BFGS 1", "Adam 0.1"]
    assert headline_over(pairs) == (
        "L-BFGS 1 reaches the lowest losses of 3 optimizers over 5 pairs of pictures"
    )
    told = answer_over(pairs)
    assert told.startswith("Of 3 optimizers on 5 pairs of pictures, 16 x 16, L-BFGS 1 comes lowest")
    assert "on 3 of them" in told and "L-BFGS 1 and Adam 0.1." in told
    assert "Adam's best rate is 0.1 of 2 tried" in told


def test_a_multiple_of_the_lowest_is_the_mean_over_pairs_and_the_files_hold_each(tmp_path):
    best, every = over_pairs_tables(judged(tmp_path, runs_on(CONTENTS)), 0.95)
    assert best.shown["Competitor"].tolist() == ["L-BFGS 1", "Adam 0.1", "RMSprop 0.02"]
    assert every.shown["Rank"].tolist() == ["1", "2", "3", "4"] and best.strong == (0, 1)
    loss = {speed: 0.02 + 0.98 / (1 + 99 * speed) for speed in (0.05, 0.4, 0.5)}
    row = best.frame.set_index("competitor").loc["Adam 0.1"]
    assert row["multiple"] == pytest.approx((loss[0.4] / loss[0.5]) ** (3 / 5), rel=1e-6)
    assert row["lowest_on"] == 2 and row["to_first_low"] < 1 < row["to_first_high"]
    assert row["loss, coffee in the style of waves"] == pytest.approx(4000001 * loss[0.5])


def test_one_that_is_lowest_everywhere_by_far_leads_alone(tmp_path):
    runs = [run for run in runs_on(CONTENTS) if run.optimizer != "lbfgs"]
    told = answer_over(judged(tmp_path, runs))
    assert "on every one of them. Every other one is shown to end higher." in told


def test_two_pairs_tell_nobody_apart(tmp_path):
    told = answer_over(judged(tmp_path, runs_on(CONTENTS[:2])))
    assert "2 pairs are too few to say" in told and "Leading group" not in told


def test_who_diverges_on_a_pair_is_last_and_leads_nothing(tmp_path):
    runs = runs_on(CONTENTS)
    place = next(n for n, run in enumerate(runs) if run.optimizer == "lbfgs")
    runs[place] = replace(runs[place], diverged_at=3)
    pairs = judged(tmp_path, runs)
    assert pairs.entries[-1].competitor.label == "L-BFGS 1" and not pairs.entries[-1].is_leading
    best, _ = over_pairs_tables(pairs, 0.95)
    assert best.shown["Multiple of the lowest"].tolist()[-1] == "diverged"


def test_who_was_not_run_on_all_pairs_is_left_out_and_named(tmp_path):
    pairs = judged(tmp_path, [*runs_on(CONTENTS), SyntheticRun("lion", epochs=20, content="cat")])
    assert pairs.left_out == ["Lion 0.02"]
    assert over_pairs_tables(pairs, 0.95)[0].notes == [
        "Left out, because not run on all pairs: Lion 0.02."
    ]


@pytest.mark.parametrize("contents", [CONTENTS[:1], ()])
def test_one_pair_has_no_ranking_over_pairs(tmp_path, contents):
    assert judged(tmp_path, runs_on(contents)) is None


def test_a_second_pair_with_few_of_the_optimizers_does_not_take_the_page(tmp_path):
    more = [SyntheticRun(name, lr, 20, content="moon") for name, lr in list(ROWS)[:2]]
    others = [SyntheticRun(name, epochs=20, content="cat") for name in ("sgd", "lion", "nadam")]
    write_runs(tmp_path, [*runs_on(CONTENTS[:1]), *others, *more])
    html = write_page(tmp_path).read_text(encoding="utf-8")
    assert "of 6 optimizers</h1>" in html and "over 2 pairs" not in html
    assert "Ranked further below: 1 other problem." in html


@pytest.mark.browser
def test_the_first_screen_is_about_all_pairs(browser, tmp_path):
    write_runs(tmp_path, runs_on(CONTENTS))
    for tab in browsing.opened(browser, write_page(tmp_path), 390, "light"):
        assert "over 5 pairs of pictures" in tab.page.title()
        assert "on 5 pairs of pictures" in tab.page.locator("header .lede").inner_text()
        first = tab.page.locator("#ranking table").first
        assert first.locator("tbody tr").count() == 3
        assert "★" in first.locator("tbody tr").nth(1).inner_text()
