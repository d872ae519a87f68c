"""The four kinds of page: of the report's table, of a sweep, of one run, of a benchmark; each by
its first screen in a browser. And a page of a thousand runs, which must stay quick and light."""

import base64
import io
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

import browsing
import pytest
from browsing import write_page
from PIL import Image
from synthetic import SyntheticRun, suite, table1, write_runs

from nstbench.errors import SettingsError
from nstbench.report.data import scores
from nstbench.report.figures import scored
from nstbench.report.page import scored as words
from nstbench.report.page.embed import Album

CONF = Path(__file__).parents[1] / "conf"
RATES = (0.002, 0.006, 0.02, 0.06, 0.2, 0.6, 2.0)
METHODS = ("adam", "adagrad", "rmsprop", "sgd", "lion", "nadam", "adamax", "adamw", "ftrl")


def write_sweep(results: Path) -> None:
    """Four optimizers at three rates, three repeats; L-BFGS makes twice the evaluations."""
    rows = [
        SyntheticRun(name, lr, 20, speed=speed * lr, extra_settings={"init": "noise"})
        for name, speed in (("adam", 9.0), ("adagrad", 2.0), ("rmsprop", 7.0))
        for lr in RATES[1:4]
    ]
    rows.append(SyntheticRun("lbfgs", 1.0, 20, evaluations_per_step=2, speed=0.9))
    write_runs(results, suite(rows, 3))


def write_benchmark(results: Path) -> None:
    """The frozen reference set of `tiny` as its scores, and some of the runs."""
    document = json.loads((CONF / "benchmark" / "tiny.reference.json").read_text())
    document.pop("terms")
    results.mkdir(parents=True, exist_ok=True)
    (results / "scores.json").write_text(json.dumps(document))
    of_pair = {"content": "coffee", "style": "glass", "size": 32}
    runs = [SyntheticRun(name, epochs=6, repeat=1, **of_pair) for name in ("adam", "lbfgs")]
    write_runs(results, [*runs, SyntheticRun("adam", 0.1, content="cat", style="geometric")])


KINDS = {
    "table": lambda results: write_runs(results, table1(3)),
    "sweep": write_sweep,
    "single": lambda results: write_runs(results, [SyntheticRun("adam", frames=(2, 4), size=48)]),
    "benchmark": write_benchmark,
}
TITLES = {
    "table": "The report's table of optimizers, measured again",
    "sweep": "reaches the lowest loss of 4 optimizers",
    "single": "Adam 0.02: portrait in the style of waves",
    "benchmark": "benchmark tiny",
}
SECTIONS = {
    "table": ["verdicts", "table", "curves", "ranking", "rates", "repeats", "pictures", "runs"],
    "sweep": ["curves", "ranking", "rates", "repeats", "pictures", "table", "runs"],
    "single": ["pictures", "curves", "runs"],
    "benchmark": ["score", "reached", "progress", "tuning", "pictures", "runs"],
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """One page of each kind."""
    made = {}
    for kind, write in KINDS.items():
        results = tmp_path_factory.mktemp(kind)
        write(results)
        made[kind] = write_page(results)
    return made


# Without a browser


def test_a_benchmark_is_read_as_it_was_written(tmp_path):
    write_benchmark(tmp_path)
    found = scores.read(tmp_path)
    assert list(found.optimizers)[0] == found.leaders[0]
    plot = scored.ecdf(found)
    low, high = found.benchmark.bounds
    for series, own in zip(plot.series, found.optimizers.values(), strict=True):
        curve = series.curves["evaluations"]
        heights, logs = curve.y, [*map(float, curve.x)]
        width = (high / low) ** (1 / (len(logs) - 1))
        area = sum(heights[:-1]) / (len(heights) - 1)  # evenly spaced in the logarithm
        assert width > 1 and area == pytest.approx(own.score, abs=0.02)
    assert {plot.name for plot in scored.best_of_k(found) + scored.rates(found)} == {
        "best_of_k",
        "loss_against_rate",
    }


def test_a_newcomer_stands_before_the_frozen_reference_set(tmp_path):
    write_benchmark(tmp_path)
    document = json.loads((tmp_path / "scores.json").read_text())
    first, *rest = document["optimizers"]
    document["optimizers"] = {first: document["optimizers"][first]}
    document["leaders"] = [first]
    (tmp_path / "scores.json").write_text(json.dumps(document))
    newcomer = scores.read(tmp_path)
    plot = scored.ecdf(newcomer)
    assert [series.family for series in plot.series[:-1]] == ["reference set"] * len(rest)
    label = newcomer.optimizers[first].label
    assert words.headline(newcomer) == f"{label} on benchmark tiny"  # alone, it leads nobody
    assert f"It takes place 1 beside {len(rest)} of the reference set" in words.answer(newcomer)


@pytest.mark.parametrize("text", ["{", '{"format": 1}', "[]"])
def test_scores_that_cannot_be_read_are_one_line(tmp_path, text):
    (tmp_path / "scores.json").write_text(text)
    with pytest.raises(SettingsError, match=r"scores\.json cannot be read") as error:
        scores.read(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("pictures", "side"), [(2, 300), (400, 111)])
def test_pictures_share_the_room_that_a_page_has(tmp_path, pictures, side):
    Image.effect_noise((300, 200), 60).convert("RGB").save(tmp_path / "one.png")
    paths = [tmp_path / "one.png", tmp_path / "none.png"]
    for number in range(pictures - 1):
        path = tmp_path / f"{number}.png"
        path.symlink_to(paths[0])
        paths.append(path)
    album = Album([*paths, *paths])
    assert len(album.pictures) == pictures and album.place(paths[1]) is None
    encoded = album.pictures[album.place(paths[-1])].split(",")[1]
    shown = Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert max(shown.size) == pytest.approx(side, abs=8)


# In a browser


VIEWS = [(390, "light"), (390, "dark"), (1440, "light"), (1440, "dark")]


@pytest.mark.browser
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: f"{view[0]}-{view[1]}")
@pytest.mark.parametrize("kind", KINDS)
def test_the_first_screen_answers(browser, pages, kind, view):
    for tab in browsing.opened(browser, pages[kind], *view):
        assert TITLES[kind] in tab.page.title()
        anchors = tab.at("[...document.querySelectorAll('main section')].map(s => s.id)")
        assert anchors == [name for name in SECTIONS[kind] if name in anchors]
        assert {"table": {"verdicts"}, "single": {"pictures"}}.get(kind, {anchors[0]}) == {
            anchors[0]
        }
        assert tab.at("document.documentElement.scrollWidth") == tab.width
        lede = tab.page.locator("header .lede").bounding_box()
        assert lede["y"] + lede["height"] < 900  # on the first screen
        first = tab.page.locator("main section h2").first.bounding_box()
        assert first["y"] < 900
        overlaps = tab.at(
            "[...document.querySelectorAll('main table, main .plot, main h2')]"
            ".filter(e => e.offsetParent && e.getBoundingClientRect().left < 0).length"
        )
        assert overlaps == 0


