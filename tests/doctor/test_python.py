from __future__ import annotations

from dataclasses import replace

import pytest

from tests.doctor.conftest import Planted
from toolkit.doctor import python
from toolkit.doctor.finding import Severity

VENV = "python3.13 -m venv .venv    makes an environment with that Python"


@pytest.mark.process
def test_the_python_of_the_tests_will_do(planted: Planted) -> None:
    (finding,) = python.check(planted.facts())
    assert finding.severity is Severity.OK


@pytest.mark.process
@pytest.mark.parametrize(
    ("version", "bits", "severity", "what", "cures"),
    [
        ((3, 9, 2), 64, Severity.FAULT, "Python 3.9.2: toolkit needs 3.11 or newer", (VENV,)),
        (
            (3, 15, 0),
            64,
            Severity.NOTE,
            "Python 3.15.0 is newer than any that is tested (3.13)",
            (VENV,),
        ),
        (
            (3, 12, 1),
            32,
            Severity.FAULT,
            "Python 3.12.1 is a 32-bit one: no runtime has a build for it",
            (VENV,),
        ),
    ],
    ids=["old", "new", "32 bits"],
)
def test_a_python_that_will_not_do(
    planted: Planted,
    version: tuple[int, int, int],
    bits: int,
    severity: Severity,
    what: str,
    cures: tuple[str, ...],
) -> None:
    (finding,) = python.check(replace(planted.facts(), version=version, bits=bits))
    assert (finding.severity, finding.what, finding.cures) == (severity, what, cures)
