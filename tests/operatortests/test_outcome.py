"""What is wrong with an output is said, and a ledger is read as input of a stranger."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from toolkit.operatortests.outcome import OperatorOutcome, OutcomeLedger, fault
from toolkit.tensors import Array

ONE = OperatorOutcome("test_relu", "Relu", 20, "oracle", "1.0", "1.0", "right")
F32 = np.array([1.0, 2.0], np.float32)


def wrong(got: Array, right: Array, *, exact: bool = True) -> str:
    return fault(["y"], [got], [right], rtol=1e-3, atol=1e-7, exact=exact)


def test_onnxs_own_tolerance_decides() -> None:
    assert wrong(F32 * np.float32(1.0009), F32) == ""
    assert wrong(F32 * np.float32(1.0011), F32) == "y: 2 of 2 elements differ, by up to 0.0022"
    coarse = np.array([1.0, 2.0], ml_dtypes.bfloat16)
    assert wrong((coarse.astype(float) * 1.01).astype(ml_dtypes.bfloat16), coarse) == ""


@pytest.mark.parametrize(
    ("got", "said"),
    [
        (F32[:1], "y: its shape is [1], [2] is expected"),
        (F32.astype(np.float64), "y: its type is float64, float32 is expected"),
        (F32.astype(np.int64), "y: its type is int64, float32 is expected"),
        (np.array([np.nan, 2.0], np.float32), "y: 1 of 2 elements differ, by up to nan"),
    ],
    ids=["shape", "width", "type", "nan"],
)
def test_the_shape_the_type_and_the_values_that_are_wrong_are_told(got: Array, said: str) -> None:
    assert wrong(got, F32) == said


def test_the_oracles_floats_may_be_wider_and_its_integers_may_not_differ() -> None:
    assert wrong(F32.astype(np.float64), F32, exact=False) == ""
    three = np.array([1, 2, 3])
    assert wrong(np.array([1, 3, 3]), three, exact=False) == "y: 1 of 3 elements differ"
    assert fault(["y"], [], [F32], rtol=0, atol=0, exact=True) == "0 outputs, 1 are expected"


def test_a_ledger_keeps_the_newest_of_each_and_reads_on_behind_damage(tmp_path: Path) -> None:
    ledger = OutcomeLedger(tmp_path / "ledger.jsonl")
    begun = replace(ONE, result="crashed", reason="it ended the process")
    for outcome in (begun, ONE, replace(ONE, target="onnxruntime:cpu", result="wrong")):
        ledger.append(outcome)
    with ledger.path.open("a") as file:
        file.write('{"case": "cut o\n')
        file.write(json.dumps({**asdict(ONE), "result": "excellent"}) + "\n")
        file.write(json.dumps({**asdict(ONE), "reason": ["a", "list"]}) + "\n")
        file.write(json.dumps({**asdict(ONE), "more": 1}) + "\n")

    assert [each.result for each in ledger.read()] == ["right", "wrong"]


def test_an_interrupt_within_a_test_leaves_no_crash(tmp_path: Path) -> None:
    ledger = OutcomeLedger(tmp_path / "ledger.jsonl")
    ledger.append(ONE)
    begun = replace(ONE, case="test_other", result="crashed", reason="it ended the process")

    def interrupted() -> None:
        with ledger.begun(begun):
            assert [each.result for each in ledger.read()] == ["right", "crashed"]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert ledger.read() == [ONE]


def test_a_test_that_was_begun_and_never_ended_is_a_crash(tmp_path: Path) -> None:
    ledger = OutcomeLedger(tmp_path / "ledger.jsonl")
    ledger.append(replace(ONE, result="crashed", reason="it ended the process"))

    assert [each.result for each in ledger.read()] == ["crashed"]
