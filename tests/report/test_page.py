"""Tests report.html, also as a browser shows it."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import vl_convert

from tests import needs
from tests.report import runs
from toolkit.records import store
from toolkit.records.schema import VERSION
from toolkit.report import page
from toolkit.report.summary import summarize

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
LIMIT = 2_000_000
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def rendered(rows: tuple[runs.Row, ...], shape: runs.Shape | None = None) -> str:
    return page.render(summarize(*runs.make(rows, shape)))


def record(text: str) -> dict[str, object]:
    """The record that the page offers as a download."""
    packed = re.search(r'href="data:application/gzip;base64,([^"]+)"', text)
    assert packed
    unpacked: dict[str, object] = json.loads(gzip.decompress(base64.b64decode(packed[1])))
    return unpacked


def test_the_same_run_gives_the_same_page() -> None:
    assert rendered(runs.MIXED) == rendered(runs.MIXED)


def test_the_code_of_vega_in_the_package_is_what_vl_convert_bundles() -> None:
    assert page.library() == page.bundled(vl_convert.get_vega_version())


def test_the_code_of_another_vega_is_bundled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "asset", lambda name: f"{page.notice('0.1.0')}not this")

    assert page.library.__wrapped__() == page.library()


def test_the_page_names_nothing_on_a_network() -> None:
    text = rendered(runs.MIXED).replace(page.library(), "")
    assert re.findall(r"https?://[\w.]+", text) == ["https://vega.github.io"] * text.count(
        "https://vega.github.io"
    )
    assert not re.search(r"<(link|img|iframe|object|embed)\b|@import|url\(", text)


def test_the_record_is_in_the_page() -> None:
    run, samples = runs.make(runs.MIXED)
    assert record(page.render(summarize(run, samples))) == json.loads(store.encode(run))


@pytest.mark.parametrize("batches", [(1,), (1, 4, 16, 64)], ids=["one case", "four cases"])
def test_seventeen_targets_and_eighty_process_starts_stay_under_two_megabytes(
    batches: tuple[int, ...],
) -> None:
    text = rendered(runs.many(), runs.Shape(starts=80, rounds=20, calls=5, batches=batches))
    assert len(text.encode()) < LIMIT
    assert record(text)["version"] == VERSION


def test_a_hostile_name_is_nowhere_markup() -> None:
    rows = (replace(runs.TWO[0], label=HOSTILE), runs.TWO[1])
    text = rendered(rows, runs.Shape(model=HOSTILE))
    assert "<script>document" not in text
    assert "<img" not in text


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        needs.absent("no Chromium here: none of " + ", ".join(CHROMIUM))
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages that the browser opens."""
    folder = tmp_path_factory.mktemp("pages")
    hostile = (replace(runs.TWO[0], label=HOSTILE), runs.TWO[1])
    pages = {
        "mixed": rendered(runs.MIXED, runs.Shape(warnings=(runs.EARLY,))),
        "hostile": rendered(hostile, runs.Shape(model=HOSTILE)),
        "sweep": rendered(runs.SWEEP, runs.Shape(batches=(1, 8))),
        "many": rendered(runs.many(), runs.Shape(starts=80, calls=5)),
    }
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return folder


