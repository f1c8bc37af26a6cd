"""Why an int8 file is no faster, by what its runtime made of it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from tests.report.runs import FILE, Row, Shape, make
from toolkit.records.schema import Kernels, Run, Warning, WarningKind
from toolkit.report import markdown, terminal
from toolkit.report.decision import ComparisonDecision
from toolkit.report.summary import summarize
from toolkit.units import THIN

OLD = Row("onnxruntime cpu", 5e-6)
NEW = Row(
    "onnxruntime cpu, new.onnx", 7.5e-6, "int8", factor=30_000.0, declared="int8", file=FILE // 4
)
VNNI = ["avx2", "avx512_vnni"]


def run(
    kernels: Kernels | None, old: Row = OLD, new: Row = NEW, features: list[str] | None = None
) -> Run:
    whole, _ = make([old, new])
    before, after = whole.records
    return msgspec.structs.replace(
        whole,
        machine=msgspec.structs.replace(whole.machine, features=features or VNNI),
        records=[before, msgspec.structs.replace(after, kernels=kernels)],
    )


def decision(whole: Run) -> ComparisonDecision:
    made = summarize(whole).decision
    assert made is not None
    return made


def long(kernels: Kernels, features: list[str] | None = None) -> Run:
    """A run of products that are not small."""
    return run(kernels, replace(OLD, latency=5e-3), replace(NEW, latency=7.5e-3), features)


@pytest.mark.parametrize(
    ("whole", "reason"),
    [
        (
            run(Kernels(operators={"DynamicQuantizeMatMul": 2, "Relu": 1})),
            "products as small as these (2 in a call of N µs) gain less than their conversions "
            "cost (2 of them find the range of their input in every call). "
            "Try: leave small products in floats (nodes_to_exclude).",
        ),
        (
            run(Kernels(operators={"QGemm": 2, "QuantizeLinear": 1, "DequantizeLinear": 1})),
            "products as small as these (2 in a call of N µs) gain less than their conversions "
            "cost (2 nodes convert to integers and back). "
            "Try: leave small products in floats (nodes_to_exclude).",
        ),
        (
            long(
                Kernels(
                    operators={"QLinearMatMul": 22, "MatMul": 30, "DequantizeLinear": 183},
                    unfused={"MatMul": 20},
                )
            ),
            "20 of 42 products (20 MatMul) multiply floats, since the QuantizeLinear and "
            "DequantizeLinear around them were not fused; 183 DequantizeLinear are left. Try: "
            "quantize the outputs of these products too, or leave them in floats "
            "(nodes_to_exclude).",
        ),
        (
            long(Kernels(operators={"ConvInteger": 3})),
            "3 convolutions quantized dynamically (ConvInteger). Try: quantize convolutions "
            "statically (quantize_static).",
        ),
        (
            long(Kernels(operators={"QLinearConv": 3}), ["avx2"]),
            "this processor has no VNNI, so that products of bytes are hardly faster than floats. "
            "Try: measure it where it will run.",
        ),
    ],
    ids=["dynamic", "static", "not fused", "convolutions", "no VNNI"],
)
def test_the_reason_is_said_with_what_to_try(whole: Run, reason: str) -> None:
    (said,) = decision(whole).reasons
    head, _, rest = said.partition(" here: ")

    plain = rest.replace(THIN, " ")
    took = plain.partition("call of ")[2].partition(" µs")[0]
    assert head == "Why int8 is no faster"
    assert plain.replace(f"call of {took} µs", "call of N µs" if took else "") == reason
    shown = summarize(whole)
    assert said in terminal.render(shown, columns=1000)
    assert "no faster here" in markdown.render(shown)


@pytest.mark.parametrize(
    "whole",
    [
        long(Kernels(operators={"QLinearConv": 3})),
        run(None),
        run(Kernels(operators={"DynamicQuantizeMatMul": 2}), new=replace(NEW, latency=3e-6)),
    ],
    ids=["no known reason", "nothing known", "faster"],
)
def test_what_is_faster_or_has_no_known_reason_is_not_explained(whole: Run) -> None:
    assert decision(whole).reasons == ()


def test_sums_that_may_have_saturated_are_the_reason_of_wrong_answers() -> None:
    detail = "onnxruntime cpu: 2 MatMulInteger with weights of more than 7 bits, without VNNI"
    warning = Warning(kind=WarningKind.SATURATES, detail=detail)
    wrong = replace(NEW, verdict="wrong", right=False, reason="wrong: far off", warnings=(warning,))

    (said,) = decision(run(None, new=wrong)).reasons

    assert said.startswith(f"{detail}: This processor has no VNNI: ")
    assert "--target onnxruntime,int8=exact" in said


def test_a_reason_that_targets_share_stands_once() -> None:
    twice, _ = make(
        [OLD, NEW, replace(OLD, label="torch cpu"), replace(NEW, label="torch cpu, new.onnx")],
        Shape(),
    )
    kernels = Kernels(operators={"DynamicQuantizeMatMul": 2})
    records = [
        msgspec.structs.replace(record, kernels=kernels if record.target % 2 else None)
        for record in twice.records
    ]
    features = msgspec.structs.replace(twice.machine, features=VNNI)

    made = decision(msgspec.structs.replace(twice, records=records, machine=features))

    # Each says how long its own call took, if not by its rounded figure.
    for reason in made.reasons:
        assert reason.startswith(("onnxruntime cpu: Why", "torch cpu: Why", "Why"))
    assert 1 <= len(made.reasons) <= 2
