from __future__ import annotations

import pytest

from toolkit.doctor import cores
from toolkit.doctor.finding import Severity


def test_some_of_many_cores_are_enough() -> None:
    (finding,) = cores.check(8, [2, 3], None)
    assert (finding.severity, finding.what) == (Severity.OK, "2 of 8 allowed")


def test_one_core_of_a_machine_with_one_is_nobodys_fault() -> None:
    (finding,) = cores.check(1, [0], None)
    assert finding.severity is Severity.OK


def test_one_allowed_core_is_a_note_with_both_ways_to_get_more() -> None:
    (finding,) = cores.check(4, [2], None)
    assert finding.severity is Severity.NOTE
    assert (
        finding.what == "1 of 4 cores is allowed: toolkit itself runs on the core that it measures"
    )
    assert finding.cures == (
        "taskset -cp 0-3 $$    allows this shell all, where taskset took them",
        "docker run --cpuset-cpus 0-3 …    where a container did",
    )


@pytest.mark.parametrize(("quota", "shown"), [(1.5, "1.5"), (0.5, "0.50")])
def test_a_quota_below_the_allowed_cores_is_a_note(quota: float, shown: str) -> None:
    (finding,) = cores.check(4, [0, 1, 2, 3], quota)
    assert finding.severity is Severity.NOTE
    assert finding.what == (
        f"a quota of {shown} cores on 4: all processes here stop together when it is used up"
    )
    assert finding.cures[0].startswith("docker update --cpus 4 CONTAINER")


def test_a_quota_that_all_cores_fit_in_is_fine() -> None:
    (finding,) = cores.check(4, [0, 1, 2, 3], 4.0)
    assert finding.severity is Severity.OK
