"""Finds out whether enough cores may be used to measure on."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.doctor.finding import Finding, note, ok
from toolkit.units import significant

TOPIC = "cores"


def check(present: int, allowed: Sequence[int], quota: float | None) -> list[Finding]:
    """`present` is the number of cores of the machine, `allowed` has the numbers of those that this
    process may use, and `quota` says how many cores' worth of time the cgroup allows; None: all."""
    every = f"0-{present - 1}"
    notes = []
    if len(allowed) == 1 and present > 1:
        notes.append(
            note(
                TOPIC,
                f"1 of {present} cores is allowed: "
                "toolkit itself runs on the core that it measures",
                f"taskset -cp {every} $$    allows this shell all, where taskset took them",
                f"docker run --cpuset-cpus {every} …    where a container did",
            )
        )
    if quota is not None and quota < len(allowed):
        notes.append(
            note(
                TOPIC,
                f"a quota of {significant(quota, 2)} cores on {len(allowed)}: "
                "all processes here stop together when it is used up",
                f"docker update --cpus {len(allowed)} CONTAINER    or the CPU limit of the pod",
            )
        )
    return notes or [ok(TOPIC, f"{len(allowed)} of {present} allowed")]
