"""The page in a real browser: offline, at a phone's and a screen's width, in light and dark.

Needs a Chromium on the PATH (Debian: `apt-get install chromium`); skips without one on a user's
machine, fails without one in continuous integration.
"""

import json
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from synthetic import SyntheticRun, table1, write_run, write_runs

from nstbench.report.data.reader import read
from nstbench.report.data.settings import load
from nstbench.report.page import page
from nstbench.report.page.section import find, sections
from nstbench.run.schema import Status

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 120_000  # milliseconds: a machine may be busy with other tests
EVIL = "<script>window.pwned = 1</script>"
EVIL_END = "</script><script>window.pwned = 2</script><img src=x onerror='window.pwned=3'>"


def write_page(results: Path) -> Path:
    """A page without printed figures, which have their own test."""
    found, settings = read(results), load()
    findings = find(results, found, settings)
    path = results / "report" / "index.html"
    page.write(path, findings, sections(findings))
    return path


def write_hostile(results: Path, run: SyntheticRun) -> None:
    """`run`, with markup also where a folder's name could not hold it."""
    path = write_run(results, run) / "run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["settings"]["optimizer"] = {"name": EVIL_END, EVIL: EVIL_END}
    record["command"] = [EVIL_END]
    record["machine"] = {"host": EVIL, EVIL: EVIL_END}
    record["timing_notes"] = [EVIL]
    path.write_text(json.dumps(record), encoding="utf-8")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page about the report's table, a diverged run, and runs full of hostile strings."""
    results = tmp_path_factory.mktemp("results")
    runs = [
        *table1(2),
        SyntheticRun("adam", 0.1, 50, frames=(10, 20, 30, 40), size=32),
        SyntheticRun("sgd", 1.0, 50, frames=(10, 20), size=32),
        SyntheticRun("sgd", 100.0, 50, diverged_at=3),
        SyntheticRun("adam", 0.3, status=Status.FAILED, error=EVIL, experiment=EVIL_END),
    ]
    write_runs(results, runs)
    write_hostile(results, SyntheticRun("evil", 0.5, content=EVIL, style=EVIL_END))
    broken = results / "runs" / "a-broken-run"
    broken.mkdir()
    (broken / "run.json").write_text("{", encoding="utf-8")
    return write_page(results)


def test_a_page_without_a_finished_run_says_so(tmp_path):
    write_runs(tmp_path, [SyntheticRun("adam", status=Status.FAILED, error="out of memory")])
    html = write_page(tmp_path).read_text(encoding="utf-8")
    assert "out of memory" in html and "One run of 10 epochs of 5 steps: failed" in html
    for anchor in ("verdicts", "table", "curves", "ranking"):
        assert f'id="{anchor}"' not in html


def test_the_page_names_no_address_outside_itself_but_plotlys_own(tmp_path):
    write_runs(tmp_path, table1(1)[:2])
    html = write_page(tmp_path).read_text(encoding="utf-8")
    from plotly.offline import get_plotlyjs

    assert "://" not in html.replace(get_plotlyjs(), "")


@pytest.fixture(scope="module")
def browser():
    """One Chromium for all tests."""
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        stop = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        stop(f"no {' or '.join(CHROMIUM)} on the PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=ARGUMENTS, timeout=PATIENCE
        )
        yield browser
        browser.close()


@dataclass
class Tab:
    """An open page, what it said on the console, and what it asked the network for."""

    page: object
    width: int
    scheme: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def at(self, script: str):
        return self.page.evaluate(script)

    def plot(self, script: str, plotter: str = "#plotter-curves"):
        """`script` about `plot`, the element that Plotly draws on."""
        return self.at(
            f"(() => {{ const plot = document.querySelector('{plotter} .plot'); "
            f"return {script}; }})()"
        )

    def until(self, script: str, value) -> None:
        """Wait for it here, not in the page, whose security policy forbids eval."""
        last = time.monotonic() + PATIENCE / 1000
        while self.plot(script) != value and time.monotonic() < last:
            self.page.wait_for_timeout(20)
        assert self.plot(script) == value


