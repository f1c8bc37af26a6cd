"""Is the machine quiet, and does it keep its clock?"""

from __future__ import annotations

from toolkit.doctor.finding import Finding, note, ok
from toolkit.machine.load import Activity
from toolkit.measure.disturbance import OTHERS, STEAL
from toolkit.units import percent

MEASURING = 2
"""Cores that a measurement takes: one for the workers, one for the parent."""


def check(seen: Activity, allowed: int) -> list[Finding]:
    """`seen`: what went on for about a second; `allowed`: cores that may be used."""
    return [_steal(seen), _others(seen, allowed)]


def _steal(seen: Activity) -> Finding:
    share = percent(seen.steal)
    if seen.steal <= STEAL:
        return ok("steal", f"the hypervisor took {share} of the time just now")
    return note(
        "steal",
        f"the hypervisor took {share} of the time just now: intervals will be wider",
        "vmstat 1 10    shows it over time, in the column st",
        "toolkit bench --time 120s    a longer run narrows the intervals",
    )


def _others(seen: Activity, allowed: int) -> Finding:
    used = percent(seen.others)
    if seen.others - max(0, allowed - MEASURING) <= OTHERS:
        return ok("load", f"other processes use {used} of a core just now")
    names = ", ".join(f"{busy.name} ({percent(busy.cores)})" for busy in seen.busiest[:3])
    who = f": {names}" if names else ""
    return note(
        "load",
        f"other processes use {used} of a core just now{who}",
        "top    shows who; close them while you measure",
        "toolkit bench --time 120s    a longer run narrows the intervals",
    )


def governor(name: str | None) -> list[Finding]:
    """Of the cores' frequency; None: the machine lets nobody choose."""
    if name is None:
        return [ok("governor", "none: the frequency is not ours to choose")]
    if name == "performance":
        return [ok("governor", name)]
    return [
        note(
            "governor",
            f"the cores' frequency follows the load ({name}): short calls may be timed too slow",
            "sudo cpupower frequency-set -g performance",
        )
    ]
