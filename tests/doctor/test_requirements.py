from __future__ import annotations

import pytest

from tests.doctor.conftest import Planted
from toolkit.doctor import requirements
from toolkit.doctor.finding import Severity
from toolkit.doctor.probe import EnvironmentFacts
from toolkit.doctor.requirements import Requirement

pytestmark = pytest.mark.process


def test_this_installation_has_all_that_it_asks_for(own: EnvironmentFacts) -> None:
    needed = requirements.requirements()
    assert {"torch", "onnx", "click"} <= {requirement.name for requirement in needed}
    (finding,) = requirements.check(own, needed)
    assert finding.severity is Severity.OK
    assert finding.what == f"all {len(needed)} that toolkit needs are installed"


def test_neither_onnxruntime_nor_the_tests_tools_are_required() -> None:
    lines = ["click>=8.2", 'onnxruntime>=1.24; extra == "cpu"', "scikit-learn", "a.b-c>=1"]
    assert requirements.requirements(lines) == [
        Requirement("click", "8.2"),
        Requirement("scikit-learn", ""),
        Requirement("a.b-c", "1"),
    ]


def test_what_is_missing_or_too_old_is_a_fault_each(own: EnvironmentFacts) -> None:
    needed = [
        Requirement("never-heard-of", "1.2"),
        Requirement("click", "99"),
        Requirement("onnx", ""),
    ]
    missing, old = requirements.check(own, needed)
    assert (missing.severity, old.severity) == (Severity.FAULT, Severity.FAULT)
    assert missing.what == "never-heard-of is not installed"
    assert missing.cures[0].endswith("-m pip install 'never-heard-of>=1.2'")
    assert old.what.endswith("is too old: toolkit needs 99 or newer")
    assert old.cures[0].endswith("-m pip install 'click>=99'")


def test_another_environment_need_not_hold_toolkits_own(planted: Planted) -> None:
    assert requirements.check(planted.facts(), [Requirement("torch", "2")]) == []


@pytest.mark.parametrize(
    ("older", "newer"), [("2.9", "2.11"), ("1.24rc1", "1.24.1"), ("2.10.0+cpu", "2.11")]
)
def test_versions_are_compared_as_numbers(older: str, newer: str) -> None:
    assert requirements.numbers(older) < requirements.numbers(newer)
