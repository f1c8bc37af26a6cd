"""Operators whose large arrays torch computes: against the reference evaluator in float64."""

from __future__ import annotations

import math
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from onnx import ModelProto, helper
from onnx.reference import ReferenceEvaluator

from tests.oracle import onenode
from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.operators import OWN, activations, kernels, norms, products
from toolkit.oracle.portable import Unsupported, raised
from toolkit.tensors import Array

pytestmark = pytest.mark.kernels

SIZES = {"small": (2, 6, 3, 4), "large": (3, 6, 17, 16)}
"""Shapes (N, C, H, W) on both sides of `kernels.FEW`."""
EXACT = 1e-12
WRONG_THERE = {"Erf", "Gelu", "GroupNormalization", "LogSoftmax"}
"""Operators that the reference evaluator rounds to float32, or takes the log of 0 for. They are
held against our own way for small arrays, and that against ONNX Runtime (test_operators.py)."""


@dataclass(frozen=True)
class Kind:
    """A node with one large input, and others that are drawn for its shape."""

    operator: str
    more: Callable[..., list[Array]] = lambda *_: []
    how: dict[str, Any] = field(default_factory=dict)
    opset: int = 21
    name: str = ""
    order: tuple[int, ...] = ()
    """Places of the inputs, where the large one is not the first."""
    outputs: int = 1

    def __str__(self) -> str:
        return " ".join(
            [self.operator, self.name, *(f"{key}={value}" for key, value in self.how.items())]
        )

    def inputs(self, x: Array) -> list[Array]:
        drawn = [x, *self.more(np.random.default_rng(1), x)]
        return [drawn[place] for place in self.order] if self.order else drawn

    def model(self, inputs: list[Array]) -> ModelProto:
        feed = _feed(inputs)
        names = [f"o{place}" for place in range(self.outputs)]
        node = helper.make_node(self.operator, [*feed], names, **self.how)
        return onenode.model([node], feed, names, self.opset)


def _feed(inputs: list[Array]) -> dict[str, Array]:
    return {f"i{place}": array for place, array in enumerate(inputs)}


def channels(random: np.random.Generator, x: Array) -> list[Array]:
    """Scale and bias of each channel."""
    return [random.standard_normal(x.shape[1]).astype(x.dtype) for _ in range(2)]


def statistics(random: np.random.Generator, x: Array) -> list[Array]:
    """Scale, bias, mean and variance of each channel."""
    center, spread = channels(random, x)
    return [*channels(random, x), center, np.abs(spread)]


def last(count: int, axes: int) -> Callable[[np.random.Generator, Array], list[Array]]:
    """Weights of the shape of the last axes."""
    return lambda random, x: [
        random.standard_normal(x.shape[-axes:]).astype(x.dtype) for _ in range(count)
    ]


def axes(*values: int) -> Callable[[np.random.Generator, Array], list[Array]]:
    return lambda *_: [np.array(values, np.int64)]


def exponent(value: float, *shape: int, dtype: Any = None) -> Callable[..., list[Array]]:
    return lambda _, x: [np.full(shape, value, dtype or x.dtype)]


def condition(random: np.random.Generator, x: Array) -> list[Array]:
    return [random.random(x.shape[1:]) < 0.5, random.standard_normal((1, 1)).astype(x.dtype)]


