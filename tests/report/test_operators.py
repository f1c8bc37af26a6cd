"""The page of `toolkit conformance` says each result in words, and takes no name for markup."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.report.test_page import HOSTILE, browser
from toolkit.operatortests.outcome import OperatorOutcome
from toolkit.report import operators

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser"]

RIGHT = OperatorOutcome("test_relu", "Relu", 14, "oracle", "1.23", "1.23", "right")
CAST = replace(RIGHT, case="test_cast", operator="Cast", inputs="x:float32[3,4]")
OUTCOMES = [
    RIGHT,
    replace(RIGHT, target="ort:cpu", version="2", verdict="bfloat16"),
    replace(CAST, result="refused", reason="no float8"),
    replace(CAST, target="ort:cpu", version="2", result="wrong", reason="y: its shape is [3]"),
    replace(CAST, target="ov:cpu", version="3", result="crashed", reason="it died"),
    replace(CAST, case="test_seq", operator="SequenceAt", result="left out"),
]


def test_every_result_is_told_in_words() -> None:
    text = operators.render(OUTCOMES)

    for told in ("right 1", "less precise 1", "wrong 1", "refused 1", "crashed 1", "left out 1",
                 "not run 1"):  # fmt: skip
        assert f"</svg>{told}</span>" in text
    assert "3 tests of 3 operators from onnx 1.23, on 3 targets" in text
    assert "its shape is [3]" in text
    assert '<td class="number">1 of 3</td>' in text  # The tests that a target was run on.
    assert "x:float32[3,4]" in text
    assert "its precision: bfloat16" in text
    assert "Not named yet: no float8" in text


def test_the_same_outcomes_give_the_same_page_and_it_asks_for_nothing() -> None:
    text = operators.render(OUTCOMES)

    assert text == operators.render(OUTCOMES)
    assert "http" not in text.replace("http-equiv", "")
    assert "url(" not in text


def test_a_hostile_outcome_is_nowhere_markup() -> None:
    bad = replace(CAST, case=HOSTILE, operator=HOSTILE, target=HOSTILE, version=HOSTILE,
                  onnx=HOSTILE, result="wrong", reason=HOSTILE, inputs=HOSTILE)  # fmt: skip
    oracle = replace(bad, target="oracle")

    for outcomes in ([bad], [oracle], [replace(bad, result="right", verdict=HOSTILE)]):
        text = operators.render([*OUTCOMES, *outcomes])
        assert "<script>document" not in text
        assert "<img" not in text


def test_where_nothing_fails_that_is_said() -> None:
    text = operators.render([RIGHT])

    assert "Every test that was run is right." in text
    assert "exceptions" not in text.partition("<body>")[2]


@pytest.mark.browser
def test_the_filter_and_the_links_work_and_without_javascript_the_table_is_there(
    browser: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text(operators.render(OUTCOMES), encoding="utf-8")
    tab = browser.new_page()
    seen: list[str] = []
    tab.on("console", lambda message: seen.append(message.text))
    tab.on("request", lambda request: seen.append(request.url))
    tab.goto(file.as_uri())

    def visible() -> list[str]:
        return tab.locator("#operators tbody tr:visible th").all_inner_texts()

    assert visible() == ["Cast", "Relu", "SequenceAt"]
    tab.fill("#filter", "REL")
    assert visible() == ["Relu"]
    tab.fill("#filter", "")
    tab.check("#fails")
    assert visible() == ["Cast", "Relu"]
    tab.click("#operators a >> text=Cast")
    assert tab.locator("details[open]").inner_text().startswith("Cast")
    assert seen == [file.as_uri()]

    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(file.as_uri())
    assert plain.locator("#operators tbody tr").count() == 3
    assert plain.locator("#filters").is_hidden()


@pytest.mark.browser
def test_of_many_targets_the_table_scrolls_beside_the_operators_names_and_not_the_page(
    browser: Browser, tmp_path: Path
) -> None:
    long = [replace(RIGHT, operator=f"ai.onnx.preview.training.Operator{n}") for n in range(40)]
    many = [replace(each, target=f"runtime-{n}:cpu") for each in long for n in range(24)]
    file = tmp_path / "report.html"
    file.write_text(operators.render([*long, *many]), encoding="utf-8")
    tab = browser.new_page(viewport={"width": 1280, "height": 800})
    tab.goto(file.as_uri())

    tab.evaluate("document.querySelector('.grid').scrollTo(900, 900)")

    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280
    assert (
        tab.evaluate("""() => {
        const place = (name) => document.querySelector(name).getBoundingClientRect();
        const grid = place(".grid"), above = place("#operators thead th");
        const beside = place("#operators tbody th");
        return [beside.x === grid.x, above.x === grid.x, above.y === grid.y, beside.width > 120];
    }""")
        == [True] * 4
    )
