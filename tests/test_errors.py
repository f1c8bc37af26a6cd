"""The lines in which foreign errors are told."""

from __future__ import annotations

import pytest

from toolkit.errors import LONGEST, first_line, lines, signal_name, typed_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("\n\n  no such layer  \nat 0x1"), "no such layer"),
        (ValueError(), "ValueError"),
        (KeyError(""), "''"),
        (RuntimeError("x" * 1000), "x" * LONGEST),
        ("a\nb", "a"),
    ],
    ids=["blank lines before", "nothing said", "a key", "a whole graph in a line", "a text"],
)
def test_the_first_line_that_says_something(error: object, line: str) -> None:
    assert first_line(error) == line


def test_the_type_of_an_error_stands_before_its_line_once() -> None:
    assert typed_line(ValueError("no such layer\nmore")) == "ValueError: no such layer"
    assert typed_line(ValueError()) == "ValueError"


def test_blank_lines_are_left_out() -> None:
    assert lines("\n a \n\n b\n") == ["a", "b"]


def test_a_signal_without_a_name_has_its_number() -> None:
    assert [signal_name(number) for number in (11, 34, 35, 64)] == [
        "SIGSEGV",
        "SIGRTMIN",
        "signal 35",
        "SIGRTMAX",
    ]