VIEWS = [(390, "light"), (390, "dark"), (1440, "light"), (1440, "dark")]


@pytest.fixture(scope="module", params=VIEWS, ids=lambda view: f"{view[0]}-{view[1]}")
def tab(request, browser, report):
    """The page at one width and colour scheme, with the network blocked."""
    width, scheme = request.param
    opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened.set_default_timeout(PATIENCE)
    tab = Tab(opened, width, scheme)
    opened.on("console", lambda message: tab.complaints.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: tab.complaints.append(str(error)))
    address = report.as_uri()

    def block(route):
        if route.request.url.split("#")[0] == address:
            route.continue_()
        else:
            tab.requests.append(route.request.url)
            route.abort()

    opened.route("**/*", block)
    opened.goto(address)
    opened.locator(".plot .main-svg").first.wait_for(state="attached")
    yield tab
    assert not tab.complaints  # whatever the tests did to it
    assert not [url for url in tab.requests if not url.startswith(("data:", "blob:"))]
    opened.close()


def test_it_opens_without_a_complaint_or_a_request(tab):
    tab.page.wait_for_timeout(200)
    assert not tab.complaints
    assert not [url for url in tab.requests if not url.startswith(("data:", "blob:"))]


def test_it_fits_the_width_of_the_screen(tab):
    assert tab.at("document.documentElement.scrollWidth") == tab.width


def test_the_verdicts_come_first(tab):
    sections = tab.at("[...document.querySelectorAll('main section')].map(s => s.id)")
    assert sections[:3] == ["verdicts", "table", "curves"]
    assert tab.page.locator("#verdicts .verdict").count() == len(load().claims.claims)


def test_hostile_strings_are_shown_as_text(tab):
    assert tab.at("window.pwned") is None
    assert tab.page.title() == "The report's table of optimizers, measured again"
    text = tab.page.locator("body").inner_text() + tab.at("document.body.textContent")
    assert EVIL in text and EVIL_END in text
    error = tab.page.locator("details.run pre.error").first
    assert error.text_content() == EVIL
    assert tab.page.locator("img[src=x]").count() == 0


def test_the_damaged_run_is_listed(tab):
    assert "a-broken-run: run.json" in tab.page.locator("#runs").inner_text()


def choose(tab, name):
    tab.page.locator("#plotter-curves select").select_option(name)


def test_the_axis_switches_between_epochs_evaluations_and_seconds(tab):
    seen = []
    choose(tab, "figure07")
    for axis in ("seconds", "evaluations", "epochs"):
        tab.page.locator(f"#plotter-curves .axes input[value={axis}]").check()
        seen.append((tab.plot("plot.layout.xaxis.title.text"), tab.plot("plot.data[1].x.at(-1)")))
    assert [title for title, _ in seen] == [
        "seconds of optimisation",
        "evaluations of loss and gradient",
        "epochs",
    ]
    assert seen[1][1] == 250 and seen[2][1] == 50 and 2 < seen[0][1] < 3


def test_both_axes_switch_between_linear_and_logarithmic(tab):
    for name in ("x", "y"):
        box = tab.page.locator(f"#plotter-curves .log-{name}")
        before = box.is_checked()
        assert tab.plot(f"plot.layout.{name}axis.type") == ("log" if before else "linear")
        box.click()
        assert tab.plot(f"plot.layout.{name}axis.type") == ("linear" if before else "log")
        box.click()


def test_the_legend_hides_and_shows_a_run(tab):
    button = tab.page.locator("#plotter-curves .legend:not([hidden]) button").first
    hidden = "plot.data.filter(t => t.meta.series === 0).every(t => t.visible === false)"
    button.click()
    assert tab.plot(hidden) and button.get_attribute("aria-pressed") == "false"
    button.click()
    assert not tab.plot(hidden) and button.get_attribute("aria-pressed") == "true"


