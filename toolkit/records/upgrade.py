"""Brings records of older versions to today's shape, one step a version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from toolkit.answers.verdict import ANSWERS
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


def _with_answers(raw: Raw) -> Raw:
    """Gives each verdict its answer. Where float32 was possible among other classes it was called
    right; that is not shown. An output's own reason was not kept: its verdict's stands for it."""
    measured = any(raw["plan"]["limits"][name] is not None for name in ("atol", "rtol", "top1"))
    records = [
        record
        if record.get("verdict") is None
        else {**record, "verdict": _answered(record["verdict"], measured)}
        for record in raw["records"]
    ]
    return {**raw, "records": records}


def _answered(verdict: Raw, measured: bool) -> Raw:
    """A verdict with its answer. `measured`: a number of the user's decided it."""
    outputs = []
    for output in verdict["outputs"]:
        exact = _is_exact(output)
        answer = _answer(output, exact, verdict["right"], measured)
        reason = "" if answer == "right" else verdict["reason"] or output["evidence"]
        outputs.append({**output, "answer": answer, "reason": reason, "exact": exact})
    answer = max((output["answer"] for output in outputs), key=ANSWERS.index, default="wrong")
    if not verdict["right"]:
        answer = max(answer, "less precise", key=ANSWERS.index)
    shown = next((output for output in outputs if output["answer"] == answer), {"reason": ""})
    return {
        **verdict,
        "text": "not shown" if answer == "not shown" else verdict["text"],
        "answer": answer,
        "right": answer == "right",
        "reason": verdict["reason"] or shown["reason"],
        "outputs": outputs,
    }


def _is_exact(output: Raw) -> bool:
    """Says whether integers, booleans or strings were equal throughout, or indices have right
    scores behind them."""
    every_class = len(output["names"]) > 1 and "float32" in output["names"]
    if not every_class or output["factor"] != "nan":
        return False
    is_index = output["rows"] is not None
    by_scores = is_index and output["witness"].startswith("float32 (")
    return bool(by_scores or output["evidence"].startswith("equal in"))


def _answer(output: Raw, exact: bool, right: bool, measured: bool) -> str:
    names = output["names"]
    if measured or exact:
        return "right" if right or exact else "wrong" if "wrong" in names else "less precise"
    if len(names) > 1 and "float32" in names:
        return "not shown"
    if "wrong" in names:
        return "wrong"
    # Only the worst output of a verdict is known to be coarser than it declared.
    return "right" if right or names == ["float32"] else "less precise"


STEPS: Mapping[int, Callable[[Raw], Raw]] = {
    1: _added_only,
    2: _threads_of_targets,
    3: _added_only,
    4: _added_only,
    5: _with_answers,
    6: _added_only,
}
"""Version → the step that brings its records to the next one."""


def upgraded(raw: Raw) -> Raw:
    """The record in the shape of VERSION. A step raises KeyError, TypeError or AttributeError for a
    record that is not what its version says."""
    for version in range(raw["version"], VERSION):
        raw = {**STEPS[version](raw), "version": version + 1}
    return raw
