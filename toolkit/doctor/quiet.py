"""Finds out whether the machine is quiet enough to measure on."""

from __future__ import annotations

from toolkit.doctor.finding import Finding, note, ok
from toolkit.machine.load import Activity
from toolkit.measure.disturbance import OTHERS, STEAL
from toolkit.units import percent

MEASURING = 2
"""Cores that a measurement takes: one for the workers, one for the parent."""
LONGER = "toolkit bench --time 120s    a longer run narrows the intervals"


def check(activity: Activity, allowed: int) -> list[Finding]:
    """Returns two findings: on the hypervisor and on other processes.

    `activity` is what went on for about a second; `allowed` is the number of cores that may be
    used.
    """
    return [_steal(activity), _others(activity, allowed)]


def _steal(activity: Activity) -> Finding:
    share = percent(activity.steal)
    if activity.steal <= STEAL:
        return ok("steal", f"the hypervisor took {share} of the time just now")
    return note(
        "steal",
        f"the hypervisor took {share} of the time just now: intervals will be wider",
        "vmstat 1 10    shows it over time, in the column st",
        LONGER,
    )


def _others(activity: Activity, allowed: int) -> Finding:
    used = percent(activity.others)
    # Processes that fit on the cores beside those that measure disturb nobody.
    if activity.others - max(0, allowed - MEASURING) <= OTHERS:
        return ok("load", f"other processes use {used} of a core just now")
    names = ", ".join(f"{busy.name} ({percent(busy.cores)})" for busy in activity.busiest[:3])
    who = f": {names}" if names else ""
    return note(
        "load",
        f"other processes use {used} of a core just now{who}",
        "top    shows who; close them while you measure",
        LONGER,
    )