def test_every_figure_can_be_chosen(tab):
    choice = tab.page.locator("#plotter-curves select")
    names = tab.at("[...document.querySelectorAll('#plotter-curves option')].map(o => o.value)")
    assert {"figure07", "figure09", "figure10", "figure11"} <= set(names)
    for name in [*names[1:], names[0]]:
        choice.select_option(name)
        shown = tab.page.locator(f"#plotter-curves .legend[data-plot={name}] button").count()
        assert shown and tab.plot("plot.data.length") >= shown


def test_colours_follow_the_scheme(tab):
    bright = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0] > 128"
    for scheme, ink in (("light", "#1b1d20"), ("dark", "#e7e5e0")):
        tab.page.emulate_media(color_scheme=scheme)
        tab.until("plot.layout.font.color", ink)  # the page hears of it a moment later
        assert tab.at(bright) == (scheme == "light")
    tab.page.emulate_media(color_scheme=tab.scheme)


def gallery(tab):
    """The gallery with snapshots, unfolded."""
    tab.at("document.querySelectorAll('details.more').forEach(each => each.open = true)")
    name = tab.at(
        "[...document.querySelectorAll('.gallery')].find(g => "
        "!g.querySelector('.snapshots').hidden).dataset.gallery"
    )
    return tab.page.locator(f".gallery[data-gallery={name}]")


def test_a_slider_moves_between_content_and_result(tab):
    shown = tab.page.locator(".gallery").first
    slider = shown.locator(".cut")
    slider.fill("25")
    assert shown.locator(".compare").evaluate("e => e.style.getPropertyValue('--cut')") == "25%"
    clip = shown.locator(".result").evaluate("e => getComputedStyle(e).clipPath")
    assert clip.endswith("25%)")


def test_a_slider_moves_through_the_snapshots(tab):
    shown = gallery(tab)
    result, slider = shown.locator(".result"), shown.locator(".time")
    last = result.get_attribute("src")
    assert slider.get_attribute("max") == "4"
    assert shown.locator(".moment").inner_text() == "epoch 50"
    slider.fill("0")
    assert shown.locator(".moment").inner_text() == "epoch 10"
    assert result.get_attribute("src") != last
    slider.fill("4")
    assert result.get_attribute("src") == last


def test_choosing_a_result_shows_it(tab):
    shown = tab.page.locator(".gallery").first
    chosen = shown.locator(".strip label").nth(2)
    chosen.click()
    assert shown.locator(".name").inner_text() in chosen.inner_text()
    assert shown.locator(".result").get_attribute("src") == chosen.locator("img").get_attribute(
        "src"
    )


def test_everything_works_by_keyboard(tab):
    keys = tab.page.keyboard
    tab.page.locator("#plotter-curves .axes input:checked").focus()
    before = tab.plot("plot.layout.xaxis.title.text")
    keys.press("ArrowRight")
    assert tab.plot("plot.layout.xaxis.title.text") != before
    keys.press("ArrowLeft")
    keys.press("Tab")
    assert tab.at("document.activeElement.className") == "log-x"
    keys.press("Space")
    assert tab.plot("plot.layout.xaxis.type") == "log"
    keys.press("Space")
    button = tab.page.locator("#plotter-curves .legend:not([hidden]) button").first
    button.focus()
    for state in ("false", "true"):
        keys.press("Enter")
        assert button.get_attribute("aria-pressed") == state
    slider = tab.page.locator(".gallery .cut").first
    slider.fill("50")
    slider.focus()
    keys.press("ArrowRight")
    assert slider.input_value() == "51"
    run = tab.page.locator("details.run").first
    run.locator("summary").focus()
    keys.press("Enter")
    assert run.get_attribute("open") is not None
    keys.press("Enter")


def test_what_has_the_focus_can_be_seen(tab):
    tab.page.locator("nav a").first.focus()
    tab.page.keyboard.press("Tab")
    outline = "getComputedStyle(document.activeElement)"
    assert tab.at(f"{outline}.outlineStyle") == "solid"
    assert tab.at(f"{outline}.outlineWidth") == "3px"


