"""Products of integer matrices and convolutions of integers, against ONNX Runtime's kernels.

Signed weights are drawn with seven bits, where no kernel saturates on any processor
(tests/answers/test_saturation.py has what happens beyond).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.oracle.quantized import Case, Inputs, assert_agrees, clear
from toolkit.errors import ToolkitError
from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.operators.quantized.rounding import limits
from toolkit.tensors import Array

pytestmark = pytest.mark.kernels

DRAW = np.random.default_rng(2)


def u8(*shape: int) -> Array:
    return DRAW.integers(0, 256, shape).astype(np.uint8)


def s7(*shape: int) -> Array:
    return DRAW.integers(-64, 65, shape).astype(np.int8)


def s8(*shape: int) -> Array:
    return DRAW.integers(-128, 128, shape).astype(np.int8)


def f(*shape: int) -> Array:
    return DRAW.standard_normal(shape).astype(np.float32)


def scales(*shape: int) -> Array:
    return DRAW.uniform(0.01, 0.05, shape).astype(np.float32)


def s(value: float) -> Array:
    return np.array(value, np.float32)


def z8(value: int) -> Array:
    return np.array(value, np.uint8)


def zi8(value: int) -> Array:
    return np.array(value, np.int8)


def i32(*shape: int) -> Array:
    return DRAW.integers(-3000, 3000, shape).astype(np.int32)


def integer_products() -> list[Case]:
    pairs = [(u8, u8), (u8, s7), (s8, s7)]
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((4, 7), (7, 5)),
        ((2, 3, 4, 33), (2, 3, 33, 17)),
        ((3, 1, 19), (19, 1)),
        ((2, 4, 8), (8, 16)),
        ((1, 700), (700, 3)),
    ]
    cases = []
    for left, right in pairs:
        for first, second in shapes:
            a, b = left(*first), right(*second)
            za, zb = np.array(a.flat[0]), np.array(b.flat[0])
            name = f"{a.dtype} {b.dtype} {first} {second}"
            for index, zeros in enumerate([(), (za,), (za, zb)]):
                inputs = (a, b, *zeros)
                cases.append(Case("MatMulInteger", inputs, domain="", name=f"{name} {index}"))
        a, b = left(4, 7), right(7, 5)
        each = right(5)
        inputs = (a, b, np.array(a.flat[0]), each)
        name = f"{a.dtype} {b.dtype} of columns"
        cases.append(Case("MatMulInteger", inputs, domain="", name=name))
    ends = [z8(0), z8(255)]
    cases += [
        Case("MatMulInteger", (u8(3, 5), u8(5, 4), a, b), domain="", name=f"zeros {a} {b}")
        for a in ends
        for b in ends
    ]
    cases += [
        Case("MatMulInteger16", (wide(*first), wide(*second)), name=f"{first} {second}", fed=2)
        for first, second in (((3, 5), (5, 4)), ((2, 3, 9), (9, 1)), ((2, 1, 4), (2, 4, 6)))
    ]
    return cases


def wide(*shape: int) -> Array:
    return DRAW.integers(-(2**15), 2**15, shape).astype(np.int16) // 2


def float_products() -> list[Case]:
    cases = []
    for b in (u8(19, 6), s7(19, 6)):
        each, zero, column = scales(6), np.array(b.flat[0]), b[0]
        name = str(b.dtype)
        a = u8(2, 4, 19)
        to_float: list[Inputs] = [
            (s(0.02), s(0.03)),
            (s(0.02), each),
            (s(0.02), each, z8(255), zero),
            (s(0.02), each, z8(0), column, f(6)),
            (s(0.02), s(0.03), None, None, f(6)),
            (scales(1), scales(1), z8(7).reshape(1), zero.reshape(1)),
        ]
        cases += [
            Case("MatMulIntegerToFloat", (a, b, *more), name=f"{name} {index}")
            for index, more in enumerate(to_float)
        ]
        x = clear(lambda: f(2, 4, 19))
        dynamic: list[Inputs] = [
            (s(0.03),),
            (each,),
            (each, zero),
            (each, column, f(6)),
            (s(0.03), None, f(6)),
        ]
        cases += [
            Case("DynamicQuantizeMatMul", (x, b, *more), name=f"{name} {index}")
            for index, more in enumerate(dynamic)
        ]
        positive = clear(lambda: np.abs(f(2, 4, 19)))
        signs = (("positive", positive), ("negative", -positive), ("zero", x * 0))
        cases += [
            Case("DynamicQuantizeMatMul", (values, b, each), name=f"{name} {sign}")
            for sign, values in signs
        ]
    signed = (s8(4, 19), s7(19, 6), s(0.02), scales(6), zi8(-128), zi8(3))
    cases.append(Case("MatMulIntegerToFloat", signed, name="int8 int8"))
    return cases


def rounded_products() -> list[Case]:
    cases = []
    for a, b, zero in ((u8(4, 19), u8(19, 6), z8), (u8(4, 19), s7(19, 6), z8)):
        bz, each, column = np.array(b.flat[0]), scales(6), b[0]
        name = str(b.dtype)
        for index, (b_scale, b_zero) in enumerate([(s(0.03), bz), (each, column)]):
            ends = [(zero(0), zero(255)), (zero(255), zero(0)), (zero(100), zero(128))]
            for a_zero, y_zero in ends:
                right = (b, b_scale, b_zero)
                inputs: Inputs = (a, s(0.02), a_zero, *right, s(0.31), y_zero)
                label = f"{name} {index} zeros {a_zero} {y_zero}"
                cases.append(Case("QLinearMatMul", inputs, domain="", name=label))
                inputs = (a, s(0.02), a_zero, *right, i32(6), s(0.31), y_zero)
                cases.append(Case("QGemm", inputs, name=label))
    a, b = s8(4, 19), s7(19, 6)
    signed: Inputs = (a, s(0.02), zi8(-3), b, scales(6), b[0], s(0.11), zi8(5))
    cases.append(Case("QLinearMatMul", signed, domain="", name="int8 int8"))
    batched = (u8(2, 3, 8), s(0.02), z8(9), u8(2, 8, 5), s(0.03), z8(77), s(0.21), z8(128))
    cases.append(Case("QLinearMatMul", batched, domain="", name="batched"))
    x, w = u8(19, 4), u8(6, 19)
    for trans in ((0, 0), (1, 0), (0, 1), (1, 1)):
        left = x if trans[0] else x.T.copy()
        second = w if trans[1] else w.T.copy()
        how: dict[str, Any] = {"transA": trans[0], "transB": trans[1], "alpha": 0.7}
        start = (left, s(0.02), z8(120), second, scales(6), u8(6))
        cases += [
            Case("QGemm", (*start, i32(4, 6), s(0.3), z8(100)), how, name="full"),
            Case("QGemm", (*start, i32(1, 6), s(0.3), z8(100)), how, name="row"),
            Case("QGemm", (*start, i32(4, 1), s(0.3), z8(100)), how, name="column"),
            Case("QGemm", (*start, None, s(0.3), z8(100)), how, name="no bias"),
            Case("QGemm", (*start, i32(6)), how, name="floats"),
            Case("QGemm", start, how, name="floats, no bias"),
        ]
    signed = (s8(4, 19), s(0.02), zi8(7), s7(19, 6), s(0.03), zi8(-2), i32(6), s(0.2), zi8(-9))
    cases.append(Case("QGemm", signed, name="int8 int8"))
    return cases


def convolutions() -> list[Case]:
    settings: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
        ((2, 3, 8, 9), (4, 3, 3, 3), {}),
        ((1, 3, 9, 8), (4, 3, 3, 2), {"strides": [2, 1], "pads": [1, 0, 2, 1]}),
        ((1, 3, 9, 8), (4, 3, 3, 2), {"dilations": [2, 3], "kernel_shape": [3, 2]}),
        ((1, 4, 9, 8), (6, 2, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
        ((1, 4, 9, 8), (4, 1, 3, 3), {"group": 4}),
        ((1, 3, 9, 8), (4, 3, 3, 2), {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
        ((1, 3, 9, 8), (4, 3, 3, 2), {"auto_pad": "SAME_LOWER", "strides": [2, 3]}),
        ((1, 3, 9, 8), (4, 3, 3, 2), {"auto_pad": "VALID"}),
        ((2, 3, 11), (4, 3, 4), {"pads": [2, 1]}),
        ((1, 2, 5, 6, 4), (3, 2, 2, 3, 2), {"pads": [1, 0, 1, 0, 1, 0]}),
        ((1, 3, 6, 7), (5, 3, 1, 1), {}),
    ]
    cases = []
    for x_shape, w_shape, how in settings:
        m, name = w_shape[0], f"{x_shape} {w_shape}"
        for draw in (u8, s7):
            x, w = u8(*x_shape), draw(*w_shape)
            zero = np.array(w.flat[0])
            label = f"{name} {w.dtype}"
            integer = (x, w, z8(77), zero)
            cases.append(Case("ConvInteger", integer, how, "", name=label))
            for one in (True, False):
                w_scale = s(0.03) if one else scales(m)
                w_zero = zero if one else np.full(m, zero)
                inputs = (x, s(0.02), z8(131), w, w_scale, w_zero, s(0.4), z8(9), i32(m))
                kind = f"{label} {'one scale' if one else 'channels'}"
                cases.append(Case("QLinearConv", inputs, how, "", name=kind))
                cases.append(Case("QLinearConv", inputs, how, name=f"{kind} of its own"))
    x, w = u8(1, 3, 6, 7), u8(4, 3, 3, 3)
    cases += [
        Case("ConvInteger", (x, w), domain="", name="no zero points"),
        Case("ConvInteger", (x, w, z8(255)), {"pads": [1] * 4}, "", name="zero 255"),
        Case(
            "QLinearConv",
            (x, s(0.02), z8(255), w, s(0.02), z8(255), s(0.3), z8(0)),
            {"pads": [1] * 4},
            "",
            name="no bias",
        ),
        Case(
            "QLinearConv",
            (
                s8(1, 3, 6, 7),
                s(0.02),
                zi8(-5),
                s7(4, 3, 3, 3),
                scales(4),
                s7(4) * 0,
                s(0.1),
                zi8(9),
            ),
            domain="",
            name="int8 int8",
        ),
    ]
    for draw in (u8, s7):
        last, w = u8(2, 6, 7, 4), draw(6, 2, 3, 2)
        for one in (True, False):
            w_scale = s(0.03) if one else scales(6)
            w_zero = np.zeros(() if one else 6, w.dtype)
            inputs = (last, s(0.02), z8(100), w, w_scale, w_zero, s(0.2), z8(128), i32(6))
            how = {"channels_last": 1, "group": 2, "pads": [1, 0, 1, 0]}
            name = f"{w.dtype} {'one scale' if one else 'channels'}"
            cases.append(Case("QLinearConv", inputs, how, name=name))
    return cases


@pytest.mark.parametrize(
    "case",
    [*integer_products(), *float_products(), *rounded_products(), *convolutions()],
    ids=str,
)
def test_agrees_with_the_kernel(case: Case) -> None:
    assert_agrees(case)


def test_a_zero_point_of_each_row() -> None:
    # ONNX has it, but no kernel of ONNX Runtime; the reference evaluator takes it for columns.
    a, b, zeros = u8(4, 4), u8(4, 4), u8(4)
    case = Case("MatMulInteger", (a, b, zeros), domain="")
    expected = (a.astype(int) - zeros.astype(int)[:, None]) @ b.astype(int)

    np.testing.assert_array_equal(Evaluator(case.model()).run(case.feed)["o0"], expected)


def test_a_scale_of_each_row() -> None:
    a, b = u8(3, 5), u8(5, 4)
    left, zeros = scales(3), u8(3)
    inputs = (a, left, zeros, b, s(0.5), z8(3), s(2), z8(128))
    case = Case("QLinearMatMul", inputs, domain="")
    whole = (a.astype(int) - zeros.astype(int)[:, None]) @ (b.astype(int) - 3)
    exact = whole * (left.astype(np.float64)[:, None] * 0.5 / 2)

    result = Evaluator(case.model()).run(case.feed)["o0"]

    np.testing.assert_array_equal(result, np.clip(np.rint(exact) + 128, *limits(np.dtype("uint8"))))


def test_a_sum_beyond_32_bits_wraps() -> None:
    # 2 · 32,767² · 2 is beyond 2^31, and the documentation lets it overflow in 32 bits.
    a = np.full((1, 4), 32_767, np.int16)
    case = Case("MatMulInteger16", (a, a.reshape(4, 1)), fed=2)

    assert_agrees(case)


@pytest.mark.parametrize(
    ("case", "named"),
    [
        (
            Case("MatMulInteger16", (u8(2, 3).astype(np.uint16), u8(3, 2).astype(np.uint16))),
            "MatMulInteger16: uint16 times uint16",
        ),
        (
            Case("MatMulIntegerToFloat", (u8(2, 3), u8(3, 2), scales(3), s(1))),
            "MatMulIntegerToFloat: 3 scales where a tensor has one",
        ),
        (
            Case(
                "ConvInteger", (u8(1, 1, 2, 2, 2, 2), u8(1, 1, 1, 1, 1, 1)), domain="", name="4-d"
            ),
            "ConvInteger: a convolution of 4 spatial dimensions",
        ),
    ],
    ids=["unsigned", "rows", "four dimensions"],
)
def test_what_no_kernel_has_is_refused_by_name(case: Case, named: str) -> None:
    with pytest.raises(ToolkitError, match=named):
        Evaluator(case.model()).run(case.feed)
