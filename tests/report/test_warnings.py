"""Tests that every kind of warning says what to do."""

from __future__ import annotations

from toolkit.records.schema import WarningKind
from toolkit.report.warnings import ADVICE


def test_every_kind_of_warning_has_its_advice() -> None:
    assert set(ADVICE) == set(WarningKind)
    assert all(a.means.endswith(".") and a.do.endswith(".") for a in ADVICE.values())
