"""Is the Python one that toolkit, or a worker, can run in?"""

from __future__ import annotations

from toolkit.doctor.finding import Finding, fault, note, ok
from toolkit.doctor.probe import EnvironmentFacts

TOPIC = "python"
OLDEST = (3, 11)
NEWEST = (3, 13)
"""The newest that is tested."""


def check(facts: EnvironmentFacts) -> list[Finding]:
    version = ".".join(map(str, facts.version))
    another = (
        f"python{'.'.join(map(str, NEWEST))} -m venv .venv    makes an environment of that one"
    )
    if facts.version[:2] < OLDEST:
        return [fault(TOPIC, f"Python {version}: toolkit needs 3.11 or newer", another)]
    if facts.bits != 64:
        what = f"Python {version} is a 32-bit one: no runtime has a build for it"
        return [fault(TOPIC, what, another)]
    if facts.version[:2] > NEWEST:
        return [note(TOPIC, f"Python {version} is newer than any that is tested (3.13)", another)]
    return [ok(TOPIC, version)]
