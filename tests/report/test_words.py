"""Tests the words for numbers and lists."""

from __future__ import annotations

import doctest

import pytest

from tests.report import runs
from toolkit.measure.stats import Comparison, Interval, Outcome
from toolkit.report import facts, ratios, words
from toolkit.report.view import Ratio
from toolkit.report.words import Spread, figure, listed, printable, timed, width, wrapped
from toolkit.units import THIN


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(words).failed == 0


def words_of(middle: float, low: float, high: float, outcome: Outcome = Outcome.DIFFERENT) -> str:
    return ratios.words(Comparison(middle, Interval(middle, low, high, 14), 0.001, outcome))


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ((1 / 1.23, 1 / 1.25, 1 / 1.21), "1.23× faster (1.21 to 1.25)"),
        ((1 / 6.2, 1 / 6.31, 1 / 6.09), "6.2× faster (6.1 to 6.3)"),
        ((2.5, 2.1, 3.0), "2.5× slower (2.1 to 3.0)"),
        ((1 / 123.4, 1 / 125.0, 1 / 121.0), "123× faster (121 to 125)"),
        ((1.02, 1.002, 1.04), "1.020× slower (1.002 to 1.040)"),
        ((1.004, 1.002, 1.006), f"1.004× slower (1.002 to 1.006), by less than 1{THIN}%"),
    ],
    ids=["three figures", "two figures", "slower", "hundreds", "close to one", "within the margin"],
)
def test_a_difference_is_said_with_its_interval_and_no_more_figures_than_it_carries(
    interval: tuple[float, float, float], text: str
) -> None:
    assert words_of(*interval) == text


def test_no_difference_is_said_with_what_is_not_excluded() -> None:
    assert words_of(1.001, 0.993, 1.008, Outcome.NOT_SHOWN) == (
        f"no difference found; one of up to 0.80{THIN}% could be hidden"
    )


@pytest.mark.parametrize(
    ("spread", "text"),
    [
        (Spread(3.92e-6, 3.8e-6, 4.2e-6), ("3.9 µs", "3.8 to 4.2")),
        (Spread(4.08e-6, 3.9e-6, 6.1e-6), ("4.1 µs", "3.9 to 6.1")),
        (Spread(0.01234, 0.01233, 0.01235), ("12.3 ms", "12.3 to 12.3")),
        (Spread(0.9996, 0.9, 1.2), ("1.0 s", "0.9 to 1.2")),
        (Spread(64.0, 60.0, 70.0), ("64 s", "60 to 70")),
    ],
    ids=["range", "wide range", "narrow range", "rounds up to the next unit", "tens"],
)
def test_a_time_and_its_range_share_a_unit(spread: Spread, text: tuple[str, str]) -> None:
    assert tuple(part.replace(THIN, " ") for part in timed(spread)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("nan", "NaN"), ("-inf", "−Inf"), (-0.0, "−0.0"), (0.0, "0"), (1.4e-45, "1.40e−45")],
)
def test_values_of_any_kind_have_a_word(value: float, text: str) -> None:
    assert figure(value) == text


def test_wide_characters_take_two_cells_and_combining_ones_none() -> None:
    assert width("模型") == 4
    assert width("e\u0301") == 1


def test_long_words_are_not_broken_and_lines_are_not_too_long() -> None:
    assert wrapped("a bb ccccccc d", 4) == ["a bb", "ccccccc", "d"]


def test_a_thin_space_keeps_number_and_unit_on_one_line() -> None:
    assert wrapped(f"aaaa 3.9{THIN}µs", 6) == ["aaaa", f"3.9{THIN}µs"]


def test_text_that_turns_the_reading_direction_is_made_harmless() -> None:
    assert printable("a\u202eb") == "a�b"


def test_lists_read_as_sentences() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"


@pytest.mark.parametrize(
    ("latency", "sentences"), [(7e-6, 6), (2e-3, 5)], ids=["microseconds", "milliseconds"]
)
def test_what_the_clock_and_the_binding_take_is_said_of_short_calls(
    latency: float, sentences: int
) -> None:
    run, _ = runs.make((runs.Row("onnxruntime cpu", latency),))

    method = facts.method(run)

    assert len(method) == sentences
    assert ("50\u2009ns" in " ".join(method)) == (sentences == 6)


@pytest.mark.parametrize("few", [False, True])
def test_a_ratio_through_the_baseline_is_not_decided_where_one_of_the_two_is_not(few: bool) -> None:
    first = Ratio(10.0, 9.9, 10.1, 7, "", different=not few, undecidable=few)
    other = Ratio(2.0, 1.9, 2.1, 7, "", different=True)

    through = ratios.through_the_baseline(first, other)

    assert through is not None
    assert (through.different, through.undecidable) == (not few, few)
