"""A real Chromium for the tests of the page: offline, and listening to what the page says."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

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


def write_page(results: Path) -> Path:
    """A page without printed figures, which have their own test."""
    from nstbench.report.data.reader import read
    from nstbench.report.data.settings import load
    from nstbench.report.page import page
    from nstbench.report.page.section import find, sections

    found, settings = read(results), load()
    findings = find(results, found, settings)
    path = results / "report" / "index.html"
    page.write(path, findings, sections(findings))
    return path


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


def opened(browser, path: Path, width: int, scheme: str) -> Iterator[Tab]:
    """The page at `path`, the network blocked; at the end it must have had no complaint."""
    shown = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    shown.set_default_timeout(PATIENCE)
    tab = Tab(shown, width, scheme)
    shown.on("console", lambda message: tab.complaints.append(f"{message.type}: {message.text}"))
    shown.on("pageerror", lambda error: tab.complaints.append(str(error)))
    address = path.as_uri()

    def block(route):
        if route.request.url.split("#")[0] == address:
            route.continue_()
        else:
            tab.requests.append(route.request.url)
            route.abort()

    shown.route("**/*", block)
    shown.goto(address)
    assert not tab.complaints  # else what is waited for below never comes
    shown.locator(".plot .main-svg").first.wait_for(state="attached")
    yield tab
    assert not tab.complaints  # whatever the tests did to it
    assert not [url for url in tab.requests if not url.startswith(("data:", "blob:"))]
    shown.close()
