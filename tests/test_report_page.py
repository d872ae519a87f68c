"""The page in a real browser: offline, at a phone's and a screen's width, in light and dark."""

import json
import re
from pathlib import Path

import browsing
import pytest
from browsing import write_page
from synthetic import SyntheticRun, table1, write_run, write_runs

from nstbench.report.data.settings import load
from nstbench.run.schema import Status

EVIL = "<script>window.pwned = 1</script>"
EVIL_END = "</script><script>window.pwned = 2</script><img src=x onerror='window.pwned=3'>"


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
        SyntheticRun("sgd", 10.0, 50, speed=-0.001),
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


VIEWS = [
    (390, "dark"),
    (1440, "light"),
    pytest.param((390, "light"), marks=pytest.mark.browser),
    pytest.param((1440, "dark"), marks=pytest.mark.browser),
]


@pytest.fixture(scope="module", params=VIEWS, ids=lambda view: f"{view[0]}-{view[1]}")
def tab(request, browser, report):
    """The page at one width and colour scheme, with the network blocked."""
    yield from browsing.opened(browser, report, *request.param)


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


def test_what_the_report_is_stands_before_its_sentences(tab):
    section = tab.page.locator("#verdicts")
    assert "the report, observation 1" in section.inner_text()
    lede = tab.page.locator("#verdicts > .lede")
    assert "The report is what this project began with" in lede.inner_text()


def open_runs(tab):
    tab.at("document.querySelectorAll('#runs details').forEach(each => each.open = true)")
    tab.page.locator("#runs .inside").last.wait_for(state="attached")


def test_hostile_strings_are_shown_as_text(tab):
    open_runs(tab)
    assert tab.at("window.pwned") is None
    assert tab.page.title() == "The report's table of optimizers, measured again"
    text = tab.at("document.getElementById('runs').textContent")
    assert EVIL in text and EVIL_END in text
    error = tab.page.locator("details.run pre.error").first
    assert error.text_content() == EVIL
    assert tab.page.locator("img[src=x]").count() == 0


def test_the_damaged_run_is_listed(tab):
    assert "a-broken-run: run.json" in tab.page.locator("#runs").inner_text()


def legend(tab):
    return tab.page.locator("#plotter-curves .legend:not([hidden])")


def choose(tab, name):
    tab.page.locator("#plotter-curves select[name=figure]").select_option(name)


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
        box = tab.page.locator(f"#plotter-curves [name=log{name.upper()}]")
        before = box.is_checked()
        assert tab.plot(f"plot.layout.{name}axis.type") == ("log" if before else "linear")
        box.click()
        assert tab.plot(f"plot.layout.{name}axis.type") == ("linear" if before else "log")
        box.click()


def test_the_legend_hides_and_shows_a_run(tab):
    button = legend(tab).locator("[data-series]").first
    hidden = "plot.data.filter(t => t.meta.series === 0).every(t => t.visible === false)"
    button.click()
    assert tab.plot(hidden) and button.get_attribute("aria-pressed") == "false"
    button.click()
    assert not tab.plot(hidden) and button.get_attribute("aria-pressed") == "true"


def test_every_figure_can_be_chosen(tab):
    choice = tab.page.locator("#plotter-curves select[name=figure]")
    names = choice.locator("option").evaluate_all("all => all.map(each => each.value)")
    assert {"figure07", "figure09", "figure10", "figure11"} <= set(names)
    for name in [*names[1:], names[0]]:
        choice.select_option(name)
        shown = legend(tab).locator("[data-series]").count()
        assert shown and tab.plot("plot.data.length") >= shown


def test_colours_follow_the_scheme(tab):
    bright = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0] > 128"
    for scheme, ink in (("light", "#1b1d20"), ("dark", "#e7e5e0")):
        tab.page.emulate_media(color_scheme=scheme)
        tab.until("plot.layout.font.color", ink)  # the page hears of it a moment later
        assert tab.at(bright) == (scheme == "light")
    tab.page.emulate_media(color_scheme=tab.scheme)


def picture(tab, image):
    """What an <img> shows as soon as it comes into sight."""
    return tab.at(
        "JSON.parse(document.getElementById('data').textContent).pictures"
        f"[{image.get_attribute('data-picture')}]"
    )


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
    assert shown.locator(".result").get_attribute("src") == picture(tab, chosen.locator("img"))


