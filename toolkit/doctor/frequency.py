"""Finds out whether the cores keep their frequency while something short is timed."""

from __future__ import annotations

from toolkit.doctor.finding import Finding, note, ok

TOPIC = "governor"


def check(governor: str | None) -> list[Finding]:
    """`governor` is the name of the rule that sets the cores' frequency; None: the machine lets no
    program choose one."""
    if governor is None:
        return [ok(TOPIC, "none: this machine lets no program choose the cores' frequency")]
    if governor == "performance":
        return [ok(TOPIC, governor)]
    return [
        note(
            TOPIC,
            f"the cores' frequency follows the load ({governor}): "
            "short calls may be timed too slow",
            "sudo cpupower frequency-set -g performance",
        )
    ]
