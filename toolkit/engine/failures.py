"""Turns an error of a target into the failure that its record shows."""

from __future__ import annotations

import re

from toolkit.errors import TargetError
from toolkit.records.schema import Failure

PATH = re.compile(r"(?<![\w./:])(?:/[^/\s:\"']+){2,}/(?P<last>[^/\s:\"']+)")
"""An absolute path of three parts or more; the address of a page on the web is none."""


def failure(error: TargetError) -> Failure:
    """The error as a record shows it."""
    return Failure(
        verb=error.verb,
        what=error.what,
        cures=list(error.cures),
        last_words=[without_paths(line) for line in error.last_words],
    )


def without_paths(line: str) -> str:
    """A line of a library's log with the last part of each path alone: a record is handed on, and
    no folder of this machine is anybody's business."""
    return PATH.sub(r"…/\g<last>", line)