def opened(browser: Browser, file: Path, *, width: int = 1100, scheme: str = "light") -> Page:
    """The page with its plots drawn. What it logs and asks for stands in `seen`."""
    tab = browser.new_page(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    seen: list[str] = []
    tab.on("console", lambda message: seen.append(message.text))
    tab.on("pageerror", lambda error: seen.append(str(error)))
    tab.on("request", lambda request: seen.append(request.url))
    tab.goto(file.as_uri())
    tab.wait_for_function(
        "document.querySelectorAll('.plot svg.marks').length"
        " === document.querySelectorAll('.plot').length"
    )
    assert seen == [file.as_uri()]
    return tab


@pytest.mark.browser
@pytest.mark.parametrize(("name", "plots"), [("mixed", 7), ("sweep", 10), ("many", 6)])
def test_every_plot_is_drawn_without_an_error_and_without_a_network(
    browser: Browser, files: Path, name: str, plots: int
) -> None:
    tab = opened(browser, files / f"{name}.html")
    counts = tab.eval_on_selector_all(
        ".plot",
        "all => all.map(plot => plot.querySelectorAll('.role-mark path, .role-mark line').length)",
    )
    assert len(counts) == plots
    assert min(counts) >= 2
    tab.close()


@pytest.mark.browser
def test_the_table_says_what_the_terminal_says(browser: Browser, files: Path) -> None:
    tab = opened(browser, files / "mixed.html")
    rows = tab.eval_on_selector_all(
        "table.main tbody tr", "all => all.map(row => row.cells[0].dataset.value)"
    )
    assert rows == [row.target.name for row in summarize(*runs.make(runs.MIXED)).tables[0].rows]
    assert tab.inner_text(".verdict.wrong") == "wrong"
    assert "6.2" in tab.inner_text(".detail")
    tab.close()


@pytest.mark.browser
def test_a_click_sorts_within_the_parts_of_the_table(browser: Browser, files: Path) -> None:
    tab = opened(browser, files / "mixed.html")
    names = "all => all.map(row => row.cells[0].dataset.value)"
    tab.click("table.main th button >> text=p50")
    tab.click("table.main th button >> text=p50")
    assert tab.eval_on_selector_all("tbody.ranked tr", names) == [
        "torch cpu",
        "onnxruntime cpu",
        "onnxruntime cpu, bound",
    ]
    assert tab.get_attribute("table.main th:nth-child(2)", "aria-sort") == "descending"
    last = tab.eval_on_selector_all("table.main tbody tr", names)[-1]
    assert last == "onnxruntime cuda"
    tab.close()


@pytest.mark.browser
def test_pointing_at_a_mark_gives_its_numbers(browser: Browser, files: Path) -> None:
    tab = opened(browser, files / "mixed.html")
    mark = tab.locator("#plot-ratios-batch-1 .mark-symbol path").first
    mark.scroll_into_view_if_needed()
    mark.hover(force=True)
    tab.wait_for_selector("#tip:not([hidden])")
    assert "× faster (" in tab.inner_text("#tip")
    tab.close()


@pytest.mark.browser
def test_the_page_forbids_itself_every_request(browser: Browser, files: Path) -> None:
    tab = opened(browser, files / "mixed.html")
    refused = tab.evaluate(
        """() => new Promise(resolve => {
            document.addEventListener("securitypolicyviolation", e => resolve(e.violatedDirective));
            new Image().src = "http://127.0.0.1:9/";
        })"""
    )
    assert refused == "img-src"
    tab.close()


@pytest.mark.browser
def test_a_hostile_name_stays_text_in_the_browser(browser: Browser, files: Path) -> None:
    tab = opened(browser, files / "hostile.html")
    assert tab.inner_text("h1") == HOSTILE
    assert tab.title().startswith(HOSTILE)
    assert tab.locator("main img, main script, .plot script").count() == 0
    tab.close()


@pytest.mark.browser
@pytest.mark.parametrize("name", ["mixed", "many", "hostile"])
def test_a_phone_needs_no_sideways_scrolling(browser: Browser, files: Path, name: str) -> None:
    tab = opened(browser, files / f"{name}.html", width=360)
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    assert tab.evaluate("document.querySelector('table.main').offsetWidth") <= 360
    tab.close()


@pytest.mark.browser
def test_the_page_and_its_plots_follow_the_readers_light_or_dark(
    browser: Browser, files: Path
) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        tab = opened(browser, files / "mixed.html", scheme=scheme)
        seen[scheme] = tab.evaluate(
            "[getComputedStyle(document.body).backgroundColor,"
            " getComputedStyle(document.querySelector('.plot .role-axis-label text')).fill]"
        )
        tab.close()
    assert seen["light"][0] == "rgb(255, 255, 255)"
    assert seen["dark"][0] == "rgb(20, 23, 27)"
    assert seen["light"][1] != seen["dark"][1]


@pytest.mark.browser
def test_the_page_is_printed_on_three_sheets(browser: Browser, files: Path) -> None:
    tab = opened(browser, files / "mixed.html", scheme="dark")
    pdf = tab.pdf(prefer_css_page_size=True)
    tab.close()
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 3
