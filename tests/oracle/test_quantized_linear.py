"""Quantising and dequantising, ONNX's and ONNX Runtime's own, against its kernels."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto

from tests.oracle.quantized import Case, Inputs, assert_agrees, clear, kernel
from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.operators.quantized.rounding import DOMAIN, limits
from toolkit.tensors import Array

pytestmark = pytest.mark.kernels

DRAW = np.random.default_rng(3)
KINDS = {
    "uint8": np.uint8,
    "int8": np.int8,
    "uint16": np.uint16,
    "int16": np.int16,
    "uint4": ml_dtypes.uint4,
    "int4": ml_dtypes.int4,
}


def f(*shape: int) -> Array:
    return DRAW.standard_normal(shape).astype(np.float32)


def integers(kind: Any, *shape: int) -> Array:
    low, high = limits(np.dtype(kind))
    return DRAW.integers(low, high + 1, shape).astype(kind)


def scales(kind: Any, *shape: int) -> Array:
    low, high = limits(np.dtype(kind))
    return (DRAW.uniform(3, 5, shape) / (high - low)).astype(np.float32)


def ends(kind: Any) -> list[Array]:
    low, high = limits(np.dtype(kind))
    return [np.array(z).astype(kind) for z in (low, high, (low + high) // 2 + 1)]


def settings(kind: Any) -> list[tuple[str, Inputs, dict[str, Any]]]:
    """Scales and zero points that suit data of (3, 4, 6), with the attributes that they need."""
    zeros: list[tuple[str, Inputs, dict[str, Any]]]
    zeros = [(f"zero {zero}", (scales(kind), zero), {}) for zero in ends(kind)]
    rows = [
        (f"axis {axis}", (scales(kind, n), integers(kind, n)), {"axis": axis})
        for axis, n in ((0, 3), (1, 4), (2, 6), (-1, 6))
    ]
    return [*zeros, *rows, ("one row", (scales(kind, 1), integers(kind, 1)), {})]


def blocked(kind: Any) -> list[tuple[str, Inputs, dict[str, Any]]]:
    return [
        (
            f"blocks of {block} along {axis}",
            (scales(kind, *shape), integers(kind, *shape) if with_zero else None),
            {"axis": axis, "block_size": block},
        )
        for axis, block, shape in ((0, 2, (2, 4, 6)), (1, 2, (3, 2, 6)), (-1, 3, (3, 4, 2)))
        for with_zero in (True, False)
    ]


def cases() -> list[Case]:
    result = []
    for name, kind in KINDS.items():
        for domain in ("", DOMAIN):
            own = "of its own" if domain else "of ONNX"
            more = settings(kind) + ([] if domain else blocked(kind))
            for label, parameters, how in more:
                text = f"{name} {label} {own}"
                if all(array is not None for array in parameters):
                    inputs = (f(3, 4, 6), *parameters)
                    result.append(Case("QuantizeLinear", inputs, how, domain, name=text))
                q = integers(kind, 3, 4, 6)
                stored = Case("DequantizeLinear", (q, *parameters), how, domain, fed=0, name=text)
                result.append(stored)
    return result


def bare() -> list[Case]:
    result = []
    x = f(3, 4, 6)
    for name, kind in KINDS.items():
        q = integers(kind, 3, 4, 6)
        how = {"output_dtype": getattr(TensorProto, name.upper())}
        result += [
            Case("DequantizeLinear", (q, scales(kind)), {}, "", fed=0, name=f"{name} bare"),
            Case("DequantizeLinear", (q, scales(kind)), {}, fed=0, name=f"{name} bare, own"),
            Case("QuantizeLinear", (x, scales(kind)), how, "", name=f"{name} bare"),
        ]
    wide = DRAW.integers(-(2**24), 2**24, (3, 4)).astype(np.int32)
    own = Case("DequantizeLinear", (wide, scales(np.uint8)), name="int32, own")
    row = Case("DequantizeLinear", (wide, scales(np.uint8, 4)), {"axis": 1}, "", name="int32, row")
    return [
        *result,
        own,
        row,
        Case("QuantizeLinear", (x, scales(np.uint8)), {}, "", name="to uint8"),
        Case(
            "QuantizeLinear",
            (x, scales(np.uint8, 3, 4, 3)),
            {"axis": 2, "block_size": 2},
            "",
            name="blocks without zero points",
        ),
        Case("QuantizeLinear", (x * 100, scales(np.uint8)), {}, "", name="beyond the range"),
        Case("QuantizeLinear", (x * 1e12, scales(np.uint8)), {}, "", name="beyond 32 bits"),
    ]


def dynamic() -> list[Case]:
    def draw() -> Array:
        return f(3, 4, 6)

    given = {
        "both signs": clear(draw),
        "positive": clear(lambda: np.abs(draw()) + 1),
        "negative": clear(lambda: -np.abs(draw()) - 1),
        "zeros": draw() * 0,
        "a scalar": np.array(3.5, np.float32),
        "one": np.array([-2.25], np.float32),
    }
    return [
        Case("DynamicQuantizeLinear", (x,), domain="", outputs=3, name=name)
        for name, x in given.items()
    ]


@pytest.mark.parametrize("case", [*cases(), *bare()], ids=str)
def test_agrees_with_the_kernel(case: Case) -> None:
    # numpy has no type for what a kernel gives in 4 bits.
    assert_agrees(case, widened=case.operator == "QuantizeLinear" and "int4" in case.name)


@pytest.mark.parametrize("case", dynamic(), ids=str)
def test_quantises_by_the_own_range_as_the_kernel(case: Case) -> None:
    assert_agrees(case)


def test_integers_of_32_bits_are_dequantised_exactly() -> None:
    # The reference evaluator reads them as float32, which has 24 bits.
    q = np.array([2**31 - 1, -(2**31), 16_777_217], np.int32)
    case = Case("DequantizeLinear", (q, np.array(0.5, np.float32)), domain="")

    result = Evaluator(case.model()).run(case.feed)["o0"]

    assert result.tolist() == [1_073_741_823.5, -1_073_741_824.0, 8_388_608.5]


def test_the_precision_of_a_kernel_s_division_is_none_of_float64_s() -> None:
    # 1.4999 is 1.5 in float16, and would be rounded to 2.
    x, scale = np.array([1.4999], np.float32), np.array(1, np.float32)
    how = {"precision": TensorProto.FLOAT16}
    case = Case("QuantizeLinear", (x, scale), how, "", opset=23)

    assert Evaluator(case.model()).run(case.feed)["o0"].tolist() == [1]


@pytest.mark.parametrize("kind", ["FLOAT8E4M3FN", "FLOAT8E5M2", "FLOAT4E2M1"])
def test_floats_of_8_and_4_bits_are_the_nearest(kind: str) -> None:
    x, scale = f(3, 4), np.array([0.5, 1, 2, 4], np.float32)
    how = {"output_dtype": getattr(TensorProto, kind), "axis": 1}
    case = Case("QuantizeLinear", (x, scale), how, "", opset=23)

    result = Evaluator(case.model()).run(case.feed)["o0"]

    np.testing.assert_array_equal(result, (x / scale).astype(result.dtype))


def test_a_plain_evaluation_keeps_float32() -> None:
    x, scale = clear(lambda: f(3, 4)), np.array(0.1, np.float32)
    q = np.arange(12, dtype=np.uint8)
    once = Case("DynamicQuantizeLinear", (x,), domain="", outputs=3)
    back = Case("DequantizeLinear", (q, scale), domain="")

    for case in (once, back):
        results = Evaluator(case.model(), exact=False).run(case.feed).values()
        for ours, theirs in zip(results, kernel(case.model(), case.feed), strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
