"""Functions of sizes: of the plain numbers beside tensors that torch keeps in a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir

from toolkit.exporter.translations.nodes import Value, op

DEPTH = 20
"""Operators behind a number that are looked at."""
MOVING = {"Gather", "Squeeze", "Unsqueeze", "Reshape", "Cast", "Slice", "Identity"}
KEEPING = {"Add", "Mul", "Div", "Mod", "Max", "Min", "Concat"}
"""Operators that give no negative number for others that are none."""


def sqrt(x: Value) -> Value:
    """√x."""
    return op.Sqrt(x)


def whole(x: Value, digits: int | None = None) -> Value:
    """The nearest whole number, the even one of two, as Python's round gives it."""
    if digits is not None:
        raise NotImplementedError("round(…) of a size to digits has no ONNX form")
    return op.Cast(op.Round(x), to=ir.DataType.INT64)


def floor_quotient(x: Value, y: Value) -> Value:
    """x // y, rounded down as Python does: torch's form cuts towards zero, which is another number
    where one of the two is negative, as the difference of two sizes may be."""
    # The remainder has the divisor's sign, so that what is left divides evenly.
    return op.Div(op.Sub(x, op.Mod(x, y)), y)


def may_be_negative(x: Value, depth: int = DEPTH) -> bool:
    """Says whether a number beside tensors may be below zero: any may that is not made of sizes by
    operators that leave it positive. Three nodes in place of one for every quotient of sizes would
    cost each call of a model of many (a quarter of a microsecond a node in ONNX Runtime)."""
    if isinstance(x, int):
        return x < 0
    node = x.producer() if isinstance(x, ir.Value) else None
    if node is None or not depth:
        return True
    inputs = [each for each in node.inputs if each is not None]
    if node.op_type in ("Shape", "Size"):
        return False
    if node.op_type == "Constant":
        value = _constant(x)
        return value is None or value < 0
    if node.op_type in MOVING:
        inputs = inputs[:1]
    elif node.op_type == "Sub":
        # One less than a size is what every convolution and pool computes with.
        if _constant(inputs[1]) not in (0, 1):
            return True
        inputs = inputs[:1]
    elif node.op_type not in KEEPING:
        return True
    return any(may_be_negative(each, depth - 1) for each in inputs)


def _constant(x: Value) -> int | None:
    """The number that a value of the graph is; None where it is no constant of one element."""
    if isinstance(x, int):
        return x
    tensor = x.const_value if isinstance(x, ir.Value) else None
    if tensor is None and isinstance(x, ir.Value) and (node := x.producer()) is not None:
        tensor = next((each.value for each in node.attributes.values()), None)
        tensor = ir.tensor(tensor) if isinstance(tensor, int | list | tuple) else tensor
    array = None if tensor is None or not hasattr(tensor, "numpy") else tensor.numpy()
    return int(array.reshape(-1)[0]) if array is not None and array.size == 1 else None


def forms() -> dict[str, tuple[Any, Callable[..., Any]]]:
    """The name of a function → torch's own for sizes, and its form."""
    import torch

    return {
        "math.sqrt": (torch.sym_sqrt, sqrt),
        "round": (round, whole),
    }
