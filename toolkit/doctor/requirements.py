"""Does our own environment hold what toolkit depends on?"""

from __future__ import annotations

import importlib.metadata
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from toolkit.doctor.finding import Finding, fault, ok
from toolkit.doctor.probe import EnvironmentFacts

TOPIC = "packages"
DISTRIBUTION = "onnx-verdict"
"""The name under which toolkit is installed."""


@dataclass(frozen=True)
class Requirement:
    """A package and the oldest version that will do."""

    name: str
    oldest: str

    @property
    def text(self) -> str:
        return f"{self.name}>={self.oldest}" if self.oldest else self.name


def requirements(lines: Iterable[str] | None = None) -> list[Requirement]:
    """What toolkit's metadata asks for without extras; nothing where it is not installed."""
    if lines is None:
        try:
            lines = importlib.metadata.requires(DISTRIBUTION) or []
        except importlib.metadata.PackageNotFoundError:
            return []
    found = []
    for line in lines:
        match = re.match(r"([\w.-]+)(?:>=([\d.]+))?", line)
        if match and "extra ==" not in line:
            found.append(Requirement(match[1], match[2] or ""))
    return found


def check(facts: EnvironmentFacts, wanted: Iterable[Requirement]) -> list[Finding]:
    if not facts.own:
        return []
    found = [_look(facts, requirement) for requirement in wanted]
    faults = [finding for finding in found if finding is not None]
    return faults or [ok(TOPIC, f"the {len(found)} that toolkit needs are there")]


def _look(facts: EnvironmentFacts, wanted: Requirement) -> Finding | None:
    cure = facts.install(shlex.quote(wanted.text))
    there = facts.distribution(wanted.name)
    if there is None:
        return fault(TOPIC, f"{wanted.name} is not installed", cure)
    if wanted.oldest and numbers(there.version) < numbers(wanted.oldest):
        what = f"{wanted.name} {there.version} is too old: toolkit needs {wanted.oldest} or newer"
        return fault(TOPIC, what, cure)
    return None


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, to be compared.

    >>> numbers("2.13.0+cpu"), numbers("1.24rc1")
    ((2, 13, 0), (1, 24))
    """
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()
