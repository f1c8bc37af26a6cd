"""The doctor's findings: one line each, and the commands that mend what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """The severity of a finding, the worst first."""

    FAULT = "fault"
    """Something does not work."""
    NOTE = "note"
    """It works, but less well than it could, or not for everything."""
    OK = "ok"
    """Nothing is wrong."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's table."""

    topic: str
    """One word: 'python', 'onnxruntime', 'cores' …"""
    severity: Severity
    what: str
    """One line that says what was found."""
    cures: tuple[str, ...] = ()
    """Commands to paste, each with a few words behind four spaces where it needs them."""


def fault(topic: str, what: str, *cures: str) -> Finding:
    """Returns a finding of something that does not work."""
    return Finding(topic, Severity.FAULT, what, cures)


def note(topic: str, what: str, *cures: str) -> Finding:
    """Returns a finding of something that could work better."""
    return Finding(topic, Severity.NOTE, what, cures)


def ok(topic: str, what: str) -> Finding:
    """Returns a finding that nothing is wrong with a topic."""
    return Finding(topic, Severity.OK, what)
