"""May enough cores be used to measure on?"""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.doctor.finding import Finding, note, ok
from toolkit.units import significant

TOPIC = "cores"


def check(present: int, allowed: Sequence[int], quota: float | None) -> list[Finding]:
    """`quota`: cores' worth of time that the cgroup allows."""
    every = f"0-{present - 1}"
    found = []
    if len(allowed) == 1 and present > 1:
        found.append(
            note(
                TOPIC,
                f"1 of {present} cores is allowed: what is measured shares it with its parent",
                f"taskset -cp {every} $$    allows this shell all, where taskset took them",
                f"docker run --cpuset-cpus {every} …    where a container did",
            )
        )
    if quota is not None and quota < len(allowed):
        found.append(
            note(
                TOPIC,
                f"a quota of {significant(quota, 2)} cores on {len(allowed)}: "
                "all processes here stop together when it is used up",
                f"docker update --cpus {len(allowed)} CONTAINER    or the CPU limit of the pod",
            )
        )
    return found or [ok(TOPIC, f"{len(allowed)} of {present} allowed")]
