"""The parts that translations are made of: constants of a type, sizes, and bodies of Scan and Loop.

Rules, cited below:

N1  Every constant has the type of what it meets: onnxscript takes a bare float for float32, also
    beside a float64, where it does not know the type of a node's result.
N2  A size is read from the graph (Shape), never from Python: it may be dynamic.
N3  A body reads nothing from around it: all that it needs comes through its inputs.
N4  No constant below 1e-8 is added: onnxscript's rewriter (0.7) takes it for a zero that changes
    nothing. Sums with such terms are made at a multiple of all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import onnx_ir as ir
from onnxscript import evaluator, opset18

Value: TypeAlias = Any
"""A value of the graph: an ir.Value, which torch's subclass gives Python's operators."""
Values: TypeAlias = Sequence[Value]
Size: TypeAlias = Any
"""A size: an int, or a value of the graph where torch has a symbol."""

op: Any = opset18
"""torch's own translations are written in it, and brought to the asked opset afterwards. Its types
hold for eager values alone."""
OPSET = 18
FLOATS = {
    ir.DataType.FLOAT16,
    ir.DataType.BFLOAT16,
    ir.DataType.FLOAT,
    ir.DataType.DOUBLE,
}

COMPARED = {ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.INT32, ir.DataType.INT64}
LEAST = 1e-6
"""Well above what onnxscript takes for zero (N4)."""


def is_float(value: Value) -> bool:
    """Says whether an argument of the translated operator is of a floating type."""
    return value.dtype in FLOATS


def number(value: float | Sequence[float], dtype: ir.DataType) -> Value:
    """A constant of a type (N1)."""
    return op.Constant(value=ir.tensor(value, dtype=dtype))


def comparable(x: Value) -> Value:
    """The same numbers in a type that ONNX Runtime compares and sorts on every processor."""
    if x.dtype in COMPARED:
        return x
    dtype = ir.DataType.FLOAT if is_float(x) else ir.DataType.INT64
    return known(op.Cast(x, to=dtype), dtype, rank(x))


def index(value: Size) -> Value:
    """A size or index as a value of the graph of shape (1,)."""
    if isinstance(value, int):
        return number([value], ir.DataType.INT64)
    return op.Reshape(op.Cast(value, to=ir.DataType.INT64), number([1], ir.DataType.INT64))


def axis_of(value: Value, dim: int) -> int:
    """The axis that PyTorch means by `dim`, counted from the front."""
    return dim % rank(value) if rank(value) else 0


def rank(value: Value) -> int:
    return len(value.shape)


def size(value: Value, axis: int) -> Value:
    """The size of an axis, of shape (1,) (N2)."""
    return op.Shape(value, start=axis, end=axis + 1)


def axes(*values: int) -> Value:
    return number(list(values), ir.DataType.INT64)


def numbered(count: Value) -> Value:
    """0, 1, … below a count of shape (1,)."""
    zero, one = number(0, ir.DataType.INT64), number(1, ir.DataType.INT64)
    return op.Range(zero, op.Squeeze(count, axes(0)), one)


def flat(value: Value) -> Value:
    """All elements in one dimension."""
    return known(op.Reshape(value, axes(-1)), value.dtype, 1)


def known(value: Value, dtype: ir.DataType, dims: int) -> Value:
    """Writes down a result's type and rank, which onnxscript does not know while it records."""
    value.type = ir.TensorType(dtype)
    value.shape = ir.Shape([None] * dims)
    return value


def picked(value: Value, place: Value, axis: int, *, keepdim: bool) -> Value:
    """The slice at a place of shape (1,) along an axis."""
    slice_ = op.Gather(value, place, axis=axis)
    return slice_ if keepdim else op.Squeeze(slice_, axes(axis))


