"""Weights of a few bits, each block with a scale, against ONNX Runtime's kernels."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.oracle.quantized import Case, Inputs, assert_agrees, kernel
from toolkit.errors import ToolkitError
from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.operators.quantized import blocks
from toolkit.tensors import Array

pytestmark = pytest.mark.kernels

DRAW = np.random.default_rng(4)


def f(*shape: int) -> Array:
    return DRAW.standard_normal(shape).astype(np.float32)


def u8(*shape: int) -> Array:
    return DRAW.integers(0, 256, shape).astype(np.uint8)


def many_bits(level: int = 0) -> list[Case]:
    """MatMulNBits with sizes that fill no block, and with every kind of zero point."""
    cases = []
    for bits in (2, 4, 8):
        for block, k, n in ((16, 40, 5), (32, 33, 3), (64, 128, 16), (128, 100, 1)):
            count = -(-k // block)
            b, scales = u8(n, count, block * bits // 8), f(n, count)
            how: dict[str, Any] = {"K": k, "N": n, "block_size": block, "bits": bits}
            if level:
                how["accuracy_level"] = level
            packed = u8(n, -(-count * bits // 8))
            starts = [("middle", None), ("packed", packed)]
            if bits < 8:  # No kernel takes floats with 8 bits.
                starts.append(("floats", floats(bits, n, count)))
            for name, zeros in starts:
                inputs: Inputs = (f(2, 3, k), b, scales, zeros)
                cases.append(Case("MatMulNBits", inputs, how, name=name))
            inputs = (f(1, k), b, scales, packed, None, f(n))
            cases.append(Case("MatMulNBits", inputs, how, name="bias"))
    return cases


def floats(bits: int, *shape: int) -> Array:
    return DRAW.uniform(0, 2**bits - 1, shape).astype(np.float32)


def grouped(zeros: Array | None, bits: int = 4) -> Case:
    """MatMulNBits (48 inputs, 5 outputs) where each weight says which of 3 blocks it belongs to."""
    how: dict[str, Any] = {"K": 48, "N": 5, "block_size": 16, "bits": bits}
    groups = DRAW.permutation(np.repeat(np.arange(3), 16)).astype(np.int32)
    inputs = (f(2, 48), u8(5, 3, 2 * bits), f(5, 3), zeros, groups)
    return Case("MatMulNBits", inputs, how, name="groups")


def left_out() -> list[Case]:
    """MatMulNBits without weights, which gives the bias or zeros."""
    how: dict[str, Any] = {"K": 32, "N": 5, "block_size": 16, "bits": 4}
    empty = np.zeros((0, 2, 8), np.uint8)
    return [
        Case("MatMulNBits", (f(3, 32), empty, f(5, 2)), how, name="empty"),
        Case("MatMulNBits", (f(3, 32), empty, f(5, 2), None, None, f(5)), how, name="empty bias"),
    ]


def bnb4() -> list[Case]:
    return [
        Case(
            "MatMulBnb4",
            (f(2, 3, k), u8(-(-n * k // 2)), np.abs(f(-(-n * k // block)))),
            {"K": k, "N": n, "block_size": block, "quant_type": kind},
            name=name,
        )
        for kind, name in ((0, "fp4"), (1, "nf4"))
        for k, n, block in ((32, 5, 16), (33, 7, 32), (64, 3, 128), (7, 3, 16))
    ]


def packed_rows() -> list[Case]:
    cases = []
    places = np.array([[0, 3, -1], [6, 2, -7]], np.int64)
    for bits in (2, 4, 8):
        each = 8 // bits
        for block, size in ((16, 48), (32, 64), (16, 40)):
            count = -(-size // block)
            data, scales = u8(7, 2, size // each), f(7, 2, count)
            zeros = u8(7, 2, -(-count // each))
            how: dict[str, Any] = {"bits": bits, "block_size": block, "quantize_axis": 2}
            for name, start in (("middle", None), ("packed", zeros)):
                inputs = (data, places, scales, start)
                label = f"{name} size={size}"
                cases.append(Case("GatherBlockQuantized", inputs, how, fed=0, name=label))
    return cases


def typed_rows() -> list[Case]:
    cases = []
    for kind, low in ((ml_dtypes.uint4, 0), (ml_dtypes.int4, -8)):
        for gather, quantize, shape, scaled in (
            (0, 1, (7, 40), (7, 3)),
            (1, 0, (40, 7), (3, 7)),
            (0, 0, (40, 7), (3, 7)),
            (1, 2, (2, 7, 32), (2, 7, 2)),
            (-1, -2, (3, 33, 7), (3, 3, 7)),
        ):
            data = DRAW.integers(low, low + 16, shape).astype(kind)
            zeros = DRAW.integers(low, low + 16, scaled).astype(kind)
            how = {"gather_axis": gather, "quantize_axis": quantize, "block_size": 16}
            for places in (np.array([1, -2, 0], np.int32), np.array(5, np.int64)):
                for name, start in (("middle", None), ("zeros", zeros)):
                    inputs = (data, places, f(*scaled), start)
                    label = f"{np.dtype(kind).name} {name} {places.dtype} {shape}"
                    cases.append(Case("GatherBlockQuantized", inputs, how, fed=0, name=label))
    return cases


def float_rows() -> list[Case]:
    cases = []
    for kind in (
        ml_dtypes.float8_e4m3fn,
        ml_dtypes.float8_e5m2,
        ml_dtypes.float8_e4m3fnuz,
        ml_dtypes.float8_e5m2fnuz,
        ml_dtypes.float4_e2m1fn,
    ):
        data = f(6, 40).astype(kind)
        places = np.array([[5], [-6]], np.int64)
        for block, scaled in ((16, (6, 3)), (0, (6, 1)), (0, (1, 1)), (16, (1, 3))):
            how = {"block_size": block}
            inputs = (data, places, f(*scaled))
            label = f"{np.dtype(kind).name} {scaled}"
            cases.append(Case("GatherBlockQuantized", inputs, how, fed=0, name=label))
    return cases


@pytest.mark.parametrize(
    "case",
    [
        *many_bits(),
        *many_bits(1),
        grouped(None),
        grouped(floats(4, 5, 3)),
        *left_out(),
        *bnb4(),
        *packed_rows(),
        *typed_rows(),
        *float_rows(),
    ],
    ids=str,
)
def test_agrees_with_the_kernel(case: Case) -> None:
    assert_agrees(case)


def dequantised(case: Case) -> Array:
    """The weights (N, K) of a MatMulNBits with packed zero points, one by one as documented."""
    _, b, scales, zeros, *more = case.inputs
    assert b is not None
    assert scales is not None
    assert zeros is not None
    k, n, block, bits = (case.how[name] for name in ("K", "N", "block_size", "bits"))
    groups = more[0] if more and more[0] is not None else np.arange(k) // block
    each = 8 // bits
    rows, starts = b.reshape(n, -1), zeros.reshape(n, -1)
    weights = np.empty((n, k))
    for row, column in np.ndindex(n, k):
        byte, group = int(rows[row, column // each]), int(groups[column])
        q = byte >> bits * (column % each) & 2**bits - 1
        if zeros.dtype == np.uint8:
            start: Any = int(starts[row, group // each]) >> bits * (group % each) & 2**bits - 1
        else:
            start = float(starts[row, group])
        weights[row, column] = (q - start) * float(scales[row, group])
    return weights


@pytest.mark.parametrize(
    "case",
    [
        # The kernel of ONNX Runtime 1.32 takes 8 for packed zero points where there are groups,
        # and takes no floats with 8 bits: these are held against the documented formula alone.
        grouped(u8(5, 2)),
        grouped(u8(5, 3), bits=8),
        Case(
            "MatMulNBits",
            (f(2, 40), u8(5, 3, 16), f(5, 3), floats(8, 5, 3)),
            {"K": 40, "N": 5, "block_size": 16, "bits": 8},
            name="floats",
        ),
    ],
    ids=str,
)
def test_weights_are_as_documented_where_no_kernel_is(case: Case) -> None:
    result = Evaluator(case.model()).run(case.feed)["o0"]

    a = case.inputs[0]
    assert a is not None
    np.testing.assert_allclose(result, a.astype(np.float64) @ dequantised(case).T, rtol=1e-12)


@pytest.mark.parametrize("case", many_bits(level=4), ids=str)
def test_int8_activations_of_a_kernel_explain_its_error(case: Case) -> None:
    # At accuracy_level 4 a kernel may round each activation to a 254th of the largest's range.
    (theirs,) = kernel(case.model(), case.feed)
    ours = Evaluator(case.model()).run(case.feed)["o0"]
    k, a = case.how["K"], case.feed["i0"]
    identity = Case(case.operator, (np.eye(k, dtype=np.float32), *case.inputs[1:5]), case.how)
    weights = Evaluator(identity.model()).run(identity.feed)["o0"]  # (K, N)

    assert np.abs(theirs - ours).max() <= np.abs(a).max() / 254 * np.abs(weights).sum(axis=0).max()


@pytest.mark.parametrize("bits", [4, 8])
def test_float16_is_exact_in_float64(bits: int) -> None:
    how: dict[str, Any] = {"K": 32, "N": 5, "block_size": 16, "bits": bits}
    a, scales = f(3, 32).astype(np.float16), f(5, 2).astype(np.float16)

    assert_agrees(Case("MatMulNBits", (a, u8(5, 2, 2 * bits), scales), how), tolerance=2e-3)


def test_a_plain_evaluation_keeps_float32() -> None:
    how: dict[str, Any] = {"K": 64, "N": 5, "block_size": 16, "bits": 4}
    case = Case("MatMulNBits", (f(3, 64), u8(5, 4, 8), f(5, 4)), how)

    plain = Evaluator(case.model(), exact=False).run(case.feed)["o0"]

    assert plain.dtype == np.float32
    exact = Evaluator(case.model()).run(case.feed)["o0"]
    error = np.abs(plain - exact).max() / np.abs(exact).max()
    assert 1e-9 < error < 1e-6


def test_weights_are_raised_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [*many_bits(), *bnb4()]
    whole = [Evaluator(case.model()).run(case.feed)["o0"] for case in cases]
    monkeypatch.setattr(blocks, "AT_ONCE", 100)

    for case, before in zip(cases, whole, strict=True):
        parts = Evaluator(case.model()).run(case.feed)["o0"]
        np.testing.assert_allclose(parts, before, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ({"weight_prepacked": 1}, "MatMulNBits: weight_prepacked = 1"),
        ({"bits": 3}, "MatMulNBits: bits = 3"),
    ],
    ids=["prepacked", "3 bits"],
)
def test_what_no_kernel_of_the_processor_has_is_refused(how: dict[str, Any], named: str) -> None:
    sizes = {"K": 16, "N": 2, "block_size": 16}
    case = Case("MatMulNBits", (f(1, 16), u8(2, 1, 6), f(2, 1)), {**sizes, **how})

    with pytest.raises(ToolkitError, match=named):
        Evaluator(case.model()).run(case.feed)


def test_the_transposed_product_of_training_is_refused() -> None:
    how = {"K": 16, "N": 2, "block_size": 16, "quant_type": 1, "transB": 0}
    case = Case("MatMulBnb4", (f(1, 2), u8(16), f(2)), how)

    with pytest.raises(ToolkitError, match="MatMulBnb4: transB = 0"):
        Evaluator(case.model()).run(case.feed)
