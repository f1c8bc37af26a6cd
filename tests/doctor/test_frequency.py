from __future__ import annotations

import pytest

from toolkit.doctor import frequency
from toolkit.doctor.finding import Severity


@pytest.mark.parametrize(
    ("name", "severity"),
    [(None, Severity.OK), ("performance", Severity.OK), ("powersave", Severity.NOTE)],
)
def test_a_governor_that_lowers_the_clock_is_a_note(name: str | None, severity: Severity) -> None:
    (finding,) = frequency.check(name)
    assert finding.severity is severity


def test_the_governor_is_mended_by_a_command() -> None:
    (finding,) = frequency.check("schedutil")
    assert finding.what == (
        "the cores' frequency follows the load (schedutil): short calls may be timed too slow"
    )
    assert finding.cures == ("sudo cpupower frequency-set -g performance",)
