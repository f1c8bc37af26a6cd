from __future__ import annotations

from toolkit.doctor import quiet
from toolkit.doctor.finding import Severity
from toolkit.machine.facts import BusyProcess
from toolkit.machine.load import Activity
from toolkit.units import THIN


def plain(text: str) -> str:
    return text.replace(THIN, " ")


def activity(steal: float = 0.0, others: float = 0.0, *busiest: BusyProcess) -> Activity:
    return Activity(1.0, steal, others, busiest, {})


def test_a_quiet_machine_is_fine() -> None:
    steal, others = quiet.check(activity(0.001, 0.03), 2)
    assert (steal.severity, others.severity) == (Severity.OK, Severity.OK)
    assert plain(others.what) == "other processes use 3.0 % of a core just now"


def test_time_that_the_hypervisor_takes_is_a_note() -> None:
    steal, _ = quiet.check(activity(steal=0.08), 2)
    assert steal.severity is Severity.NOTE
    assert plain(steal.what) == (
        "the hypervisor took 8.0 % of the time just now: intervals will be wider"
    )
    assert steal.cures[0] == "vmstat 1 10    shows it over time, in the column st"


def test_busy_processes_are_named() -> None:
    busiest = (
        BusyProcess(name="chromium", cores=0.9, core=0),
        BusyProcess(name="make", cores=0.3, core=1),
    )
    _, others = quiet.check(activity(0.0, 1.2, *busiest), 2)
    assert others.severity is Severity.NOTE
    assert plain(others.what) == (
        "other processes use 120 % of a core just now: chromium (90 %), make (30 %)"
    )
    assert others.cures[0] == "top    shows who; close them while you measure"


def test_processes_that_find_a_core_of_their_own_disturb_nobody() -> None:
    _, others = quiet.check(activity(others=1.2), 8)
    assert others.severity is Severity.OK