REDUCTIONS = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")
KINDS = [
    *(Kind(op) for op in ("Erf", "GlobalAveragePool", "HardSwish", "Relu", "Sigmoid", "Softplus")),
    *(Kind("Gelu", how={"approximate": how}) for how in ("none", "tanh")),
    *(Kind(op, how={"axis": a}) for op in ("Softmax", "LogSoftmax") for a in (-1, 0, 1, 2, -2)),
    *(Kind(op) for op in ("Elu", "HardSigmoid", "LeakyRelu", "Softmax", "LogSoftmax")),
    *(Kind(op, how={"alpha": 0.3}) for op in ("Elu", "HardSigmoid", "LeakyRelu")),
    Kind("HardSigmoid", how={"alpha": 0.7, "beta": 0.1}),
    Kind("Swish", opset=24),
    Kind("Swish", how={"alpha": 1.7}, opset=24),
    *(Kind("Pow", exponent(v), name=str(v)) for v in (2.0, 3.0, 0.5, -1.0, 4.0)),
    Kind("Pow", exponent(3.0, 1, 1), name="of rank 2"),
    Kind("Pow", exponent(3.0, 1, 1, 1, 1, 1), name="of rank 5"),
    Kind("Pow", exponent(2, dtype=np.int64), name="by int64"),
    Kind("Pow", lambda r, x: [r.integers(2, 4, x.shape).astype(x.dtype)], name="each its own"),
    Kind("Where", condition, order=(1, 0, 2)),
    Kind("Where", condition, order=(1, 2, 0), name="swapped"),
    *(Kind(op, opset=17, how={"axes": [1, -1]}, name="17") for op in REDUCTIONS if op[6:] != "Sum"),
    *(Kind(op, opset=17, name="17") for op in REDUCTIONS),
    *(Kind(op, axes(*a), name=str(a)) for op in REDUCTIONS for a in ((-1,), (0,), (1, 2), (3, 0))),
    *(Kind(op, axes(2), how={"keepdims": 0}) for op in REDUCTIONS),
    *(Kind(op, how={"keepdims": 0}) for op in REDUCTIONS),
    *(Kind(op, axes(), how={"noop_with_empty_axes": n}) for op in REDUCTIONS for n in (0, 1)),
    Kind("BatchNormalization", statistics),
    Kind("BatchNormalization", statistics, how={"training_mode": 1, "epsilon": 0.1}),
    Kind("InstanceNormalization", channels, how={"epsilon": 0.1}),
    Kind("GroupNormalization", channels, how={"num_groups": 2}),
    Kind("GroupNormalization", channels, how={"num_groups": 6, "epsilon": 0.1}),
    Kind("LayerNormalization", last(2, 1), outputs=3),
    Kind("LayerNormalization", last(1, 2), how={"axis": -2, "epsilon": 0.1}, outputs=3),
    Kind("LayerNormalization", last(2, 3), how={"axis": 1}),
    Kind("LayerNormalization", last(2, 1), how={"axis": 2}, name="broadcast"),
    Kind("RMSNormalization", last(1, 1), opset=23),
    Kind("RMSNormalization", last(1, 2), how={"axis": 2, "epsilon": 0.1}, opset=23),
    Kind("RMSNormalization", last(1, 1), how={"axis": 1}, opset=23, name="broadcast"),
]
DECLINED = {
    *(str(kind) for kind in KINDS if "noop_with_empty_axes=1" in str(kind)),
    *(f"Pow {name}" for name in ("0.5", "-1.0", "4.0", "of rank 5", "each its own")),
    "BatchNormalization  training_mode=1 epsilon=0.1",
    "LayerNormalization broadcast axis=2",
}
"""Kinds that the evaluator computes at all sizes."""
RIGHT_THERE = [kind for kind in KINDS if kind.operator not in WRONG_THERE]
UNARY = [kind for kind in KINDS if kind.more is KINDS[0].more and "Reduce" not in kind.operator]


def draw(shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
    return (3 * np.random.default_rng(0).standard_normal(shape)).astype(dtype)


def ours(kind: Kind, inputs: list[Array]) -> list[Array]:
    """Computes a kind in float64 by our operators."""
    low = [np.empty_like(e, np.float32) if e.dtype == np.float64 else e for e in inputs]
    return [*Evaluator(kind.model(low)).run(_feed(inputs)).values()]


def theirs(kind: Kind, inputs: list[Array]) -> list[Array]:
    """Computes a kind in float64 by the reference evaluator's."""
    return reference(raised(kind.model(inputs)), inputs)


def reference(model: ModelProto, inputs: list[Array]) -> list[Array]:
    outputs: Any = ReferenceEvaluator(model).run(None, _feed(inputs))
    return [*outputs]


def as_small(kind: Kind, inputs: list[Array], monkeypatch: pytest.MonkeyPatch) -> list[Array]:
    """Computes a kind in float64 as if its arrays were small."""
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "FEW", math.inf)
        return ours(kind, inputs)


def same(got: list[Array], right: list[Array], close: float = EXACT) -> None:
    assert len(got) == len(right)
    for mine, other in zip(got, right, strict=True):
        assert (mine.shape, mine.dtype) == (other.shape, other.dtype)
        finite = np.abs(other[np.isfinite(other)])
        bound = close * float(finite.max(initial=0))
        np.testing.assert_allclose(mine, other, rtol=0, atol=bound)


