"""Brings records of older versions to today's shape, one step a version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from toolkit.records.schema import VERSION

Raw = dict[str, Any]
"""The object that run.json holds, as it was read."""


def _added_only(raw: Raw) -> Raw:
    """Leaves the record as it is: all that the next version added has a default."""
    return raw


def _threads_of_targets(raw: Raw) -> Raw:
    """Gives each target the threads of the run, which all targets had."""
    plan = raw["plan"]
    targets = [{**target, "threads": plan["threads"]} for target in plan["targets"]]
    return {**raw, "plan": {**plan, "targets": targets}}


STEPS: Mapping[int, Callable[[Raw], Raw]] = {
    1: _added_only,
    2: _threads_of_targets,
    3: _added_only,
    4: _added_only,
}
"""Version → the step that brings its records to the next one."""


def upgraded(raw: Raw) -> Raw:
    """The record in the shape of VERSION. A step raises KeyError, TypeError or AttributeError for a
    record that is not what its version says."""
    for version in range(raw["version"], VERSION):
        raw = {**STEPS[version](raw), "version": version + 1}
    return raw
