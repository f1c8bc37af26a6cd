"""The deployed page, as a person uses it: drawn on with the mouse and by keyboard, and typed into.

Slow: npm fetches what the page holds. Nothing here waits for a JavaScript function: the page's own
policy forbids the eval with which Playwright repeats it.
"""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import needs
from tests.command import until
from tests.deployment.test_destinations import words
from tests.report.test_page import QUIET
from toolkit.deployment import chromium, served
from toolkit.pipelines.deploy import deploy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.browser]

MLP = Path(__file__).parents[2] / "models" / "mlp" / "mlp.onnx"
ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
Points = list[tuple[float, float]]

ONE: list[Points] = [[(0.5, 0.15), (0.5, 0.85)]]
SEVEN: list[Points] = [[(0.25, 0.2), (0.75, 0.2), (0.45, 0.85)]]
ZERO: list[Points] = [
    [(0.5 + 0.2 * math.sin(t / 3.2), 0.5 - 0.33 * math.cos(t / 3.2)) for t in range(21)]
]
EIGHT: list[Points] = [
    [(0.5, 0.5), (0.33, 0.32), (0.5, 0.15), (0.67, 0.32), (0.5, 0.5), (0.3, 0.68), (0.5, 0.86),
     (0.7, 0.68), (0.5, 0.5)]
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next((found for name in chromium.NAMES if (found := shutil.which(name))), None)
    if path is None:
        needs.absent("no Chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield launched
        launched.close()


def deployed(model: Path, out: Path) -> Path:
    needs.program("npm")
    (done,) = deploy(model, ["web"], out)
    assert done.proven, done.proof.what
    assert done.folder is not None
    return done.folder


@pytest.fixture(scope="module")
def digits(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return deployed(MLP, tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def plain(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a model with two inputs, of integers and booleans."""
    folder = tmp_path_factory.mktemp("words")
    return deployed(words(folder), folder / "out")


@contextmanager
def opened(
    browser: Browser,
    folder: Path,
    *,
    width: int = 1100,
    scheme: str = "light",
    isolated: bool = False,
) -> Iterator[Page]:
    """The page with its model loaded. At the end: no complaint, and nothing asked of others."""
    seen: list[str] = []
    asked: list[str] = []
    with served.folder(folder, ISOLATED if isolated else {}) as address:
        page = browser.new_page(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        page.on("console", lambda message: seen.append(message.text))
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        until(lambda: bool(page.evaluate("'client' in globalThis")))
        page.evaluate("client.ready")
        yield page
        page.close()
    assert seen == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def draw(page: Page, strokes: list[Points]) -> None:
    page.click("#clear")
    box = page.locator("#pad").bounding_box()
    assert box is not None
    for stroke in strokes:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for x, y in places[1:]:
            page.mouse.move(x, y, steps=5)
        page.mouse.up()


@pytest.mark.parametrize("width", [1100, 360])
@pytest.mark.parametrize(
    ("strokes", "answer"),
    [
        (ONE, "Odd, and less than five: 1 or 3."),
        (SEVEN, "Odd, and five or more: 5, 7 or 9."),
        (ZERO, "Even, and less than five: 0, 2 or 4."),
        (EIGHT, "Even, and five or more: 6 or 8."),
    ],
    ids=["one", "seven", "zero", "eight"],
)
def test_a_drawn_digit_is_read(
    browser: Browser, digits: Path, strokes: list[Points], answer: str, width: int
) -> None:
    with opened(browser, digits, width=width) as page:
        draw(page, strokes)

        until(lambda: page.inner_text("#reading") == answer)
        until(lambda: " ms a call" in page.inner_text("#digit-latency"))
        shares = page.locator("[role=meter]").evaluate_all("all => all.map(m => +m.ariaValueNow)")
        assert [share > 50 for share in shares] == ["Odd" in answer, "five or more" in answer]


def test_a_digit_is_drawn_by_keyboard(browser: Browser, digits: Path) -> None:
    with opened(browser, digits) as page:
        page.focus("#pad")
        page.keyboard.press(" ")
        for _ in range(12):
            page.keyboard.press("ArrowDown")
        page.keyboard.press(" ")

        until(lambda: page.inner_text("#reading") == "Odd, and less than five: 1 or 3.")
        page.keyboard.press("Escape")
        until(lambda: page.inner_text("#reading").startswith("Draw"))


def test_what_is_drawn_becomes_the_input(browser: Browser, digits: Path) -> None:
    """Scaled to its frame: a line fills all eight rows, wherever it was drawn."""
    with opened(browser, digits) as page:
        draw(page, [[(0.2, 0.5), (0.2, 0.8)]])
        until(lambda: " ms a call" in page.inner_text("#digit-latency"))

        values = [float(v) for v in page.input_value("textarea").replace("\n", ",").split(",")]
        rows = [values[8 * row : 8 * row + 8] for row in range(8)]
        assert len(values) == 64
        assert all(0 <= value <= 1 for value in values)
        assert [max(row) > 0.25 for row in rows] == [True] * 8
        assert all(row[:3] == row[:2:-1][:3] == [0, 0, 0] for row in rows)


def test_test_data_is_loaded_run_and_compared(browser: Browser, plain: Path) -> None:
    with opened(browser, plain) as page:
        assert page.locator("#digits").is_hidden()
        assert page.inner_text("h1") == "Run words"
        page.click("text=Test data 2")

        page.wait_for_selector("text=Largest difference from the expected outputs")
        assert page.locator("#outputs h3").all_inner_texts()[1].startswith("best int64[")
        assert "ms" in page.inner_text("#latency")


def test_inputs_can_be_typed(browser: Browser, plain: Path) -> None:
    with opened(browser, plain) as page:
        for number, values in enumerate(("1, 2, 3", "1 0 1")):
            page.locator("fieldset input:not([type=file])").nth(number).fill("1 x 3")
            page.locator("textarea").nth(number).fill(values)
        page.click("#run")

        page.wait_for_selector("#outputs h3")
        assert page.locator("#outputs h3").first.inner_text() == "scores float32[1, 3]"
        assert page.inner_text("#fault") == ""


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ("1, 2", "ids: 2 values, the shape 1 × 3 has 3"),
        ("1, 2, three", "ids: three is no whole number"),
    ],
    ids=["too few", "no number"],
)
def test_what_is_typed_wrongly_is_said(
    browser: Browser, plain: Path, values: str, fault: str
) -> None:
    with opened(browser, plain) as page:
        page.locator("fieldset input:not([type=file])").first.fill("1 x 3")
        page.locator("textarea").first.fill(values)
        page.click("#run")

        page.wait_for_selector(f"text={fault}")
        assert page.locator("#outputs > *").count() == 0


def test_an_isolated_page_uses_threads_and_another_says_what_it_needs(
    browser: Browser, digits: Path
) -> None:
    with opened(browser, digits) as page:
        assert page.inner_text("#machine").endswith("WebAssembly, 1 thread.")
        assert "Cross-Origin-Embedder-Policy: require-corp" in page.inner_text("#isolation")
    with opened(browser, digits, isolated=True) as page:
        assert page.locator("#isolation").is_hidden()
        threads = min(4, page.evaluate("navigator.hardwareConcurrency"))
        assert f" {threads} thread" in page.inner_text("#machine")
        draw(page, ONE)
        until(lambda: page.inner_text("#reading").startswith("Odd"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_telephone(browser: Browser, digits: Path, scheme: str) -> None:
    with opened(browser, digits, width=360, scheme=scheme) as page:
        page.click("text=Test data 3")
        page.wait_for_selector("#outputs h3")

        assert page.evaluate("document.documentElement.scrollWidth") == 360
        sizes = page.locator("button").evaluate_all("all => all.map(b => b.offsetHeight)")
        assert min(sizes) >= 44
        styles = page.evaluate(
            "(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))"
        )
        ink, paper = (int(re.findall(r"\d+", style)[0]) for style in styles)
        assert (ink < paper) is (scheme == "light")