def calls_of_torch(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Has the size of each array that is given to torch."""
    sizes: list[int] = []
    tensor = kernels.tensor

    def noted(array: Array) -> torch.Tensor:
        sizes.append(array.size)
        return tensor(array)

    monkeypatch.setattr(kernels, "tensor", noted)
    return sizes


@pytest.mark.parametrize("shape", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("kind", RIGHT_THERE, ids=str)
def test_an_operator_agrees_with_the_evaluators(kind: Kind, shape: tuple[int, ...]) -> None:
    inputs = kind.inputs(draw(shape))
    same(ours(kind, inputs), theirs(kind, inputs))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_large_array_has_the_result_of_a_small_one(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = kind.inputs(draw(SIZES["large"]))
    same(ours(kind, inputs), as_small(kind, inputs, monkeypatch))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_an_operator_writes_into_no_input(kind: Kind) -> None:
    inputs = kind.inputs(draw(SIZES["large"]))
    before = [each.copy() for each in inputs]
    ours(kind, inputs)
    for after, other in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(after, other)


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "transposed": lambda x: x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2),
    "reversed": lambda x: x[:, :, ::-1],
    "every other": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "spread": lambda x: np.broadcast_to(x[:1], x.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_an_array_in_another_order_is_computed_alike(kind: Kind, layout: str) -> None:
    x = LAYOUTS[layout](draw(SIZES["large"]))
    got = ours(kind, kind.inputs(x))
    same(got, ours(kind, kind.inputs(x.copy(order="C"))))


def special(shape: tuple[int, ...]) -> Array:
    """Draws an array with values that overflow, vanish or are none, in rows of their own."""
    x = draw(shape)
    rows = x.reshape(-1, shape[-1])
    values = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1e300, -1e300, 5e-324, 800.0, -800.0, 1e-9)
    rows[: len(values), 3] = values
    rows[len(values)] = -math.inf
    rows[len(values) + 1] = math.nan
    return x


POWERS = [kind for kind in KINDS if kind.operator == "Pow" and kind.name != "of rank 5"]


@pytest.mark.parametrize("kind", [*UNARY, *POWERS], ids=str)
def test_special_values_give_what_they_give_in_small_arrays(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = kind.inputs(special(SIZES["large"]))
    (got,), (right,) = ours(kind, inputs), as_small(kind, inputs, monkeypatch)
    # Half the Gelus take a number from 1 that is nearly 1: its last bit is all that is left.
    np.testing.assert_allclose(got, right, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", [k for k in RIGHT_THERE if "Reduce" in k.operator], ids=str)
def test_a_reduction_keeps_nan_and_infinity(kind: Kind) -> None:
    x = draw(SIZES["large"])
    x[0, 0, 0, 0], x[1, 1, 1, 1], x[2, 2, 2, 2] = math.nan, math.inf, -math.inf
    inputs = kind.inputs(x)
    same(ours(kind, inputs), theirs(kind, inputs))


@pytest.mark.parametrize("shape", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_file_that_is_run_as_it_is_stays_float32(kind: Kind, shape: tuple[int, ...]) -> None:
    inputs = kind.inputs(draw(shape, np.float32))
    got = [*Evaluator(kind.model(inputs), exact=False).run(_feed(inputs)).values()]
    right = ours(kind, [e.astype(float) if e.dtype == np.float32 else e for e in inputs])
    assert {each.dtype for each in got} == {np.dtype(np.float32)}
    same([each.astype(float) for each in got], right, 3e-6)


OTHER_TYPES = [
    (kind, dtype)
    for dtype in (np.int64, np.int32)
    for kind in KINDS
    if kind.operator in {"Relu", "ReduceSum", "ReduceMax", "ReduceMin", "Where"}
    or (kind.operator, kind.name) in {("Pow", "2.0"), ("Pow", "3.0"), ("Pow", "by int64")}
] + [(kind, np.float16) for kind in KINDS if kind.operator in {"Relu", "Softmax", "ReduceMean"}]


@pytest.mark.parametrize(("kind", "dtype"), OTHER_TYPES, ids=str)
def test_other_types_are_the_evaluators(
    kind: Kind, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = kind.inputs(draw(SIZES["large"], dtype))
    model = kind.model(inputs)
    sizes = calls_of_torch(monkeypatch)
    got = [*Evaluator(model, exact=False).run(_feed(inputs)).values()]
    same(got, reference(model, inputs), 0)
    assert not sizes


@pytest.mark.parametrize("kind", [k for k in RIGHT_THERE if str(k) not in DECLINED], ids=str)
def test_torch_computes_large_arrays_and_no_small_ones(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, great = (kind.inputs(draw(shape)) for shape in SIZES.values())
    expected = theirs(kind, great)
    sizes = calls_of_torch(monkeypatch)
    ours(kind, small)
    assert not sizes
    same(ours(kind, great), expected)
    assert max(sizes) >= kernels.FEW


@pytest.mark.parametrize("value", [2.0, 3.0])
def test_an_integer_to_the_power_of_a_float_is_the_evaluators(value: float) -> None:
    inputs = [draw(SIZES["large"], np.int64), np.array(value, np.float32)]
    model = Kind("Pow").model(inputs)
    got = [*Evaluator(model).run(_feed(inputs)).values()]
    same(got, [inputs[0] ** int(value)], 0)


STACKS = [
    ((3, 4), (4, 5)),
    ((4,), (4, 5)),
    ((3, 4), (4,)),
    ((4,), (6, 4, 5)),
    ((6, 3, 4), (4,)),
    ((2, 1, 3, 4), (6, 4, 5)),
    ((6, 3, 4), (4, 5)),
    ((3, 4), (2, 6, 4, 5)),
]


@pytest.mark.parametrize(("left", "right"), STACKS)
def test_a_large_product_is_written_where_numpys_would_be(
    left: tuple[int, ...], right: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "FEW", 0)
    a, b = draw(left), draw(right)
    same(ours(Kind("MatMul"), [a, b]), [np.asarray(np.matmul(a, b))])


def test_each_operator_of_the_tables_is_tested() -> None:
    derived = (*activations.OWN, *norms.OWN)
    assert {kind.operator for kind in KINDS} == {operator.__name__ for operator in derived}
    assert {*derived} <= {*OWN}


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize(("limit", "count"), [(0, 3), (math.inf, 1)])
@pytest.mark.parametrize(
    ("operator", "more", "kernel", "constant"),
    [
        ("Softmax", [], "torch.softmax", (kernels, "MANY")),
        ("Erf", [], "torch.erf", (kernels, "MANY")),
        ("MatMul", [draw((16, 64))], "torch.matmul", (products, "MUCH")),
        ("Conv", [draw((5, 6, 3, 3))], "torch.nn.functional.conv2d", (products, "MUCH")),
        ("ConvTranspose", [draw((6, 5, 3, 3))], "torch.nn.functional.conv_transpose2d",
         (products, "MUCH")),
    ],
)  # fmt: skip
def test_torch_has_all_its_threads_for_much_alone(
    operator: str, more: list[Array], kernel: str, constant: tuple[Any, str], limit: float,
    count: int, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(*constant, limit)
    monkeypatch.setattr(products, "FEW", 0)
    seen: list[int] = []
    compute = pkgutil.resolve_name(kernel)

    def noted(*given: Any, **how: Any) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        result: torch.Tensor = compute(*given, **how)
        return result

    monkeypatch.setattr(kernel, noted)
    ours(Kind(operator), [draw(SIZES["large"]), *more])
    assert (seen, torch.get_num_threads()) == ([count], 3)


@pytest.mark.usefixtures("three_threads")
def test_torch_has_its_threads_again_after_a_failure() -> None:
    x = draw(SIZES["large"])
    with pytest.raises(Unsupported, match=r"^Softmax: Dimension out of range"):
        ours(Kind("Softmax", how={"axis": 7}), [x])
    assert torch.get_num_threads() == 3


def test_log_softmax_is_finite_where_softmax_is_too_small_for_a_float() -> None:
    for width in (2, kernels.FEW):
        x = np.zeros((1, width))
        x[0, 0] = 1000.0
        (got,) = ours(Kind("LogSoftmax"), [x])
        assert got[0, :2].tolist() == [0.0, -1000.0]


def test_group_normalization_is_not_rounded_to_float32() -> None:
    for shape in SIZES.values():
        x = draw(shape)
        scale, bias = channels(np.random.default_rng(1), x)
        groups = x.reshape(shape[0], 2, -1)
        deviation = np.sqrt(groups.var(axis=-1, keepdims=True) + np.float32(1e-5))
        normal = (groups - groups.mean(axis=-1, keepdims=True)) / deviation
        right = normal.reshape(shape) * scale[:, None, None] + bias[:, None, None]
        same(ours(Kind("GroupNormalization", how={"num_groups": 2}), [x, scale, bias]), [right])


def test_group_normalization_of_opset_18_scales_groups() -> None:
    for shape in SIZES.values():
        x = draw(shape)
        kind = Kind("GroupNormalization", how={"num_groups": 2}, opset=18)
        inputs = [x, np.array([2.0, -1.0]), np.array([0.5, 3.0])]
        same(ours(kind, inputs), theirs(kind, inputs))
