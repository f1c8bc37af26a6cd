"""Finds out whether the Python is one that toolkit, or a worker, can run in."""

from __future__ import annotations

from toolkit.doctor.finding import Finding, fault, note, ok
from toolkit.doctor.probe import EnvironmentFacts

TOPIC = "python"
OLDEST = (3, 11)
"""The oldest that setup.cfg admits."""
NEWEST = (3, 13)
"""The newest that is tested."""


def check(facts: EnvironmentFacts) -> list[Finding]:
    """Returns one finding about the environment's Python."""
    version, oldest, newest = (_dotted(v) for v in (facts.version, OLDEST, NEWEST))
    another = f"python{newest} -m venv .venv    makes an environment with that Python"
    if facts.version[:2] < OLDEST:
        return [fault(TOPIC, f"Python {version}: toolkit needs {oldest} or newer", another)]
    if facts.bits != 64:
        what = f"Python {version} is a 32-bit one: no runtime has a build for it"
        return [fault(TOPIC, what, another)]
    if facts.version[:2] > NEWEST:
        what = f"Python {version} is newer than any that is tested ({newest})"
        return [note(TOPIC, what, another)]
    return [ok(TOPIC, version)]


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
