"""The special values of Relu, on real runtimes and for every way in which one may deviate."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.answers.networks import onnxruntime_runner
from toolkit.answers import specialvalues
from toolkit.answers.simulate import RunWhole, run_on_reference
from toolkit.tensors import Array


def exact() -> list[dict[str, Array]]:
    return [{"y": np.maximum(feed["x"], 0)} for feed in specialvalues.feeds()]


def changed(value: str, row: int, got: float) -> list[dict[str, Array]]:
    outputs = exact()
    outputs[list(specialvalues.SPECIAL).index(value)]["y"][row] = got
    return outputs


def row(rows: list[specialvalues.SpecialValue], value: str) -> specialvalues.SpecialValue:
    return next(r for r in rows if r.value == value)


def test_its_models_are_valid_files() -> None:
    models = specialvalues.models()

    for model in models.values():
        onnx.checker.check_model(model, full_check=True)
    assert [n.op_type for n in models["fused"].graph.node] == ["Gemm", "Relu", "Gemm"]


@pytest.mark.parametrize("runner", [onnxruntime_runner, run_on_reference])
def test_a_right_runtime_deviates_nowhere_fused_or_not(runner: RunWhole) -> None:
    models = specialvalues.models()

    rows = specialvalues.read(
        *(runner(models[form], specialvalues.feeds()) for form in ("alone", "fused"))
    )

    assert [r.value for r in rows if r.deviates] == []
    assert row(rows, "NaN").alone == row(rows, "NaN").fused == "nan"
    assert row(rows, "+Inf").fused == "inf"
    assert row(rows, "smallest subnormal").fused == pytest.approx(1.4e-45, rel=0.01)


@pytest.mark.parametrize(
    ("value", "got", "note"),
    [
        ("NaN", 0.0, "between layers: max(0, NaN) as 0; ONNX's reference and PyTorch keep NaN"),
        ("−Inf", np.nan, "between layers: not max(0, x)"),
        ("smallest subnormal", 0.0, "between layers: subnormals are flushed to zero"),
        ("largest float32", np.inf, "between layers: not max(0, x)"),
    ],
)
def test_a_deviation_is_marked_and_named(value: str, got: float, note: str) -> None:
    rows = specialvalues.read(exact(), changed(value, specialvalues.SPECIAL_ROW, got))

    assert [r.value for r in rows if r.deviates] == [value]
    assert row(rows, value).note == note


def test_both_zeros_are_right_for_minus_zero() -> None:
    rows = specialvalues.read(exact(), changed("−0.0", specialvalues.SPECIAL_ROW, -0.0))

    assert not row(rows, "−0.0").deviates
    assert row(rows, "−0.0").note == "between layers: keeps −0.0, which max(0, x) allows"


def test_a_value_that_spoils_its_neighbours_is_marked() -> None:
    rows = specialvalues.read(changed("NaN", 0, 9.0), exact())

    assert row(rows, "NaN").deviates
    assert row(rows, "NaN").note == "alone: its neighbours changed"


def test_a_runtime_that_refuses_has_rows_with_the_reason() -> None:
    rows = specialvalues.read(exact(), "Gemm is not supported")

    assert len(rows) == len(specialvalues.SPECIAL)
    assert {(r.fused, r.note, r.deviates) for r in rows if r.value == "ordinary"} == {
        (None, "between layers: refused, Gemm is not supported", False)
    }


def test_outputs_of_another_form_are_a_refusal() -> None:
    rows = specialvalues.read(
        [{"y": np.zeros(3, np.float32)}] * len(specialvalues.SPECIAL), exact()
    )

    assert rows[0].alone is None
    assert rows[0].note == "alone: refused, it gave no output of 16 rows"
