"""Tests that results are kept as lines, and which run comes next."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import ledger
from benchmarks.ledger import Ledger


def test_what_was_appended_is_read_in_its_order(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "results" / "some.jsonl")
    assert book.lines() == []
    book.append({"kind": "2 %", "ratio": 1.02})
    book.append({"kind": "A/A", "ratio": 1.0})
    assert book.lines() == [{"kind": "2 %", "ratio": 1.02}, {"kind": "A/A", "ratio": 1.0}]


def test_a_line_that_was_cut_off_costs_no_other_line(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "some.jsonl")
    book.append({"number": 1})
    book.append({"number": 2})
    text = book.path.read_text()
    book.path.write_text(text[: text.index("2") - 4])
    assert book.lines() == [{"number": 1}]
    book.append({"number": 3})
    assert book.lines() == [{"number": 1}, {"number": 3}]


def test_the_kind_that_is_furthest_behind_comes_next() -> None:
    wanted = {"A/A": 20, "2 %": 10, "3 %": 10}
    done = {"A/A": 4, "2 %": 2, "3 %": 1}
    assert ledger.next_of(wanted, done.__getitem__) == "3 %"


def test_a_run_cut_short_has_some_of_each() -> None:
    wanted, done = {"A/A": 20, "2 %": 10, "3 %": 10}, {"A/A": 0, "2 %": 0, "3 %": 0}
    for _ in range(12):
        done[ledger.next_of(wanted, done.__getitem__) or ""] += 1
    assert done == {"A/A": 6, "2 %": 3, "3 %": 3}


def test_nothing_comes_next_when_all_is_done() -> None:
    assert ledger.next_of({"A/A": 2}, {"A/A": 3}.__getitem__) is None


@pytest.mark.process
def test_a_stamp_says_when_where_and_with_what() -> None:
    assert set(ledger.stamp()) == {"at", "commit", "machine", "load"}