def test_everything_works_by_keyboard(tab):
    keys = tab.page.keyboard
    tab.page.locator("#plotter-curves .axes input:checked").focus()
    before = tab.plot("plot.layout.xaxis.title.text")
    keys.press("ArrowRight")
    assert tab.plot("plot.layout.xaxis.title.text") != before
    keys.press("ArrowLeft")
    keys.press("Tab")
    assert tab.at("document.activeElement.name") == "logX"
    keys.press("Space")
    assert tab.plot("plot.layout.xaxis.type") == "log"
    keys.press("Space")
    button = legend(tab).locator("[data-series]").first
    button.focus()
    for state in ("false", "true"):
        keys.press("Enter")
        assert button.get_attribute("aria-pressed") == state
    slider = tab.page.locator(".gallery .cut").first
    slider.fill("50")
    slider.focus()
    keys.press("ArrowRight")
    assert slider.input_value() == "51"
    run = tab.page.locator("#runs details").first
    before = run.get_attribute("open")
    run.locator("summary").first.focus()
    keys.press("Enter")
    assert run.get_attribute("open") != before
    keys.press("Enter")


def test_what_has_the_focus_can_be_seen(tab):
    tab.page.locator("nav a").first.focus()
    tab.page.keyboard.press("Tab")
    outline = "getComputedStyle(document.activeElement)"
    assert tab.at(f"{outline}.outlineStyle") == "solid"
    assert tab.at(f"{outline}.outlineWidth") == "3px"


def test_a_run_shows_its_settings_machine_clocks_and_command(tab):
    open_runs(tab)
    run = tab.page.locator("details.run", has_text="table1_01_adam").first
    text = run.evaluate("e => e.textContent")
    for fact in ("optimizer.name", "compile_s", "Synthetic CPU", "steps_per_epoch"):
        assert fact in text
    assert run.locator("pre").first.text_content().startswith("python -m nstbench optimizer=adam")


def test_a_run_that_ends_above_its_start_has_a_mark_that_says_so(tab):
    mark = tab.page.locator("details.run .is-rose")
    assert mark.count() == 1 and "above its start" in mark.get_attribute("title")


def test_losses_of_one_pair_are_said_to_hold_for_it_alone(tab):
    assert "says nothing of others" in tab.page.locator("#verdicts > .lede").inner_text()


def test_two_results_stand_under_one_slider(tab):
    shown = tab.page.locator(".gallery").first
    content = shown.locator(".other").get_attribute("src")
    shown.locator("select.left").select_option(label="Row 2: Adagrad 0.02")
    second = picture(tab, shown.locator(".strip img").nth(1))
    assert shown.locator(".other").get_attribute("src") == second != content
    assert "Row 2" in shown.locator(".slider .start").first.inner_text()
    elsewhere = shown.locator("select.left optgroup").nth(1).locator("option").first
    shown.locator("select.left").select_option(elsewhere.get_attribute("value"))
    assert shown.locator(".other").get_attribute("src") not in (content, second)
    assert "left=" in tab.page.url
    shown.locator("select.left").select_option("")
    assert shown.locator(".other").get_attribute("src") == content


def test_none_all_and_only_this_one(tab):
    choose(tab, "figure10")
    seen = "plot.data.filter(t => t.visible !== false).length"
    legend(tab).locator("[data-do=none]").click()
    assert tab.plot(seen) == 0
    legend(tab).locator("[data-do=all]").click()
    whole = tab.plot(seen)
    legend(tab).locator("[data-do=only]").nth(1).click()
    assert 0 < tab.plot(seen) < whole
    legend(tab).locator("[data-do=all]").click()
    assert tab.plot(seen) == whole
    choose(tab, "figure07")


def shown_labels(tab):
    return tab.plot("[...new Set(plot.data.filter(t => t.visible !== false && "
                    "t.meta.series >= 0).map(t => t.name.split(', band')[0]))].sort()")  # fmt: skip


def test_curves_are_filtered_by_optimizer_rate_and_words(tab):
    field = {name: tab.page.locator(f"#plotter-curves [name={name}]") for name in FILTERS}
    choose(tab, "loss_group1")
    everyone = shown_labels(tab)
    field["family"].select_option("RMSprop")
    assert shown_labels(tab) == ["RMSprop 0.001", "RMSprop 0.02"] != everyone
    field["rate"].select_option("0.001")
    assert shown_labels(tab) == ["RMSprop 0.001"]
    assert "family=RMSprop" in tab.page.url and "rate=0.001" in tab.page.url
    for name in ("family", "rate"):
        field[name].select_option("")
    assert shown_labels(tab) == everyone
    choose(tab, "figure07")


FILTERS = ("family", "rate", "find")