def scan(
    body: Callable[[Values, Values], tuple[Values, Values]],
    states: Values,
    over: Values,
    *,
    axis: int,
    outputs: int,
) -> tuple[Values, Values]:
    """A Scan over one axis of all of `over`: the last states, and what each turn gave, along it.

    `body` takes the states and the slices, and gives the next states and the outputs.
    """
    taken = _inputs([*states, *over])
    kept = len(states)
    nodes, (after, given) = _recorded(lambda: body(taken[:kept], taken[kept:]))
    graph = ir.Graph(taken, _distinct([*after, *given], nodes), nodes=nodes, name="turn")
    results = _node(
        "Scan",
        [*states, *over],
        kept + outputs,
        body=graph,
        num_scan_inputs=len(over),
        scan_input_axes=[axis] * len(over),
        scan_output_axes=[axis] * outputs,
    )
    return results[:kept], results[kept:]


def loop(body: Callable[[Value, Values], Values], count: Value, states: Values) -> Values:
    """A Loop of `count` turns, which is of shape (1,): the last states.

    `body` takes the turn's number, of shape (1,), and the states.
    """
    turn = ir.Value(name="turn", type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([]))
    going = ir.Value(name="going", type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape([]))
    taken = _inputs(states)

    def step() -> Values:
        return [op.Identity(going), *body(op.Unsqueeze(turn, axes(0)), taken)]

    nodes, after = _recorded(step)
    graph = ir.Graph([turn, going, *taken], _distinct(after, nodes), nodes=nodes, name="turn")
    yes = number(True, ir.DataType.BOOL)
    most = op.Squeeze(count, axes(0))
    return _node("Loop", [most, yes, *states], len(states), body=graph)


def _inputs(values: Values) -> list[Value]:
    """The inputs of a body, of the types that are known."""
    return [ir.Value(name=f"state_{place}", type=value.type) for place, value in enumerate(values)]


def _recorded(make: Callable[[], Any]) -> tuple[list[ir.Node], Any]:
    """Makes nodes apart from those that torch is recording, as a body's own (N3)."""
    around: Any = evaluator.default()
    inside = type(around)(around.opset, {})
    with evaluator.default_as(inside):
        made = make()
    return inside.nodes, made


def _distinct(values: Values, nodes: list[ir.Node]) -> list[Value]:
    """The outputs of a body: each is given by a node of its own, as ONNX Runtime wants it."""
    outputs: list[Value] = []
    for place, value in enumerate(values):
        node = ir.Node("", "Identity", [value], num_outputs=1, version=OPSET)
        nodes.append(node)
        node.outputs[0].name = f"after_{place}"
        outputs.append(node.outputs[0])
    return outputs


def split(value: Value, counts: Value, axis: int, parts: int) -> Values:
    """A value cut along an axis into so many parts, each as long as `counts` says."""
    return _node("Split", [value, counts], parts, axis=axis)


def _node(kind: str, inputs: Values, outputs: int, **attributes: Any) -> Values:
    """Adds a node whose count of outputs its operator does not tell."""
    node = ir.Node(
        "",
        kind,
        inputs,
        ir.convenience.convert_attributes(attributes),
        num_outputs=outputs,
        version=OPSET,
    )
    recorder: Any = evaluator.default()
    recorder.nodes.append(node)
    return node.outputs


def polynomial(x: Value, coefficients: Sequence[float], dtype: ir.DataType) -> Value:
    """c₀ + c₁x + c₂x² + …, by Horner (N4)."""
    factor = lifting(coefficients[:-1])
    result = number(factor * coefficients[-1], dtype)
    for coefficient in reversed(coefficients[:-1]):
        result = op.Add(op.Mul(result, x), number(factor * coefficient, dtype))
    return result if factor == 1 else op.Div(result, number(factor, dtype))


def lifting(summands: Sequence[float]) -> float:
    """A power of two that makes all summands large enough to stay (N4)."""
    least = min(abs(each) for each in summands)
    return 1.0 if least > LEAST else 2.0 ** math.ceil(math.log2(LEAST / least))


def result_type(x: Value) -> ir.DataType:
    """The type that a function of real numbers gives: float32 for integers."""
    return x.dtype if is_float(x) else ir.DataType.FLOAT


def computed(x: Value, function: Callable[[Value, ir.DataType], Value]) -> Value:
    """A function of real numbers in the type of its input; in float32 for what is shorter."""
    dtype = x.dtype if x.dtype == ir.DataType.DOUBLE else ir.DataType.FLOAT
    return op.Cast(function(op.Cast(x, to=dtype), dtype), to=result_type(x))
