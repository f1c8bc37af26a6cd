"""Records of older versions, brought to today's shape: one step a version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from toolkit.records.schema import VERSION

Raw = dict[str, Any]
"""run.json as it was read."""


def _added_only(raw: Raw) -> Raw:
    """What is new has a default: an older record does not have it."""
    return raw


def _threads_of_targets(raw: Raw) -> Raw:
    """All targets had the threads of the run."""
    plan = raw["plan"]
    targets = [{**target, "threads": plan["threads"]} for target in plan["targets"]]
    return {**raw, "plan": {**plan, "targets": targets}}


STEPS: Mapping[int, Callable[[Raw], Raw]] = {
    1: _added_only,
    2: _threads_of_targets,
    3: _added_only,
}
"""Version → what brings its records to the next one."""


def upgraded(raw: Raw) -> Raw:
    """The record in the shape of VERSION."""
    for version in range(raw["version"], VERSION):
        raw = {**STEPS[version](raw), "version": version + 1}
    return raw