def test_the_figures_of_several_pairs_are_told_apart_by_their_pictures(tab):
    choose(tab, "loss_group1")
    pair = tab.page.locator("#plotter-curves [name=pair]")
    labels = pair.locator("option").all_inner_texts()
    assert len(labels) == len(set(labels)) > 1
    pair.select_option("loss_group2")
    assert legend(tab).get_attribute("data-plot") == "loss_group2"
    choose(tab, "figure07")


def test_zoom_outlives_a_click_and_is_taken_back(tab):
    choose(tab, "figure07")
    wide = tab.plot("plot.layout.xaxis.range")
    tab.page.locator("#plotter-curves .plot").scroll_into_view_if_needed()
    plot = tab.page.locator("#plotter-curves .plot .nsewdrag").bounding_box()
    for share, act in ((0.3, "down"), (0.6, "up")):
        tab.page.mouse.move(plot["x"] + share * plot["width"], plot["y"] + share * plot["height"])
        getattr(tab.page.mouse, act)()
    tab.until("plot.layout.xaxis.autorange", False)
    zoomed = tab.plot("plot.layout.xaxis.range")
    assert wide[0] < zoomed[0] < zoomed[1] < wide[1]
    entry = legend(tab).locator("[data-series]").first
    entry.click()
    assert tab.plot("plot.layout.xaxis.range") == zoomed and "xaxis=" in tab.page.url
    entry.click()
    tab.page.locator("#plotter-curves [data-do=reset]").click()
    assert tab.plot("plot.layout.xaxis.range") == wide


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_figure_is_saved(tab, kind):
    with tab.page.expect_download() as saved:
        tab.page.locator(f"#plotter-curves [data-do={kind}]").click()
    name = saved.value.suggested_filename
    assert name.startswith("figure07_") and name.endswith(f".{kind}")
    begin = Path(saved.value.path()).read_bytes()[:4]
    assert begin == {"png": b"\x89PNG", "svg": b"<svg"}[kind]


def test_runs_are_found_by_words(tab):
    field = tab.page.locator("#runs input[type=search]")
    field.fill("adagrad 0.1")
    seen = "document.querySelectorAll('#runs details.run:not([hidden])').length"
    assert tab.at(seen) == 2 and "2 of " in tab.page.locator("#runs output").inner_text()
    field.fill("")
    assert tab.at(seen) > 20


def test_the_rows_of_a_table_are_filtered_by_words(tab):
    field = tab.page.locator("#table .filter input").first
    field.fill("rmsprop 2500")
    rows = tab.page.locator("#table table").first.locator("tbody tr")
    assert sum(rows.nth(n).is_visible() for n in range(rows.count())) == 2
    field.fill("")


def test_what_a_row_is_stays_in_sight_while_the_table_scrolls(tab):
    scroll = tab.page.locator("#table .scroll").first
    before = scroll.locator("td.stuck-1").first.bounding_box()["x"]
    scroll.evaluate("each => each.scrollLeft = 60")
    scrolled = scroll.evaluate("each => each.scrollLeft")
    after = scroll.locator("td.stuck-1").first.bounding_box()["x"]
    assert after == pytest.approx(before, abs=1) and scrolled == (60 if tab.width == 390 else 0)
    scroll.evaluate("each => each.scrollLeft = 0")


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
        numbers = (re.match(r"[\d.]+(e-?\d+)?", text) for text in texts)  # a mark may follow
        known = [float(number[0]) for number in numbers if number]
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
    legend(tab).locator("[data-series='1']").click()
    address = tab.page.url
    assert "plot=figure09" in address and "over=seconds" in address and "hide=1" in address
    tab.page.goto("about:blank")
    tab.page.goto(address)
    tab.page.locator("#plotter-curves .main-svg").first.wait_for(state="attached")
    assert tab.page.locator("#plotter-curves [name=figure]").input_value() == "figure09"
    assert tab.plot("plot.layout.xaxis.title.text") == "seconds of optimisation"
    assert tab.plot("plot.data.filter(t => t.meta.series === 1).every(t => t.visible === false)")
    choose(tab, "figure07")


def test_the_distance_to_the_lowest_loss_is_positive_and_named(tab):
    choose(tab, "figure07")
    box = tab.page.locator("#plotter-curves [name=distance]")
    box.check()
    assert tab.plot("plot.layout.yaxis.title.text") == "loss above the lowest"
    assert tab.plot("plot.data.flatMap(t => t.y).every(y => y === null || y > 0)")
    box.uncheck()