@pytest.mark.browser
def test_curves_end_at_the_common_budget_until_it_is_lifted(browser, pages):
    for tab in browsing.opened(browser, pages["sweep"], 1440, "light"):
        longest = "Math.max(...plot.data.filter(t => t.meta.series >= 0).flatMap(t => t.x))"
        assert tab.plot(longest) == 100
        ends = "plot.data.map(t => t.x.at(-1))"
        assert set(tab.plot(ends, "#plotter-ranking")) == {100}  # steps hold on to the end
        tab.page.locator("#plotter-curves [name=budget]").uncheck()
        assert tab.plot(longest) == 200 and "budget=0" in tab.page.url


@pytest.mark.browser
def test_the_leading_group_is_marked(browser, pages):
    for kind in ("sweep", "benchmark"):
        for tab in browsing.opened(browser, pages[kind], 1440, "light"):
            rows = tab.page.locator("main table").first.locator("tbody tr")
            assert "★" in rows.first.inner_text() and "★" not in rows.last.inner_text()


@pytest.mark.browser
def test_a_page_prints_light_and_no_wider_than_paper(browser, pages, tmp_path):
    for tab in browsing.opened(browser, pages["sweep"], 1440, "dark"):
        tab.at("dispatchEvent(new Event('beforeprint'))")
        assert (
            tab.plot("plot.clientWidth > 0 && plot.querySelector('.main-svg').clientWidth") == 680
        )
        assert tab.plot("plot.layout.font.color") == "#1b1d20"
        shown = "document.querySelectorAll('img[data-picture]:not([src])').length"
        assert tab.at(shown) == 0
        tab.at("dispatchEvent(new Event('afterprint'))")
        assert tab.plot("plot.layout.font.color") == "#e7e5e0"


# A thousand runs


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """Nine optimizers at seven rates on four pairs, four repeats: 1,008 runs, and its page."""
    results = tmp_path_factory.mktemp("thousand")
    rows = [
        SyntheticRun(name, lr, 40, content=f"picture {n}", size=64, speed=0.5 * lr)
        for n in range(4)
        for name in METHODS
        for lr in RATES
    ]
    rows = [replace(row, frames=(10, 20)) if row.lr == 0.02 else row for row in rows]
    write_runs(results, suite(rows, 4))
    began = time.monotonic()
    path = write_page(results)
    return path, time.monotonic() - began


@pytest.mark.browser
def test_a_thousand_runs_are_read_and_built_in_a_minute_and_weigh_little(thousand):
    path, seconds = thousand
    assert seconds < 60
    assert path.stat().st_size < 15e6


CLICKS = {
    "a curve": "#plotter-curves .legend:not([hidden]) [data-series='3']",
    "none": "#plotter-curves .legend:not([hidden]) [data-do=none]",
    "all": "#plotter-curves .legend:not([hidden]) [data-do=all]",
    "a column": "#ranking thead th:nth-child(3) button",
    "a group of runs": "#runs details.fold:last-of-type > summary",
}


@pytest.mark.browser
def test_a_click_among_a_thousand_runs_takes_less_than_half_a_second(browser, thousand):
    for tab in browsing.opened(browser, thousand[0], 1440, "light"):
        tab.page.locator("#plotter-curves select[name=figure]").select_option("loss_group1")
        for name, where in CLICKS.items():
            tab.page.locator(where).first.scroll_into_view_if_needed()
            took = [
                tab.at(
                    f"(async () => {{ const began = performance.now(); "
                    f'document.querySelector("{where}").click(); '
                    "await new Promise(done => requestAnimationFrame(() => setTimeout(done))); "
                    "return performance.now() - began; })()"
                )
                for _ in range(3)
            ]
            assert statistics.median(took) < 500, (name, took)
        began = time.monotonic()
        tab.page.locator("#runs input[type=search]").fill("adamax 0.02")
        assert tab.at("document.querySelectorAll('#runs details.run:not([hidden])').length") == 16
        assert time.monotonic() - began < 1