def test_a_run_shows_its_settings_machine_clocks_and_command(tab):
    run = tab.page.locator("details.run", has_text="table1_01_adam").first
    text = run.evaluate("e => e.textContent")
    for fact in ("optimizer.name", "compile_s", "Synthetic CPU", "steps_per_epoch"):
        assert fact in text
    assert run.locator("pre").first.text_content().startswith("python -m nstbench optimizer=adam")


def test_losses_of_one_pair_are_said_to_hold_for_it_alone(tab):
    assert "says nothing of others" in tab.page.locator("#verdicts > .lede").inner_text()


def test_two_results_stand_under_one_slider(tab):
    shown = tab.page.locator(".gallery").first
    content = shown.locator(".other").get_attribute("src")
    shown.locator("select.left").select_option("1")
    second = shown.locator(".strip img").nth(1).get_attribute("src")
    assert shown.locator(".other").get_attribute("src") == second != content
    assert "Row 2" in shown.locator(".slider .start").first.inner_text()
    shown.locator("select.left").select_option("")
    assert shown.locator(".other").get_attribute("src") == content


def test_none_all_and_only_this_one(tab):
    choose(tab, "figure10")
    legend = tab.page.locator("#plotter-curves .legend:not([hidden])")
    seen = "plot.data.filter(t => t.visible !== false).length"
    legend.locator("[data-show=none]").click()
    assert tab.plot(seen) == 0
    legend.locator("[data-show=all]").click()
    whole = tab.plot(seen)
    legend.locator("[data-series='1']").dblclick()
    assert 0 < tab.plot(seen) < whole
    legend.locator("[data-show=all]").click()
    choose(tab, "figure07")


def test_a_table_sorts_by_a_press_on_a_columns_head(tab):
    table = tab.page.locator("#table table").first
    column = table.locator("thead th").all_inner_texts().index("Final loss")
    head = table.locator("thead th").nth(column)
    for sort in ("ascending", "descending"):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == sort
        texts = table.locator("tbody tr").evaluate_all(
            "(rows, at) => rows.map(row => row.cells[at].textContent.trim())", column
        )
        known = [float(text) for text in texts if text[:1].isdigit()]
        assert known == sorted(known, reverse=sort == "descending") and len(known) > 5
    table.locator("thead th").first.locator("button").click()


def test_tables_link_to_their_files(tab):
    links = tab.page.locator("#table .files a").evaluate_all(
        "all => all.map(a => a.getAttribute('href'))"
    )
    assert links[:3] == ["tables/timing.csv", "tables/timing.md", "tables/timing.tex"]


def test_what_is_shown_lives_in_the_address_and_comes_back(tab, report):
    choose(tab, "figure09")
    tab.page.locator("#plotter-curves .axes input[value=seconds]").check()
    tab.page.locator("#plotter-curves .legend:not([hidden]) [data-series='1']").click()
    address = tab.page.url
    assert "plot=figure09" in address and "over=seconds" in address and "hide=1" in address
    tab.page.goto("about:blank")
    tab.page.goto(address)
    tab.page.locator("#plotter-curves .main-svg").first.wait_for(state="attached")
    assert tab.page.locator("#plotter-curves select").input_value() == "figure09"
    assert tab.plot("plot.layout.xaxis.title.text") == "seconds of optimisation"
    assert tab.plot("plot.data.filter(t => t.meta.series === 1).every(t => t.visible === false)")
    choose(tab, "figure07")


def test_the_distance_to_the_lowest_loss_is_positive_and_named(tab):
    choose(tab, "figure07")
    box = tab.page.locator("#plotter-curves .distance")
    box.check()
    assert tab.plot("plot.layout.yaxis.title.text") == "loss above the lowest"
    assert tab.plot("plot.data.flatMap(t => t.y).every(y => y === null || y > 0)")
    box.uncheck()
