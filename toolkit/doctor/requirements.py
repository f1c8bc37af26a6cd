"""Finds out whether our own environment holds the packages that toolkit depends on."""

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
    """A package, and the oldest version that will do."""

    name: str
    oldest: str
    """Empty: any version will do."""

    @property
    def text(self) -> str:
        """The requirement as pip takes it: 'click>=8.2'."""
        return f"{self.name}>={self.oldest}" if self.oldest else self.name


def requirements(lines: Iterable[str] | None = None) -> list[Requirement]:
    """Returns what toolkit's metadata asks for without extras; nothing where toolkit is run from
    files and is not installed.

    `lines` are requirements as the metadata has them; None: toolkit's own.
    """
    if lines is None:
        try:
            lines = importlib.metadata.requires(DISTRIBUTION) or []
        except importlib.metadata.PackageNotFoundError:
            return []
    parsed = []
    for line in lines:
        match = re.match(r"([\w.-]+)(?:>=([\d.]+))?", line)
        if match and "extra ==" not in line:
            parsed.append(Requirement(match[1], match[2] or ""))
    return parsed


def check(facts: EnvironmentFacts, needed: Iterable[Requirement]) -> list[Finding]:
    """Returns a fault for each package that is missing or too old; nothing for an environment that
    is not toolkit's own."""
    if not facts.own:
        return []
    looks = [_look(facts, requirement) for requirement in needed]
    faults = [finding for finding in looks if finding is not None]
    return faults or [ok(TOPIC, f"all {len(looks)} that toolkit needs are installed")]


def _look(facts: EnvironmentFacts, needed: Requirement) -> Finding | None:
    cure = facts.install(shlex.quote(needed.text))
    installed = facts.distribution(needed.name)
    if installed is None:
        return fault(TOPIC, f"{needed.name} is not installed", cure)
    if needed.oldest and numbers(installed.version) < numbers(needed.oldest):
        what = f"{needed.name} {installed.version} is too old"
        return fault(TOPIC, f"{what}: toolkit needs {needed.oldest} or newer", cure)
    return None


def numbers(version: str) -> tuple[int, ...]:
    """Returns the leading numbers of a version, to be compared.

    >>> numbers("2.13.0+cpu"), numbers("1.24rc1")
    ((2, 13, 0), (1, 24))
    """
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()
