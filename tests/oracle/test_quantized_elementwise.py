"""Element by element on 8 bits, and pools of 8 bits, against ONNX Runtime's kernels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.oracle.quantized import Case, Inputs, assert_agrees, kernel, near_the_middle, steps
from toolkit.oracle.evaluator import Evaluator
from toolkit.tensors import Array

pytestmark = pytest.mark.kernels

DRAW = np.random.default_rng(1)
KINDS = (np.uint8, np.int8)


def bytes_of(kind: type[Any], *shape: int) -> Array:
    info = np.iinfo(kind)
    return DRAW.integers(info.min, int(info.max) + 1, shape).astype(kind)


def s(value: float) -> Array:
    return np.array(value, np.float32)


def ends(kind: type[Any]) -> list[Array]:
    """Zero points at both ends of the range and inside it."""
    info = np.iinfo(kind)
    return [np.array(z, kind) for z in (info.min, info.max, (int(info.max) + info.min) // 2 - 7)]


def binary() -> list[Case]:
    shapes = [((3, 4, 5), (3, 4, 5)), ((3, 4, 5), (5,)), ((2, 1, 7), (4, 1)), ((33,), ())]
    cases = []
    for operator, out in (("QLinearAdd", 0.05), ("QLinearMul", 0.04)):
        for kind in KINDS:
            for index, zero in enumerate(ends(kind)):
                for left, right in shapes:
                    a, b = bytes_of(kind, *left), bytes_of(kind, *right)
                    other = ends(kind)[index - 1]
                    inputs = (a, s(0.031), zero, b, s(0.017), other, s(out), zero)
                    name = f"{kind.__name__} {left} {right} zero {zero}"
                    cases.append(Case(operator, inputs, fed=4, name=name))
    return cases


def bare() -> list[Case]:
    """Operators without zero points, of which ONNX Runtime's type inference takes none: with an
    empty name it finds another type, and where the last is missing the process ends."""
    cases = []
    for kind in KINDS:
        a, b = bytes_of(kind, 1, 6, 3), bytes_of(kind, 6, 3)
        cases += [
            Case("QLinearAdd", (a, s(0.03), None, b, s(0.02), None, s(0.05)), name=kind.__name__),
            Case("QLinearMul", (a, s(0.03), None, b, s(0.02), None, s(0.05)), name=kind.__name__),
            Case(
                "QLinearAveragePool",
                (a, s(0.03), None, s(0.04)),
                {"kernel_shape": [2]},
                name=kind.__name__,
            ),
        ]
    return cases


def unary() -> list[Case]:
    cases = []
    for kind in KINDS:
        every = np.arange(256).astype(np.uint8).view(kind).reshape(4, 64)
        lowest = np.array(np.iinfo(kind).min, kind)
        for zero in ends(kind):
            name = f"{kind.__name__} zero {zero}"
            to = s(1 / 256), lowest
            cases += [
                Case("QLinearSigmoid", (every, s(0.05), zero, *to), name=name),
                Case("QLinearLeakyRelu", (every, s(0.05), zero, s(0.03), zero), name=name),
                Case(
                    "QLinearLeakyRelu",
                    (every, s(0.05), zero, s(0.03), zero),
                    {"alpha": 0.3},
                    name=name,
                ),
            ]
        cases += [
            Case("QLinearSigmoid", (every, s(0.02), None, s(0.004), None), name=kind.__name__),
            Case("QLinearLeakyRelu", (every, s(0.02), None, s(0.02), None), name=kind.__name__),
        ]
    return cases


def softmaxes() -> list[Case]:
    cases = []
    for kind in KINDS:
        x, zero = bytes_of(kind, 3, 4, 5), np.array(np.iinfo(kind).min, kind)
        for opset in (12, 13):
            for axis in (0, 1, 2, -1):
                how = {"opset": opset, "axis": axis}
                inputs: Inputs = (x, s(0.02), ends(kind)[2], s(1 / 256), zero)
                cases.append(Case("QLinearSoftmax", inputs, how, name=kind.__name__))
        inputs = (x, s(0.02), None, s(1 / 256), zero)
        cases.append(Case("QLinearSoftmax", inputs, {"opset": 13}, name=kind.__name__))
    return cases


def joined() -> list[Case]:
    cases = []
    for kind in KINDS:
        low, high, middle = ends(kind)
        for axis in (0, 1, -1):
            shapes = [[2, 3, 4], [2, 3, 4], [2, 3, 4]]
            shapes[1][axis], shapes[2][axis] = 1, 5
            parts = [bytes_of(kind, *shape) for shape in shapes]
            triples = (parts[0], s(0.05), low, parts[1], s(0.03), high, parts[2], s(0.01), middle)
            inputs: Inputs = (s(0.04), middle, *triples)
            cases.append(Case("QLinearConcat", inputs, {"axis": axis}, fed=3, name=kind.__name__))
        same = (s(0.05), low, bytes_of(kind, 2, 3), s(0.05), low)
        cases.append(
            Case("QLinearConcat", same, {"axis": 1}, fed=3, name=f"{kind.__name__} of one")
        )
        condition = DRAW.integers(0, 2, (3, 4)).astype(bool)
        x, y = bytes_of(kind, 2, 3, 4), bytes_of(kind, 4)
        inputs = (condition, x, s(0.03), low, y, s(0.05), high, s(0.04), middle)
        cases.append(Case("QLinearWhere", inputs, fed=9, name=kind.__name__))
        cases.append(Case("QLinearWhere", inputs, fed=2, name=f"{kind.__name__} stored"))
    return cases


def pools() -> list[Case]:
    settings: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((2, 3, 9, 8), {"kernel_shape": [3, 2]}),
        ((2, 3, 9, 8), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ((1, 5, 7, 6), {"kernel_shape": [2, 3], "pads": [0, 1, 1, 0], "count_include_pad": 1}),
        ((1, 2, 10, 11), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
        ((1, 2, 9, 8), {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
        ((1, 2, 9, 8), {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_LOWER"}),
        ((1, 2, 9, 8), {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "VALID"}),
        ((2, 3, 11), {"kernel_shape": [4], "strides": [3]}),
        ((1, 2, 5, 6, 7), {"kernel_shape": [2, 2, 3], "pads": [1] * 6}),
    ]
    cases = []
    for kind in KINDS:
        low, high, middle = ends(kind)
        for shape, how in settings:
            inputs: Inputs = (bytes_of(kind, *shape), s(0.05), middle, s(0.04), high)
            name = f"{kind.__name__} {shape}"
            cases.append(Case("QLinearAveragePool", inputs, how, name=name))
        last = (bytes_of(kind, 2, 6, 7, 3), s(0.05), low, s(0.03), low)
        how = {"kernel_shape": [3, 2], "pads": [1, 0, 1, 0], "channels_last": 1}
        cases.append(Case("QLinearAveragePool", last, how, name=kind.__name__))
        for shape in ((2, 3, 7, 7), (1, 5, 6), (2, 3, 4, 5, 6), (1, 1, 1, 1)):
            for zero in ends(kind):
                inputs = (bytes_of(kind, *shape), s(0.05), zero, s(0.02), middle)
                name = f"{kind.__name__} {shape} zero {zero}"
                cases.append(Case("QLinearGlobalAveragePool", inputs, name=name))
        how = {"channels_last": 1}
        cases.append(Case("QLinearGlobalAveragePool", last, how, name=kind.__name__))
        for how in (
            {"kernel_shape": [2, 2]},
            {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]},
            {"kernel_shape": [2, 2], "dilations": [2, 1]},
            {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
            {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
        ):
            inputs = (bytes_of(kind, 2, 8, 9, 3),)
            cases.append(Case("NhwcMaxPool", inputs, how, name=kind.__name__))
        how = {"kernel_shape": [3]}
        cases.append(Case("NhwcMaxPool", (bytes_of(kind, 2, 8, 3),), how, name=kind.__name__))
    return cases


@pytest.mark.parametrize("case", [*binary(), *unary(), *softmaxes(), *joined(), *pools()], ids=str)
def test_agrees_with_the_kernel(case: Case) -> None:
    assert_agrees(case)


@pytest.mark.parametrize("case", bare(), ids=str)
def test_a_zero_point_that_is_left_out_is_0(case: Case) -> None:
    zero = np.zeros((), case.inputs[0].dtype)  # type: ignore[union-attr]
    written = tuple(zero if array is None else array for array in (*case.inputs, None))
    explicit = dataclasses.replace(case, inputs=written)

    result = Evaluator(case.model()).run(case.feed)["o0"]

    assert result.dtype == zero.dtype
    np.testing.assert_array_equal(result, Evaluator(explicit.model()).run(explicit.feed)["o0"])
    assert_agrees(explicit)


def test_a_probability_of_one_is_the_largest_integer() -> None:
    # The kernel of ONNX Runtime lets it wrap to -128.
    x = np.array([[127, -128, -128]], np.int8)
    inputs = (x, s(0.5), np.array(0, np.int8), s(1 / 256), np.array(-128, np.int8))
    case = Case("QLinearSoftmax", inputs, {"opset": 13})

    assert Evaluator(case.model()).run(case.feed)["o0"].tolist() == [[127, -128, -128]]


def test_a_softmax_is_of_any_scale() -> None:
    # The kernel of ONNX Runtime multiplies by the whole part of 1 / 0.0042, which is 238.1.
    x, scale, zero = bytes_of(np.uint8, 4, 9), s(0.0042), np.array(0, np.uint8)
    case = Case("QLinearSoftmax", (x, s(0.02), None, scale, zero), {"opset": 13})
    numbers = steps(case.model(), case.feed)
    (theirs,) = kernel(case.model(), case.feed)

    ours = Evaluator(case.model()).run(case.feed)["o0"]

    powers = np.exp(x.astype(float) * float(s(0.02)))
    exact = powers / powers.sum(axis=1, keepdims=True) / float(scale)
    np.testing.assert_allclose(numbers, exact, rtol=1e-12)
    np.testing.assert_array_equal(ours, np.rint(exact))
    cut = exact * float(scale) * 238
    assert np.all((theirs == np.rint(cut)) | near_the_middle(cut))


def test_half_is_rounded_to_even_before_the_zero_point() -> None:
    x = np.array([1, 3, 5, 7], np.uint8)
    zero = np.array(0, np.uint8)
    case = Case("QLinearAdd", (x, s(0.5), zero, zero, s(1), zero, s(1), np.array(3, np.uint8)))

    assert near_the_middle(steps(case.model(), case.feed)).all()
    assert Evaluator(case.model()).run(case.feed)["o0"].tolist() == [3, 5, 5, 7]
