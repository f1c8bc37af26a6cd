"""What the doctor says: one line, and the commands that mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    FAULT = "fault"
    """Something does not work."""
    NOTE = "note"
    """It works, but less well than it could, or not for everything."""
    OK = "ok"


@dataclass(frozen=True)
class Finding:
    topic: str
    """'python', 'onnxruntime', 'cores' …: one word."""
    severity: Severity
    what: str
    """One line."""
    cures: tuple[str, ...] = ()
    """Commands that can be pasted, each with a few words behind four spaces where it needs them."""


def fault(topic: str, what: str, *cures: str) -> Finding:
    return Finding(topic, Severity.FAULT, what, cures)


def note(topic: str, what: str, *cures: str) -> Finding:
    return Finding(topic, Severity.NOTE, what, cures)


def ok(topic: str, what: str) -> Finding:
    return Finding(topic, Severity.OK, what)
