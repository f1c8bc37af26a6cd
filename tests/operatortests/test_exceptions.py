"""What the oracle does not pass is named with its reason, and the committed report says what the
committed ledger says."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.operatortests import exceptions, tables
from toolkit.operatortests.outcome import OperatorOutcome, OutcomeLedger
from toolkit.report import operators

FOLDER = Path(__file__).parents[2] / "reports/conformance"


@pytest.fixture(scope="module")
def outcomes() -> list[OperatorOutcome]:
    return OutcomeLedger(FOLDER / "ledger.jsonl").read()


def test_the_oracle_was_run_whole_and_each_of_its_exceptions_is_named(
    outcomes: list[OperatorOutcome],
) -> None:
    of_oracle = {each.case for each in outcomes if each.target == "oracle"}
    failed = tables.oracles_exceptions(outcomes)

    assert of_oracle == {each.case for each in outcomes}
    assert [each.case for each, reason in failed if not reason] == []
    assert 0 < len(failed) < 40


def test_no_exception_is_named_for_nothing(outcomes: list[OperatorOutcome]) -> None:
    reasons = {reason for _, reason in tables.oracles_exceptions(outcomes)}

    assert reasons == {exception.reason for exception in exceptions.EXCEPTIONS}


def test_the_committed_reports_are_those_of_the_ledger(outcomes: list[OperatorOutcome]) -> None:
    assert (FOLDER / "report.md").read_text("utf-8") == tables.markdown(outcomes)
    assert (FOLDER / "report.html").read_text("utf-8") == operators.render(outcomes)


def test_nothing_of_the_machine_stands_in_the_ledger() -> None:
    text = (FOLDER / "ledger.jsonl").read_text("utf-8")

    assert not any(folder in text for folder in ("/tmp/", "/home/", "/root/"))
